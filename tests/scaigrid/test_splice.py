import json
import tracemalloc

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.splice import DuplicateKey, members, remove, replace, spans

SPACE = st.text(" \t\n\r", max_size=3)
KEYS = st.one_of(
    st.sampled_from(["model", "messages", "a", "", "max_tokens"]),
    st.text('ab"\\/{}[]:, \n\té€𝄞', max_size=6),
)
NUMBERS = st.sampled_from(
    ["0", "-0", "1", "12", "1.5", "1.50", "1e5", "1E+5", "-12.0e-3", "123456789012345678901234567890"]
)
SCALARS = st.one_of(st.sampled_from(["null", "true", "false"]), NUMBERS)


@st.composite
def strings(draw: st.DrawFn, texts: st.SearchStrategy[str] = KEYS) -> tuple[str, str]:
    """A text, and one of the ways to write it in JSON: each character as it is, or escaped."""
    text = draw(texts)
    written = ""
    for character in text:
        ways = [json.dumps(character)[1:-1], json.dumps(character, ensure_ascii=False)[1:-1]]
        if ord(character) < 0x10000:
            ways.append(f"\\u{ord(character):04x}")
        written += draw(st.sampled_from(ways))
    return text, f'"{written}"'


def listed(items: st.SearchStrategy[str], opening: str, closing: str) -> st.SearchStrategy[str]:
    """What stands between brackets, with odd spaces."""

    @st.composite
    def build(draw: st.DrawFn) -> str:
        inside = [draw(SPACE) + item + draw(SPACE) for item in draw(st.lists(items, max_size=3))]
        return opening + (",".join(inside) or draw(SPACE)) + closing

    return build()


