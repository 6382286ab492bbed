import msgspec

from scaigrid.api.envelope import enveloped, listed
from scaigrid.exchange import Exchange
from tests.scaigrid.api.control_plane import ControlPlane


def exchange() -> Exchange:
    services = ControlPlane().services
    return Exchange(
        request_id="req_1",
        method="GET",
        path="/v1/me",
        dialect=services.dialect_of("/v1/me"),
        snapshot=services.current.snapshot,
        principal=services.current.snapshot.anonymous,
        started=0.0,
        started_at=0.0,
    )


def test_an_answer_is_data_with_the_id_of_its_request() -> None:
    assert msgspec.json.encode(enveloped(exchange(), {"a": 1})) == (
        b'{"status":"ok","data":{"a":1},"meta":{"request_id":"req_1"}}'
    )


def test_a_list_has_its_pagination_beside_the_data() -> None:
    assert msgspec.json.encode(listed(exchange(), [1, 2], "next")) == (
        b'{"status":"ok","data":{"items":[1,2]},"pagination":{"has_more":true,"next_cursor":"next"},'
        b'"meta":{"request_id":"req_1"}}'
    )


def test_the_last_page_has_no_cursor() -> None:
    assert msgspec.to_builtins(listed(exchange(), [], None).pagination) == {"has_more": False, "next_cursor": None}
