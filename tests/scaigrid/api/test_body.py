"""Bodies of the control plane: what may be sent, what a patch makes of what is there, and If-Match."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from litestar import Request

from scaigrid.api.body import etag, matches, merged, read_body
from scaigrid.config.terms import Deadlines, Limits
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.dialects.shapes import RequestShape
from scaigrid.errors import Code, GatewayError


class Given(RequestShape):
    name: str
    note: str | None = None
    limits: Limits = Limits()
    deadlines: Deadlines = Deadlines()
    labels: dict[str, Any] | None = None


THERE: Mapping[str, Any] = {
    "name": "x",
    "note": "old",
    "limits": {},
    "deadlines": {"connect": 1.0, "total": 9.0},
    "labels": {"team": "blue", "deep": {"a": 1, "b": 2}},
}
PARTNER = Resource(kind="partner", id="partner_1", origin="api", document=docs.Partner(name="x"), revision=7)


def request(**headers: str) -> Request[Any, Any, Any]:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: Any = {"type": "http", "method": "PATCH", "path": "/", "headers": sent}
    return Request(scope)


def patched(patch: Any) -> Any:
    return msgspec.json.decode(merged(request(), msgspec.json.encode(patch), dict(THERE), Given))


@pytest.mark.parametrize(
    ("patch", "changed"),
    [
        ({}, {}),
        ({"name": "y"}, {"name": "y"}),
        ({"note": None}, {"note": None}),
        ({"limits": {"requests_per_minute": None}}, {"limits": {"requests_per_minute": None}}),
        ({"deadlines": {"total": 5}}, {"deadlines": {"connect": 1.0, "total": 5}}),
        ({"labels": {"team": None}}, {"labels": {"deep": {"a": 1, "b": 2}}}),
        ({"labels": {"deep": {"a": None, "c": 3}}}, {"labels": {"team": "blue", "deep": {"b": 2, "c": 3}}}),
        ({"labels": {"team": {"lead": None}}}, {"labels": {"team": {}, "deep": {"a": 1, "b": 2}}}),
        ({"labels": None}, {"labels": None}),
        ({"unknown": {"a": None}}, {"unknown": {"a": None}}),
    ],
)
def test_null_removes_from_a_mapping_and_is_a_value_elsewhere(patch: Any, changed: dict[str, Any]) -> None:
    assert patched(patch) == {**THERE, **changed}


def test_what_a_patch_is_merged_into_stays_as_it_was() -> None:
    before = msgspec.json.encode(THERE)
    patched({"labels": {"deep": {"a": None}}, "deadlines": {"total": 5}})
    assert msgspec.json.encode(THERE) == before


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", ["body"]),
        (b"[]", ["body"]),
        (b'{"name": "x"', ["body"]),
        (b'{"name": "x", "name": "y"}', ["name"]),
        (b'{"name": "\xff"}', ["body"]),
    ],
)
def test_what_is_no_object_of_json_is_neither_read_nor_merged(body: bytes, fields: list[str]) -> None:
    with pytest.raises(GatewayError) as read:
        read_body(request(), body, Given)
    with pytest.raises(GatewayError) as patch:
        merged(request(), body, dict(THERE), Given)
    for refused in (read.value, patch.value):
        assert (refused.code, [one.field for one in refused.details]) == (Code.VALIDATION_ERROR, fields)


def test_every_fault_of_a_body_is_named() -> None:
    with pytest.raises(GatewayError) as caught:
        read_body(request(), b'{"note": 1, "deadlines": {"total": 0}, "more": true}', Given)
    assert {one.field for one in caught.value.details} == {"name", "note", "deadlines.total", "more"}


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
def test_json_is_taken_by_either_of_its_names_and_without_one(kind: str) -> None:
    assert read_body(request(content_type=kind), b'{"name": "x"}', Given) == Given(name="x")
    assert read_body(request(), b'{"name": "x"}', Given) == Given(name="x")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonl", "*/*"])
def test_another_media_type_is_refused(kind: str) -> None:
    for taken in (
        lambda: read_body(request(content_type=kind), b'{"name": "x"}', Given),
        lambda: merged(request(content_type=kind), b'{"name": "x"}', dict(THERE), Given),
    ):
        with pytest.raises(GatewayError) as caught:
            taken()
        assert caught.value.code is Code.UNSUPPORTED_MEDIA_TYPE


def test_a_body_has_a_mebibyte_at_the_most() -> None:
    body = b'{"name": "x"}'.ljust(1024 * 1024)
    assert read_body(request(), body, Given).name == "x"
    for taken in (lambda: read_body(request(), body + b" ", Given), lambda: merged(request(), body + b" ", {}, Given)):
        with pytest.raises(GatewayError) as caught:
            taken()
        assert caught.value.code is Code.REQUEST_TOO_LARGE


@pytest.mark.parametrize(
    ("sent", "holds"),
    [('"7"', True), ('"6", "7"', True), ('"6","7"', True), ("*", True), ('"6"', False), ("7", False), ('W/"7"', False)],
)
def test_a_change_is_allowed_by_any_tag_of_a_list_and_by_a_star(sent: str, holds: bool) -> None:
    assert matches(request(if_match=sent), PARTNER) is holds


def test_the_tag_is_another_one_after_a_change_and_need_not_be_sent() -> None:
    later = msgspec.structs.replace(PARTNER, revision=8)
    assert (etag(PARTNER), etag(later)) == ('"7"', '"8"')
    assert matches(request(), later)
    assert not matches(request(if_match=etag(PARTNER)), later)