@st.composite
def members_of(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    return draw(strings())[1] + draw(SPACE) + ":" + draw(SPACE) + draw(values)


def nested(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(listed(values, "[", "]"), listed(members_of(values), "{", "}"))


VALUES = st.recursive(st.one_of(SCALARS, strings().map(lambda pair: pair[1])), nested, max_leaves=6)


@st.composite
def objects(draw: st.DrawFn, *, least: int = 0) -> tuple[bytes, list[tuple[str, str]]]:
    """The text of a JSON object whose members all differ, and the members: name, and value as it is written."""
    pairs = draw(st.lists(st.tuples(strings(), VALUES), min_size=least, max_size=6, unique_by=lambda pair: pair[0][0]))
    return written(draw, [(key, value) for (_, key), value in pairs]), [(name, value) for (name, _), value in pairs]


def written(draw: st.DrawFn, pairs: list[tuple[str, str]]) -> bytes:
    inside = [f"{draw(SPACE)}{key}{draw(SPACE)}:{draw(SPACE)}{value}{draw(SPACE)}" for key, value in pairs]
    return f"{draw(SPACE)}{{{','.join(inside) or draw(SPACE)}}}{draw(SPACE)}".encode()


def located(text: bytes) -> dict[str, tuple[int, int]]:
    return spans(text, members(text))


def alternating(text: bytes, at: dict[str, tuple[int, int]]) -> list[bytes]:
    """What stands between the values."""
    edges = [0, *(edge for span in at.values() for edge in span), len(text)]
    return [text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]


@settings(deadline=None)
@given(objects())
def test_a_span_holds_the_value_as_the_sender_wrote_it(given_object: tuple[bytes, list[tuple[str, str]]]) -> None:
    text, pairs = given_object
    found = {name: text[start:end].decode() for name, (start, end) in located(text).items()}
    assert list(found.items()) == pairs


@settings(deadline=None)
@given(objects(), st.dictionaries(KEYS, VALUES, max_size=4))
def test_replacing_is_updating(given_object: tuple[bytes, list[tuple[str, str]]], new: dict[str, str]) -> None:
    text, _ = given_object
    at = located(text)
    edited = replace(text, at, {name: value.encode() for name, value in new.items()})
    assert json.loads(edited) == {**json.loads(text), **{name: json.loads(value) for name, value in new.items()}}
    assert len(located(edited)) == len(at.keys() | new.keys())


@settings(deadline=None)
@given(objects(least=1), st.data())
def test_bytes_outside_of_the_replaced_values_stay_the_senders(
    given_object: tuple[bytes, list[tuple[str, str]]], data: st.DataObject
) -> None:
    text, pairs = given_object
    at = located(text)
    names = data.draw(st.sets(st.sampled_from([name for name, _ in pairs]), min_size=1))
    edited = replace(text, at, dict.fromkeys(names, b'{"new": [1]}'))
    after = located(edited)
    assert list(after) == list(at)
    assert alternating(edited, after) == alternating(text, at)
    for name, (start, end) in after.items():
        assert edited[start:end] == (b'{"new": [1]}' if name in names else text[slice(*at[name])])


@settings(deadline=None)
@given(objects(), st.dictionaries(KEYS, VALUES, min_size=1, max_size=3))
def test_what_is_added_stands_before_everything_else(
    given_object: tuple[bytes, list[tuple[str, str]]], new: dict[str, str]
) -> None:
    text, pairs = given_object
    added = {name: value.encode() for name, value in new.items() if name not in dict(pairs)}
    edited = replace(text, located(text), added)
    brace = text.index(b"{") + 1
    assert edited.startswith(text[:brace])
    assert edited.endswith(text[brace:])
    assert list(located(edited)) == [*added, *(name for name, _ in pairs)]


def test_replacing_nothing_changes_nothing() -> None:
    text = b' { "b" : 1.50 ,\n"a":[ 1, 2 ] } '
    assert replace(text, located(text), {}) == text


@pytest.mark.parametrize(
    ("text", "values", "edited"),
    [
        (b'{"model":"a","n":1}', {"model": b'"b"'}, b'{"model":"b","n":1}'),
        (b'{"n":1, "model" : "a" }', {"model": b'"b"'}, b'{"n":1, "model" : "b" }'),
        (b'{"model":"a"}', {"max_tokens": b"5", "model": b'"b"'}, b'{"max_tokens":5,"model":"b"}'),
        (b"{}", {"a": b"1", "b": b"2"}, b'{"a":1,"b":2}'),
        (b" { } ", {"a": b"1"}, b' {"a":1 } '),
        # Shorter and longer values at once, given in another order
        (b'{"a":111,"b":2,"c":3}', {"c": b"[3,3]", "a": b"1"}, b'{"a":1,"b":2,"c":[3,3]}'),
        # A name that needs escaping is escaped
        (b'{"a":1}', {'q"\\\n': b"2"}, b'{"q\\"\\\\\\n":2,"a":1}'),
        # Numbers that floats cannot hold, and escapes, stay
        (
            b'{"seed":123456789012345678901,"t":1.10,"s":"\\u00e9\\/","model":"a"}',
            {"model": b'"b"'},
            b'{"seed":123456789012345678901,"t":1.10,"s":"\\u00e9\\/","model":"b"}',
        ),
    ],
)
def test_a_splice_changes_what_it_names(text: bytes, values: dict[str, bytes], edited: bytes) -> None:
    assert replace(text, located(text), values) == edited


@settings(deadline=None)
@given(objects(least=1), st.data())
def test_removing_takes_one_member_and_leaves_the_others_as_they_were(
    given_object: tuple[bytes, list[tuple[str, str]]], data: st.DataObject
) -> None:
    text, pairs = given_object
    gone = data.draw(st.sampled_from([name for name, _ in pairs]))
    edited = remove(text, located(text), gone)
    after = located(edited)
    assert [(name, edited[start:end].decode()) for name, (start, end) in after.items()] == [
        pair for pair in pairs if pair[0] != gone
    ]
    assert json.loads(edited) == {name: json.loads(value) for name, value in pairs if name != gone}


@pytest.mark.parametrize(
    ("text", "name", "edited"),
    [
        (b'{"a":1}', "a", b"{}"),
        (b' { "a" : 1 } ', "a", b" { } "),
        (b'{"a":1,"b":2,"c":3}', "a", b'{"b":2,"c":3}'),
        (b'{"a":1,"b":2,"c":3}', "b", b'{"a":1,"c":3}'),
        (b'{"a":1,"b":2,"c":3}', "c", b'{"a":1,"b":2}'),
        (b'{ "a":"," , "b":"}" }', "a", b'{ "b":"}" }'),
        (b'{ "a":"," , "b":"}" }', "b", b'{ "a":"," }'),
    ],
)
def test_the_first_middle_last_or_only_member_goes_with_one_comma(text: bytes, name: str, edited: bytes) -> None:
    assert remove(text, located(text), name) == edited


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b'{"a":1,"a":2}', "a"),
        (b'{"a":1,"a":1}', "a"),
        (b'{"a":1,"b":2,"a":1}', "a"),
        (b'{"a":1,"b":2,"b":2}', "b"),
        (b'{"a":1,"b":2,"b":2,"c":3}', "b"),
        (b'{"a":1,"b":2,"a":1,"c":3}', "a"),
        (b'{"":1,"":1}', ""),
        # The same key, written in another way
        (b'{"a":1,"\\u0061":1}', "a"),
        (b'{"\\u0061":1,"a":1}', "a"),
        (b'{"a":1,"\\u0061":2,"b":3}', "a"),
        (b'{"\\u0061":1,"\\u0061":2}', "a"),
        (b'{"a\\/b":1,"a/b":1}', "a/b"),
        # The value that is kept is the beginning of the one that stands first
        (b'{"a":12,"a":1}', "a"),
        (b'{"a":1.5,"a":1}', "a"),
        (b'{"a":1e5,"a":1,"b":2}', "a"),
        (b'{"b":2,"a":12,"a":1}', "a"),
        # Values that look like members
        (b'{"a":"\\",\\"a\\":1","b":1,"a":"\\",\\"a\\":1"}', "a"),
        (b'{"a":{"a":1},"a":{"a":1}}', "a"),
        (b'{"a":[{"b":1}],"b":1,"b":1}', "b"),
        (b'{"model":"cheap","messages":[],"model":"dear"}', "model"),
    ],
)
def test_a_key_that_is_given_twice_is_named(text: bytes, name: str) -> None:
    with pytest.raises(DuplicateKey) as caught:
        located(text)
    assert caught.value.args == (name,)


