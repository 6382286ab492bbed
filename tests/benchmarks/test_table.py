from benchmarks.table import number, share, table


def test_columns_are_as_wide_as_they_have_to_be() -> None:
    assert table(("", "calls/s"), [("nginx", "26,082"), ("x", "1")]) == "       calls/s\nnginx   26,082\nx            1"


def test_what_is_not_known_is_left_empty() -> None:
    assert (number(None), share(None)) == ("", "")
    assert (number(12345.678, 1), number(1234), share(0.1234)) == ("12,345.7", "1,234", "12.3%")
