import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

import msgspec
import pytest
from msgspec import Meta
from msgspec.inspect import type_info

from scaigrid.config.nodes import Scalar, scalar_type
from scaigrid.config.scalars import MismatchError, RefusedError, rank, read_scalar, reads
from scaigrid.secrets import Secret


class Level(enum.Enum):
    LOW = "low"
    TOP = "top"


class Rank(enum.IntEnum):
    FIRST = 1


class Size(int):
    @classmethod
    def from_text(cls, text: str) -> Self:
        if not text.endswith("k"):
            raise ValueError("a size ends in k")
        return cls(int(text[:-1]) * 1000)


class Mute:
    @classmethod
    def from_text(cls, text: str) -> Self:
        raise ValueError


Price = Annotated[Decimal, Meta(extra={"ge": 0, "le": "10.5", "multiple_of": "0.5"})]
Cents = Annotated[Decimal, Meta(extra={"places": 2})]


def written(text: str) -> Scalar:
    """A scalar from what stands in the file; quotes around it make it a string."""
    if text.startswith("'"):
        return Scalar(1, text.strip("'"), "str", plain=False)
    return Scalar(1, text, scalar_type(text), plain=True)


def from_env(text: str) -> Scalar:
    return Scalar(1, text, scalar_type(text), plain=True, substituted=True)


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ("5", int, 5),
        ("-0", int, 0),
        ("+5", int, 5),
        ("0x1F", int, 31),
        ("0o17", int, 15),
        ("9223372036854775807", int, 2**63 - 1),
        ("-9223372036854775808", int, -(2**63)),
        ("5", float, 5.0),
        ("0x10", float, 16.0),
        ("0.5", float, 0.5),
        (".5", float, 0.5),
        ("1e3", float, 1000.0),
        ("true", bool, True),
        ("false", bool, False),
        ("~", None, None),
        ("0.01875", Decimal, Decimal("0.01875")),
        ("0.1000", Decimal, Decimal("0.1000")),
        ("15", Decimal, Decimal(15)),
        ("-1e-9", Decimal, Decimal("-1e-9")),
        ("'0.01875'", Decimal, Decimal("0.01875")),
        (
            "12345678901234567890.123456789012345678901234567890",
            Decimal,
            Decimal("12345678901234567890.123456789012345678901234567890"),
        ),
        ("0.01875", str, "0.01875"),
        ("1.10", str, "1.10"),
        ("123", str, "123"),
        ("010", str, "010"),
        ("yes", str, "yes"),
        ("'true'", str, "true"),
        ("''", str, ""),
        ("2027-01-31", str, "2027-01-31"),
        ("b", Literal["a", "b"], "b"),
        ("1.0", Literal["1.0", "2.0"], "1.0"),
        ("1", Literal[1, 2], 1),
        ("0x1", Literal[1, 2], 1),
        ("off", Literal["on", "off"], "off"),
        ("true", Literal["auto", True], True),
        ("null", Literal["auto", None], None),  # noqa: PYI061  (a union is read elsewhere)
        ("low", Level, Level.LOW),
        ("1", Rank, Rank.FIRST),
        ("2027-01-31T10:00:00Z", dt.datetime, dt.datetime(2027, 1, 31, 10, tzinfo=dt.UTC)),
        ("2027-01-31", dt.date, dt.date(2027, 1, 31)),
        ("12:30:00", dt.time, dt.time(12, 30)),
        ("PT90S", dt.timedelta, dt.timedelta(seconds=90)),
        ("123e4567-e89b-12d3-a456-426614174000", uuid.UUID, uuid.UUID("123e4567-e89b-12d3-a456-426614174000")),
        ("5k", Size, Size(5000)),
        ("~", Any, None),
        ("true", Any, True),
        ("5", Any, 5),
        ("0.5", Any, 0.5),
        ("yes", Any, "yes"),
        ("'5'", Any, "5"),
    ],
    ids=str,
)
def test_a_scalar_is_read_as_its_type(text: str, wanted: Any, expected: object) -> None:
    value = read_scalar(written(text), type_info(wanted))
    assert value == expected
    assert type(value) is type(expected)
    assert str(value) == str(expected)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        *[(text, int) for text in ("'5'", "5.0", "1e3", "true", "~", "x", "010", "1_000", "1:30", "-0x1")],
        *[(text, float) for text in ("'0.5'", "true", "~", "x", "1_0.5")],
        *[(text, bool) for text in ("yes", "on", "True", "'true'", "1", "~")],
        *[(text, str) for text in ("true", "null", "~", "")],
        *[(text, Decimal) for text in ("true", "~", "x", ".inf", "0x10", "1e1000", "''", "1_0", "'٣'", "' 1'")],
        ("x", None),
        ("c", Literal["a", "b"]),
        ("true", Literal[1]),
        ("1", Literal[True]),
        ("'1'", Literal[1]),
        ("true", Literal["true"]),
        ("null", Literal["null"]),
        ("medium", Level),
        ("'1'", Rank),
        ("x", dt.datetime),
        ("31-01-2027", dt.date),
        ("~", uuid.UUID),
        ("true", Size),
    ],
    ids=str,
)
def test_a_scalar_of_another_type_is_a_mismatch(text: str, wanted: Any) -> None:
    with pytest.raises(MismatchError):
        read_scalar(written(text), type_info(wanted))