@st.composite
def doubled(draw: st.DrawFn) -> tuple[bytes, str]:
    """An object in which one key is given once more, anywhere, written in any way, with any value or with the same."""
    pairs = draw(st.lists(st.tuples(strings(), VALUES), min_size=1, max_size=5, unique_by=lambda pair: pair[0][0]))
    (name, _), value = draw(st.sampled_from(pairs))
    again = draw(strings(st.just(name)))
    flat = [(key, old) for (_, key), old in pairs]
    flat.insert(draw(st.integers(0, len(flat))), (again[1], draw(st.one_of(st.just(value), VALUES, NUMBERS))))
    return written(draw, flat), name


@settings(deadline=None, max_examples=80)
@given(doubled())
def test_no_way_to_give_a_key_twice_gets_through(given_object: tuple[bytes, str]) -> None:
    text, name = given_object
    with pytest.raises(DuplicateKey) as caught:
        located(text)
    assert caught.value.args == (name,)


def test_a_key_that_is_given_twice_inside_of_a_value_is_not_our_business() -> None:
    text = b'{"a":{"x":1,"x":2},"x":[{"x":1,"x":1}]}'
    assert list(located(text)) == ["a", "x"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"[]",
        b"1",
        b'"a"',
        b"null",
        b"{",
        b'{"a":1',
        b'{"a":1,}',
        b'{"a" 1}',
        b'{"a":1}x',
        b'{"a":1}{}',
        b"{'a':1}",
        b'{"a":01}',
        b'{"a":NaN}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\n"}',
        b'{"a":"\\x"}',
        b'{"\\ud800":1}',
    ],
)
def test_anything_but_a_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        members(text)


@pytest.mark.parametrize("text", [b'{"\xff":1}', b'{"a":1,"\xed\xa0\x80":1}'])
def test_a_key_that_is_not_utf8_is_refused(text: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        members(text)


def test_an_object_without_members_has_no_spans() -> None:
    assert located(b" {\n} ") == {}


@pytest.mark.parametrize("piece", [b"a", b"\\n", b'\\"'], ids=["plain", "escaped", "quotes"])
def test_a_key_of_megabytes_costs_no_more_memory_than_itself(piece: bytes) -> None:
    """A pattern that can go back remembers a place for each character: a hundred times the key."""
    size = 1_000_000
    text = b'{"' + piece * (size // len(piece)) + b'":1}'
    found = members(text)
    tracemalloc.start()
    try:
        assert [end - start for start, end in spans(text, found).values()] == [1]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * size
