from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from litestar import Request
from msgspec import Meta

from scaigrid.api.query import MOST_PARAMETERS, NoQuery, read_query
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Modality

T = TypeVar("T", bound=msgspec.Struct)

TIME = "must be a time in ISO 8601 with an offset from UTC, such as 2026-01-31T12:00:00Z; write + as %2B"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    text: Annotated[str, Meta(min_length=1, max_length=8)] | None = None
    plain: str | None = None
    kind: Literal["daily", "weekly"] | None = None
    modality: Modality | None = None
    start: Annotated[datetime, Meta(tz=True)] | None = None


class Demanding(msgspec.Struct, frozen=True):
    one: str
    two: str


def read(query: str | bytes, wanted: type[T]) -> T:
    raw = query if isinstance(query, bytes) else query.encode()
    request: Request[Any, Any, Any] = Request(cast("Any", {"type": "http", "query_string": raw}))
    return read_query(request, wanted)


def faults(query: str | bytes, wanted: type[msgspec.Struct] = Wanted) -> dict[str, str]:
    with pytest.raises(GatewayError) as caught:
        read(query, wanted)
    assert caught.value.code is Code.VALIDATION_ERROR
    return {detail.field: detail.message for detail in caught.value.details}


def test_what_is_left_out_has_its_default() -> None:
    assert read("", Wanted) == Wanted()


def test_each_parameter_becomes_its_type() -> None:
    query = "limit=5&text=a%2Fb&plain=&kind=daily&modality=chat&start=2026-01-31T12:00:00%2B02:00"
    assert read(query, Wanted) == Wanted(
        limit=5,
        text="a/b",
        plain="",
        kind="daily",
        modality=Modality.CHAT,
        start=datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=2))),
    )


@pytest.mark.parametrize("text", ["0", "1001", "-1", "1.0", "1e2", "+1", " 1", "", "null", "true", "٣", "9" * 400])
def test_a_limit_is_an_integer_within_its_bounds(text: str) -> None:
    assert faults(f"limit={text.replace('+', '%2B')}") == {"limit": "must be an integer from 1 to 1000"}


@pytest.mark.parametrize("text", ["", "123456789", "a%00b", "a%0Ab"])
def test_a_text_is_printable_and_within_its_length(text: str) -> None:
    assert faults(f"text={text}") == {"text": "must have 1 to 8 printable characters"}


def test_a_text_without_bounds_is_printable_too() -> None:
    assert faults("plain=%1B[31m") == {"plain": "must be printable"}


def test_a_word_is_one_of_its_list() -> None:
    assert faults("kind=hourly&modality=Chat") == {
        "kind": "must be one of daily, weekly",
        "modality": "must be one of chat, embedding, image, audio, rerank",
    }


@pytest.mark.parametrize("word", ["null", "None", ""])
def test_no_word_stands_for_one_that_was_left_out(word: str) -> None:
    assert list(faults(f"kind={word}&modality={word}&start={word}")) == ["kind", "modality", "start"]


@pytest.mark.parametrize(
    "text", ["2026-01-31T12:00:00Z", "2026-01-31T12:00Z", "2026-01-31 12:00:00.000Z", "20260131T140000%2B0200"]
)
def test_a_time_is_any_that_iso_8601_writes(text: str) -> None:
    assert read(f"start={text}", Wanted).start == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-01-31", "2026-01-31T12:00:00", "1769860800", "now", "2026-02-30T00:00:00Z"])
def test_a_time_without_an_offset_is_none(text: str) -> None:
    assert faults(f"start={text}") == {"start": TIME}


def test_a_plus_that_was_not_escaped_is_refused_with_the_way_to_write_it() -> None:
    """In a query it means a space, so the time would be another one than was meant."""
    assert faults("start=2026-01-31T12:00:00+02:00") == {"start": TIME}


def test_every_fault_is_named_at_once() -> None:
    assert faults("limit=0&kind=x&unknown=1&text=a&text=b") == {
        "unknown": "is not a known parameter",
        "text": "is given more than once",
        "limit": "must be an integer from 1 to 1000",
        "kind": "must be one of daily, weekly",
    }


def test_a_known_parameter_is_known_by_its_exact_name() -> None:
    assert faults("Limit=5&limit%20=5&=5") == dict.fromkeys(("Limit", "limit ", ""), "is not a known parameter")


def test_an_address_without_parameters_takes_none() -> None:
    assert read("", NoQuery) == NoQuery()
    assert faults("limit=1", NoQuery) == {"limit": "is not a known parameter"}


def test_what_is_required_and_missing_is_named() -> None:
    assert faults("two=2", Demanding) == {"one": "is required"}


def test_a_long_name_is_cut_in_the_answer() -> None:
    assert list(faults("x" * 5000)) == ["x" * 64]


def test_more_parameters_than_anybody_means_are_refused_unread() -> None:
    query = "&".join(f"p{place}=1" for place in range(MOST_PARAMETERS + 1))
    assert faults(query) == {"query": f"must have at most {MOST_PARAMETERS} parameters"}


@pytest.mark.parametrize("query", [b"text=%ff", b"text=\xff", b"%ff=1"])
def test_what_is_no_utf_8_is_refused(query: bytes) -> None:
    assert faults(query) == {"query": "is not valid UTF-8"}


def limit_or_refusal(query: bytes) -> int:
    """The limit, or the number of faults."""
    try:
        return read(query, Wanted).limit
    except GatewayError as error:
        return len(error.details) if error.code is Code.VALIDATION_ERROR else 0


@given(st.binary(max_size=80))
@example(b"start=0001-01-01T00:00:00%2B14:00")
@example(b"start=9999-12-31T23:59:59-14:00")
def test_any_query_is_read_or_refused_by_name(query: bytes) -> None:
    assert 1 <= limit_or_refusal(query) <= 1000


def test_a_query_with_a_type_that_no_address_can_hold_is_a_mistake_of_ours() -> None:
    class Impossible(msgspec.Struct):
        table: dict[str, str] | None = None

    with pytest.raises(TypeError, match="no parameters of type"):
        read("", Impossible)
