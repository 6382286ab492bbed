from scaigrid.dialects.headers import JSON, limit_headers


def test_the_reset_is_rounded_up_so_that_waiting_so_long_is_enough() -> None:
    assert limit_headers(60, 59, 0.2, "requests") == [
        (b"x-scaigrid-ratelimit-limit", b"60"),
        (b"x-scaigrid-ratelimit-remaining", b"59"),
        (b"x-scaigrid-ratelimit-reset", b"1"),
    ]


def test_tokens_have_headers_of_their_own_beside_the_published_ones() -> None:
    assert limit_headers(5000, 4000, 60.0, "tokens") == [
        (b"x-scaigrid-ratelimit-limit-tokens", b"5000"),
        (b"x-scaigrid-ratelimit-remaining-tokens", b"4000"),
        (b"x-scaigrid-ratelimit-reset-tokens", b"60"),
    ]


def test_the_content_type_is_json() -> None:
    assert JSON == (b"content-type", b"application/json")