@pytest.mark.parametrize(
    ("text", "wanted", "reason"),
    [
        ("0", Annotated[int, Meta(ge=1)], "must be at least 1, got 0"),
        ("1", Annotated[int, Meta(gt=1)], "must be greater than 1, got 1"),
        ("0x10", Annotated[int, Meta(le=9)], "must be at most 9, got 0x10"),
        ("9", Annotated[int, Meta(lt=9)], "must be less than 9, got 9"),
        ("7", Annotated[int, Meta(multiple_of=2)], "must be a multiple of 2, got 7"),
        ("0.10", Annotated[float, Meta(ge=0.5)], "must be at least 0.5, got 0.10"),
        ("9223372036854775808", int, "must fit in 64 bits, got 9223372036854775808"),
        ("9" * 5000, int, "must fit in 64 bits, got " + "9" * 60 + "..."),
        ("0x" + "f" * 200, float, "must fit in 64 bits, got 0x" + "f" * 58 + "..."),
        (".inf", float, "must be a finite number, got .inf"),
        ("-.inf", float, "must be a finite number, got -.inf"),
        (".nan", Any, "must be a finite number, got .nan"),
        ("1e999", float, "must be a finite number, got 1e999"),
        ("ab", Annotated[str, Meta(min_length=3)], "must have at least 3 characters, got 2"),
        ("''", Annotated[str, Meta(min_length=1)], "must have at least 1 character, got 0"),
        ("abcd", Annotated[str, Meta(max_length=3)], "must have at most 3 characters, got 4"),
        ("ABC", Annotated[str, Meta(pattern="^[a-z]+$")], 'must match the pattern `^[a-z]+$`, got "ABC"'),
        ("-0.5", Price, "must be at least 0, got -0.5"),
        ("'11'", Price, 'must be at most 10.5, got "11"'),
        ("0.7", Price, "must be a multiple of 0.5, got 0.7"),
        ("0.125", Cents, "must have at most 2 decimal places, got 0.125"),
        ("'1e-3'", Cents, 'must have at most 2 decimal places, got "1e-3"'),
        (
            "2027-01-31T10:00:00",
            Annotated[dt.datetime, Meta(tz=True)],
            'must have an offset from UTC, got "2027-01-31T10:00:00"',
        ),
        (
            "2027-01-31T10:00:00Z",
            Annotated[dt.datetime, Meta(tz=False)],
            'must have no offset from UTC, got "2027-01-31T10:00:00Z"',
        ),
        ("5", Size, "a size ends in k"),
        ("5", Mute, "not a Mute"),
    ],
    ids=str,
)
def test_a_rule_of_the_schema_is_told_in_plain_words(text: str, wanted: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_scalar(written(text), type_info(wanted))
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1", Annotated[int, Meta(ge=1, le=1)]),
        ("6", Annotated[int, Meta(gt=5, lt=7, multiple_of=3)]),
        ("abc", Annotated[str, Meta(min_length=3, max_length=3, pattern="b")]),
        ("10.5", Price),
        ("0", Price),
        ("-0.120000", Cents),
        ("1e3", Cents),
        ("2027-01-31T10:00:00Z", Annotated[dt.datetime, Meta(tz=True)]),
        ("2027-01-31T10:00:00", Annotated[dt.datetime, Meta(tz=False)]),
    ],
    ids=str,
)
def test_a_rule_allows_its_own_bounds(text: str, wanted: Any) -> None:
    assert read_scalar(written(text), type_info(wanted)) is not None


@pytest.mark.parametrize("text", ["true", "null", "~", "", "5", "0.5"])
def test_a_word_from_the_environment_is_text_for_a_string(text: str) -> None:
    assert read_scalar(from_env(text), type_info(str)) == text
    assert read_scalar(from_env(text), type_info(Annotated[str, Meta(description="d")])) == text


def test_a_word_from_the_environment_chooses_a_literal_by_its_text() -> None:
    assert read_scalar(from_env("true"), type_info(Literal["true", "auto"])) == "true"


def test_a_number_from_the_environment_is_a_number_for_a_number() -> None:
    assert read_scalar(from_env("5"), type_info(int)) == 5
    assert read_scalar(from_env("true"), type_info(bool)) is True


def test_a_union_tries_what_takes_few_texts_first() -> None:
    types: list[Any] = [None, Literal["a"], Level, bool, int, Price, float, dt.datetime, str, Any]
    ranks = [rank(type_info(wanted)) for wanted in types]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("wanted", [int, str, Price, Level, Literal[1], Size, Any, dt.timedelta], ids=str)
def test_a_type_of_scalars_is_known(wanted: Any) -> None:
    assert reads(type_info(wanted))


class Section(msgspec.Struct):
    pass


@pytest.mark.parametrize("wanted", [Section, list[int], dict[str, int], int | str, bytes, Secret, complex], ids=str)
def test_a_type_that_no_scalar_is_read_as_is_not(wanted: Any) -> None:
    assert not reads(type_info(wanted))
