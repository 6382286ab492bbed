"""What a header of tags is read as, and that a bad one names itself."""

from collections.abc import Mapping
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid.errors import Code, GatewayError
from scaigrid.tags import HEADER, LONGEST_NAME, LONGEST_VALUE, MOST, NAME, tags_of

ANY = st.characters(exclude_characters="\0", exclude_categories=["Cs"])


def read(*values: bytes, known: Mapping[str, str] | None = None) -> Mapping[str, str]:
    return tags_of({"headers": [(b"host", b"x"), *((HEADER, value) for value in values)]}, known or {})


def refusal(*values: bytes, known: Mapping[str, str] | None = None) -> str:
    with pytest.raises(GatewayError) as refused:
        read(*values, known=known)
    assert refused.value.code is Code.VALIDATION_ERROR
    (detail,) = refused.value.details
    assert detail.field == NAME
    return detail.message


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (b"team=blue,project=x", {"team": "blue", "project": "x"}),
        (b" team = blue , ", {"team": "blue"}),
        (b"a=b=c", {"a": "b=c"}),
        (b"ort=K%C3%B6ln,list=a%2Cb,sum=1%3D1,all=100%25", {"ort": "Köln", "list": "a,b", "sum": "1=1", "all": "100%"}),
        (b"plus=a+b", {"plus": "a+b"}),
        (b"empty=", {"empty": ""}),
        (b"", {}),
    ],
)
def test_a_header_is_read_as_pairs(value: bytes, tags: Mapping[str, str]) -> None:
    assert read(value) == tags


def test_several_headers_are_one() -> None:
    assert read(b"a=1", b"b=2") == {"a": "1", "b": "2"}


def test_what_is_known_wins() -> None:
    assert read(b"a=1,b=2", known={"a": "mine", "c": "3"}) == {"a": "mine", "b": "2", "c": "3"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"team", "must be of the form name=value,name=value"),
        (b"=blue", "must be of the form name=value,name=value"),
        (b"a=1,a=2", "names a tag twice"),
        (b"a=%FF", "must be UTF-8 behind its percent codes"),
        (b"a=%00", "must have names of 1 to 64 and values of up to 512 characters"),
        (b"a" * (LONGEST_NAME + 1) + b"=1", "must have names of 1 to 64 and values of up to 512 characters"),
        (b"a=" + b"1" * (LONGEST_VALUE + 1), "must have names of 1 to 64 and values of up to 512 characters"),
        (
            b",".join(b"a%d=1" % number for number in range(MOST + 1)),
            "must have at most 16 tags, together with those of metadata",
        ),
    ],
)
def test_a_header_at_fault_is_named(value: bytes, message: str) -> None:
    assert refusal(value) == message


def test_the_bound_is_of_both_together() -> None:
    known = {f"k{number}": "" for number in range(MOST - 1)}
    assert len(read(b"a=1", known=known)) == MOST
    assert refusal(b"a=1,b=2", known=known) == "must have at most 16 tags, together with those of metadata"


@given(
    st.dictionaries(
        st.text(ANY, min_size=1, max_size=LONGEST_NAME),
        st.text(ANY, max_size=LONGEST_VALUE),
        max_size=MOST,
    )
)
def test_whatever_is_encoded_is_read_as_it_was(tags: Mapping[str, str]) -> None:
    text = ",".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in tags.items())
    assert read(text.encode()) == tags
