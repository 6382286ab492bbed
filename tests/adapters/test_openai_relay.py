import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.endpoints import COMPLETIONS
from adapters.openai_relay import PlainRelay, StreamRelay, relay
from scaigrid.call import Call
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Usage
from tests.adapters.calls import SLUG, byte_by_byte, openai

HEAD = '"id":"c-1","object":"chat.completion.chunk","created":7,"model":"upstream-1","system_fingerprint":"fp",'
DONE = b"data: [DONE]\n\n"


def event(choices: str = '[{"index":0,"delta":{"content":"Hi"}}]', tail: str = "", *, head: str = HEAD) -> bytes:
    return f'data: {{{head}"choices":{choices}{tail}}}\n\n'.encode()


def ours(text: bytes) -> bytes:
    """What the client gets of an event: the slug for the model's name."""
    return text.replace(b'"upstream-1"', b'"scailabs/best"')


def stream(*, keep_usage: bool = False) -> StreamRelay:
    return StreamRelay(SLUG, keep_usage=keep_usage)


def fed(pipe: StreamRelay, chunks: Iterable[bytes]) -> bytes:
    return b"".join([*[pipe.feed(chunk) for chunk in chunks], pipe.close()])


def test_a_stream_relays_events_and_a_plain_call_an_answer() -> None:
    asked: dict[str, Any] = {"model": SLUG, "messages": []}
    assert isinstance(relay(openai(asked)), PlainRelay)
    assert isinstance(relay(openai({**asked, "stream": True})), StreamRelay)
    plain = relay(openai({"model": SLUG, "input": "x"}))
    plain.feed(b'{"data":[]}')
    assert plain.close() == b'{"data":[]}'


def completion(*, stream: bool) -> Call:
    call = openai({"model": SLUG, "messages": [], "stream": stream})
    call.surface = COMPLETIONS
    return call


def test_a_legacy_completion_goes_through_like_any_other() -> None:
    choices = '[{"index":0,"text":"Once upon a time","logprobs":null,"finish_reason":null}]'
    events = [event(choices, ',"usage":null'), event(choices.replace("Once", "And"), ',"usage":null')]
    pipe = relay(completion(stream=True))
    out = b"".join([*[pipe.feed(one) for one in events], pipe.feed(DONE), pipe.close()])
    assert out == b"".join([ours(one).replace(b',"usage":null', b"") for one in events]) + DONE
    # Two texts of sixteen bytes and of fifteen, four bytes to a token.
    assert pipe.output_seen == 7


def test_a_plain_legacy_completion_goes_through_and_is_measured_by_its_text() -> None:
    body = b'{"id":"c","object":"text_completion","model":"upstream-1","choices":[%b]}'
    body %= b'{"index":0,"text":"Once upon a time","finish_reason":"stop"}'
    pipe = relay(completion(stream=False))
    pipe.feed(body)
    assert pipe.close() == ours(body)
    assert pipe.output_seen == 4


# -- streams ---------------------------------------------------------------------------------------------------------


def test_each_event_goes_out_at_once_and_the_end_waits_for_the_close() -> None:
    pipe = stream()
    assert (pipe.feed(event()), pipe.ended) == (ours(event()), False)
    assert (pipe.feed(DONE), pipe.ended) == (b"", True)
    assert pipe.feed(event()) == b""
    assert pipe.close() == DONE


def test_the_end_goes_out_with_its_own_line_ends() -> None:
    for end, out in (
        (b"data: [DONE]\r\n\r\n", b"data: [DONE]\r\n\r\n"),
        (b"data:[DONE]\n\n", b"data:[DONE]\n\n"),
        (b"data: [DONE]", b"data: [DONE]\n\n"),
        (b"data: [DONE]\n", b"data: [DONE]\n\n"),
    ):
        assert fed(stream(), [event(), end]) == ours(event()) + out


def test_nothing_but_the_top_level_model_is_renamed() -> None:
    inner = '[{"index":0,"delta":{"content":"\\"model\\":\\"upstream-1\\"","model":"upstream-1"},"model":"upstream-1"}]'
    tail = ',"nested":{"model":"upstream-1","usage":null}'
    for _ in ("taken apart", "known by its head"):
        out = fed(stream(), [event(inner, tail)] * 2 + [DONE])
        wanted = event(inner, tail, head=HEAD.replace('"upstream-1"', f'"{SLUG}"'))
        assert out == wanted * 2 + DONE


def test_nothing_but_the_top_level_usage_is_taken_out() -> None:
    inner = '[{"index":0,"delta":{"content":",\\"usage\\":null"},"usage":null}]'
    out = fed(stream(), [event(inner, ',"usage":null,"more":{"usage":null}')] * 2 + [DONE])
    assert out == ours(event(inner, ',"more":{"usage":null}')) * 2 + DONE


def test_a_stream_whose_usage_was_asked_for_keeps_it() -> None:
    report = '{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}'
    events = [event(tail=',"usage":null'), event("[]", f',"usage":{report}')]
    pipe = stream(keep_usage=True)
    assert fed(pipe, [*events, DONE]) == b"".join(map(ours, events)) + DONE
    assert pipe.usage == Usage(input=9, output=4)


def test_a_stream_whose_usage_was_not_asked_for_loses_the_event_that_only_tells_it() -> None:
    report = ',"usage":{"prompt_tokens":9,"completion_tokens":4}'
    moderation = event("[]", ',"moderation":{"flagged":false},"usage":null')
    pipe = stream()
    out = fed(pipe, [event(tail=',"usage":null'), event("[ ]", report), moderation, DONE])
    assert out == ours(event()) + ours(event("[]", ',"moderation":{"flagged":false}')) + DONE
    assert pipe.usage == Usage(input=9, output=4)


def test_usage_beside_a_choice_goes_and_the_choice_stays() -> None:
    pipe = stream()
    reports = [f',"usage":{{"prompt_tokens":9,"completion_tokens":{count}}}' for count in (1, 2, 3)]
    out = fed(pipe, [*(event(tail=report) for report in reports), DONE])
    assert out == ours(event()) * 3 + DONE
    assert pipe.usage == Usage(input=9, output=3)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ('{"choices":[],"model":"upstream-1","usage":null}', f'{{"choices":[],"model":"{SLUG}"}}'),
        ('{"usage":null,"model":"upstream-1","choices":[]}', f'{{"model":"{SLUG}","choices":[]}}'),
        ('{"model":"upstream-1","usage":null,"choices":[]}', f'{{"model":"{SLUG}","choices":[]}}'),
        ('{"model": "upstream-1", "choices": [], "usage": null}', f'{{"model": "{SLUG}", "choices": []}}'),
        ('{ "choices" : [] , "model" : "upstream-1" }', f'{{ "choices" : [] , "model" : "{SLUG}" }}'),
        ('{"choices":[],"x":1}', '{"choices":[],"x":1}'),
        ('{"model":null,"choices":[]}', f'{{"model":"{SLUG}","choices":[]}}'),
        ('{"model":"upstream-1","choices":[],"x":1,"usage":null}', f'{{"model":"{SLUG}","choices":[],"x":1}}'),
        ('{"m\\u006fdel":"upstream-1","choices":[]}', f'{{"m\\u006fdel":"{SLUG}","choices":[]}}'),
        ('{"model":"upstream-1","error":null,"choices":[]}', f'{{"model":"{SLUG}","error":null,"choices":[]}}'),
        ('{"model":"é","choices":["世界"]}', f'{{"model":"{SLUG}","choices":["世界"]}}'),
    ],
)
def test_members_may_stand_anywhere_and_however_spaced(given: str, wanted: str) -> None:
    frames = [f"data: {given}\n\n".encode()] * 2
    assert fed(stream(), [*frames, DONE]) == f"data: {wanted}\n\n".encode() * 2 + DONE


MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "id": st.sampled_from(["a", "b", 'q"{\\']),
    "model": st.sampled_from(["upstream-1", "upstream-2", None]),
    "created": st.integers(0, 2),
    "choices": st.sampled_from(
        [
            [],
            [{"index": 0, "delta": {"content": "x", "model": "upstream-1", "usage": None}}],
            [{"delta": {"content": "é"}}],
        ]
    ),
    "usage": st.sampled_from([None, None, None, {"prompt_tokens": 1, "completion_tokens": 2}]),
    "error": st.none(),
    "x_extra": st.sampled_from([{"usage": None, "model": "upstream-1"}, [1, {}], "usage"]),
}


@given(data=st.data(), keep_usage=st.booleans())
def test_short_cuts_end_where_the_long_way_does(data: st.DataObject, keep_usage: bool) -> None:
    """Any events in any order, spelled in three ways, against decoding and encoding them.

    Where there is white space between members, what is taken out may leave some.
    """
    given: list[bytes] = []
    wanted: list[bytes] = []
    for _ in range(data.draw(st.integers(1, 6))):
        names = data.draw(st.permutations(sorted(MEMBERS)))
        chosen = [name for name in names if name == "choices" or data.draw(st.booleans())]
        chunk = {name: data.draw(MEMBERS[name]) for name in chosen}
        comma, colon = data.draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :  ")]))
        encode = json.JSONEncoder(separators=(comma, colon), ensure_ascii=data.draw(st.booleans())).encode
        end = data.draw(st.sampled_from(["\n\n", "\r\n\r\n"]))
        given.append(f"data: {encode(chunk)}{end}".encode())
        only_usage = bool(chunk.get("usage")) and not chunk["choices"]
        if "model" in chunk:
            chunk["model"] = SLUG
        if not keep_usage:
            chunk.pop("usage", None)
        if keep_usage or not only_usage:
            wanted.append(f"data: {encode(chunk)}{end}".encode())
    out = fed(stream(keep_usage=keep_usage), [*given, DONE])
    if keep_usage or all(b", " not in one and b" ," not in one for one in given):
        assert out == b"".join([*wanted, DONE])
    assert told(out) == told(b"".join([*wanted, DONE]))
    cut = fed(stream(keep_usage=keep_usage), byte_by_byte(b"".join(given) + DONE))
    # Of an event that is taken out, the line feed of a cut line end may be left: a blank line more.
    assert re.findall(rb"[^\r\n]+", cut) == re.findall(rb"[^\r\n]+", out)


def told(text: bytes) -> list[list[tuple[str, Any]]]:
    """The members of each event, in their order."""
    events = [data for one in text.splitlines() if (data := one.removeprefix(b"data: ")) not in (b"", b"[DONE]")]
    return [list(json.loads(data).items()) for data in events]


def test_an_event_of_several_lines_keeps_what_it_is_not_about() -> None:
    given = b'id: 5\nevent: chunk\ndata: {"model":"upstream-1",\ndata: "choices":[],"usage":null}\n\n'
    out = fed(stream(), [given, DONE])
    # White space is the provider's; a line end within the data comes out as one.
    assert out == b'id: 5\nevent: chunk\ndata: {"model":"scailabs/best",\ndata: "choices":[]}\n\n' + DONE
    assert fed(stream(keep_usage=True), [b'id: 5\ndata:{"choices":[]}\n\n', DONE]).startswith(
        b'id: 5\ndata:{"choices":[]}'
    )


def test_comments_wait_for_the_first_event_and_then_pass() -> None:
    pipe = stream()
    assert pipe.feed(b": one\n\n") == b""
    assert pipe.feed(b": two\n\nretry: 3\n\n") == b""
    assert pipe.feed(event()) == b": one\n\n: two\n\nretry: 3\n\n" + ours(event())
    assert pipe.feed(b": three\n\n") == b": three\n\n"


def test_comments_that_never_end_do_not_fill_the_memory() -> None:
    pipe = stream()
    for _ in range(100):
        assert pipe.feed(b": " + b"x" * 1000 + b"\n\n") == b""
    assert len(pipe.feed(event())) < 70_000


def test_comments_about_an_event_that_is_taken_out_still_wait() -> None:
    pipe = stream()
    assert pipe.feed(b": one\n\n" + event("[]", ',"usage":{"prompt_tokens":1}') + b": two\n\n") == b""
    assert pipe.feed(event()) == b": one\n\n: two\n\n" + ours(event())


def test_a_line_end_that_was_cut_is_whole_at_the_client_whatever_becomes_of_the_event_behind_it() -> None:
    report = event("[]", ',"usage":{"prompt_tokens":1}').replace(b"\n", b"\r\n")
    first = event().replace(b"\n", b"\r\n")
    pipe = stream()
    assert pipe.feed(first[:-1]) == ours(first[:-1])
    assert pipe.feed(b"\n" + report) == b"\n"
    assert pipe.feed(first) == ours(first)


@pytest.mark.parametrize(
    "broken",
    [
        b"data: {\n\n",
        b"data: null\n\n",
        b"data: [1]\n\n",
        b"data: <html>\n\n",
        b'data: {"model":"upstream-1"}\n\n',
        b'data: {"model":"upstream-1","choices":null}\n\n',
        b'data: {"model":"upstream-1","choices":{}}\n\n',
        b'data: {"choices":[],"model":"a","model":"b"}\n\n',
        b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n',
        b"data: " + b'{"choices":' * 50_000 + b"\n\n",
        event()[:-3] + b"\n\n",
        event("{}"),
        event("[{]"),
        event('[{"delta":{"content":"\xff"}}]').replace(b"\xc3\xbf", b"\xff"),
        event().replace(b'"}}]', b'"}]'),
    ],
)
def test_an_event_that_is_broken_is_not_passed_on(broken: bytes) -> None:
    pipe = stream()
    with pytest.raises(GatewayError) as caught:
        pipe.feed(broken)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
    # Behind an event of the same head, in the same piece: what was sound goes out, and the failure comes next.
    pipe = stream()
    assert pipe.feed(event() + broken + DONE) == ours(event())
    with pytest.raises(GatewayError) as caught:
        pipe.feed(DONE)
    with pytest.raises(GatewayError) as again:
        pipe.close()
    assert caught.value.code is again.value.code is Code.UPSTREAM_SHAPE_MISMATCH
    assert not pipe.ended


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (b'data: {"error":{"message":"x","code":502}}\n\n', Code.BACKEND_ERROR),
        (b'event: error\ndata: {"message":"Too many","type":"rate_limit_error"}\n\n', Code.BACKEND_RATE_LIMITED),
        (b'data: {"error":{"message":"long","code":"context_length_exceeded"}}\n\n', Code.CONTEXT_TOO_LONG),
        (event(tail=',"error":{"message":"broke off","code":429}'), Code.BACKEND_RATE_LIMITED),
    ],
)
def test_a_failure_inside_a_stream_is_that_failure(failure: bytes, code: Code) -> None:
    for before in ([], [event()]):
        pipe = stream()
        for one in before:
            pipe.feed(one)
        with pytest.raises(GatewayError) as caught:
            pipe.feed(failure)
        assert caught.value.code is code


def test_a_failure_that_waited_stays_what_it_was() -> None:
    pipe = stream()
    assert pipe.feed(event() + b'data: {"error":{"code":429}}\n\n') == ours(event())
    for _ in range(2):
        with pytest.raises(GatewayError) as caught:
            pipe.close()
        assert caught.value.code is Code.BACKEND_RATE_LIMITED


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error":{"message":"x","type":"server_error"}}', Code.BACKEND_ERROR),
        (b'\n{\n "error": {"message": "x", "code": 429}\n}\n', Code.BACKEND_RATE_LIMITED),
        (b"<html>\n\n<body>no</body></html>", Code.UPSTREAM_SHAPE_MISMATCH),
        (b'{"id":"x","choices":[]}', Code.UPSTREAM_SHAPE_MISMATCH),
        (b"", Code.UPSTREAM_SHAPE_MISMATCH),
        (b": only comments\n\n", Code.UPSTREAM_SHAPE_MISMATCH),
        (DONE, Code.UPSTREAM_SHAPE_MISMATCH),
    ],
)
def test_something_else_than_a_stream_says_what_it_is(body: bytes, code: Code) -> None:
    for chunks in ([body], byte_by_byte(body)):
        pipe = stream()
        with pytest.raises(GatewayError) as caught:
            fed(pipe, chunks)
        assert caught.value.code is code


def test_a_stream_without_its_end_is_cut_short() -> None:
    pipe = stream()
    assert pipe.feed(event()) == ours(event())
    with pytest.raises(GatewayError) as caught:
        pipe.close()
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_output_that_passed_is_guessed_by_its_text_and_by_its_pieces() -> None:
    pipe = stream()
    pipe.feed(event('[{"index":0,"delta":{"role":"assistant","content":""}}]'))
    assert pipe.output_seen == 0
    for _ in range(3):
        pipe.feed(event('[{"index":0,"delta":{"content":"a"}}]'))
    assert pipe.output_seen == 3
    pipe.feed(event('[{"index":0,"delta":{"content":null,"reasoning_content":"%s"}}]' % ("word" * 10)))
    assert pipe.output_seen == 10
    pipe = stream()
    pipe.feed(event('[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]'))
    assert pipe.output_seen == 1


# -- plain answers ---------------------------------------------------------------------------------------------------


def plain(body: bytes, required: str = "choices") -> tuple[bytes, PlainRelay]:
    pipe = PlainRelay(SLUG, required=required)
    for chunk in byte_by_byte(body):
        assert pipe.feed(chunk) == b""
    return pipe.close(), pipe


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_a_plain_answer_is_the_providers_but_for_the_models_name(
    indent: int | None, separators: tuple[str, str]
) -> None:
    answer: dict[str, Any] = {
        "id": "x",
        "choices": [{"message": {"content": '"model": "upstream-1"'}, "model": "upstream-1"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}},
        "unknown": {"model": "upstream-1", "kept": [1.50, 1e3]},
    }
    for order in (["model", *answer], [*answer, "model"]):
        members = {name: answer.get(name, "upstream-1") for name in order}
        given = json.dumps(members, indent=indent, separators=separators)
        wanted = json.dumps({**members, "model": SLUG}, indent=indent, separators=separators)
        out, pipe = plain(given.encode())
        assert out == wanted.encode()
        assert pipe.usage == Usage(input=6, cache_read=4, output=5)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (b'{"choices":[]}', b'{"choices":[]}'),
        (b'{"id":"model","model":"a","choices":[]}', b'{"id":"model","model":"scailabs/best","choices":[]}'),
        (
            b'{"i":"\\"model\\":","model":"a","choices":[]}',
            b'{"i":"\\"model\\":","model":"scailabs/best","choices":[]}',
        ),
        (b'{"id":"{","model":"a","choices":[]}', b'{"id":"{","model":"scailabs/best","choices":[]}'),
        (b'{"a":{"model":"a"},"model":"a","choices":[]}', b'{"a":{"model":"a"},"model":"scailabs/best","choices":[]}'),
        (
            b'{"\\"model":"a","m\\u006fdel":"a","choices":[]}',
            b'{"\\"model":"a","m\\u006fdel":"scailabs/best","choices":[]}',
        ),
        (
            b'{"x":{"model":"a"},"m\\u006fdel":"a","choices":[]}',
            b'{"x":{"model":"a"},"m\\u006fdel":"scailabs/best","choices":[]}',
        ),
        (b'{"model" : "a" ,"choices":[]}', b'{"model" : "scailabs/best" ,"choices":[]}'),
        (b'{"model":null,"choices":[]}', b'{"model":"scailabs/best","choices":[]}'),
    ],
)
def test_a_plain_answers_model_is_found_where_it_is(given: bytes, wanted: bytes) -> None:
    assert plain(given)[0] == wanted


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", Code.UPSTREAM_SHAPE_MISMATCH),
        (b"<html>", Code.UPSTREAM_SHAPE_MISMATCH),
        (b"[]", Code.UPSTREAM_SHAPE_MISMATCH),
        (b'{"choices":[', Code.UPSTREAM_SHAPE_MISMATCH),
        (b'{"data":[]}', Code.UPSTREAM_SHAPE_MISMATCH),
        (b'{"choices":null}', Code.UPSTREAM_SHAPE_MISMATCH),
        (b'{"choices":[]} {}', Code.UPSTREAM_SHAPE_MISMATCH),
        (b'{"choices":["\xff"]}', Code.UPSTREAM_SHAPE_MISMATCH),
        (b'{"model":"a","choices":[],"model":"a"}', Code.UPSTREAM_SHAPE_MISMATCH),
        (b'{"error":{"message":"x","code":429},"choices":[]}', Code.BACKEND_RATE_LIMITED),
        (b'{"error":"overloaded"}', Code.BACKEND_ERROR),
    ],
)
def test_a_plain_answer_that_is_none_is_not_passed_on(body: bytes, code: Code) -> None:
    with pytest.raises(GatewayError) as caught:
        plain(body)
    assert caught.value.code is code


def test_a_plain_answer_without_usage_is_guessed_by_its_text() -> None:
    message = '{"index":0,"finish_reason":"stop","message":{"content":"%s"}}' % ("word" * 25)
    _, pipe = plain(f'{{"choices":[{message}]}}'.encode())
    assert (pipe.usage, pipe.output_seen) == (None, 25)
    # Something that can be passed on but not translated
    _, pipe = plain(b'{"choices":[{"message":{"content":"%b"}}]}' % (b"word" * 25))
    assert pipe.output_seen >= 25


def test_a_plain_answer_whose_usage_is_nothing_is_guessed_too() -> None:
    message = '{"index":0,"finish_reason":"stop","message":{"content":"%s"}}' % ("word" * 25)
    nothing = '{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}'
    _, pipe = plain(f'{{"choices":[{message}],"usage":{nothing}}}'.encode())
    assert (pipe.usage, pipe.output_seen) == (Usage(), 25)


def test_embeddings_cost_no_output() -> None:
    _, pipe = plain(b'{"data":[{"embedding":[1,2]}],"model":"a"}', "data")
    assert (pipe.usage, pipe.output_seen) == (None, 0)


PLACES: dict[str, tuple[Callable[[bytes], list[bytes]], bool]] = {
    "alone, first": (lambda words: [words + b"\n", event(), DONE], False),
    "ahead of the first": (lambda words: [words + event(), DONE], False),
    "alone": (lambda words: [event(), words + b"\n", DONE], True),
    "ahead of data": (lambda words: [event(), words + event(), DONE], True),
    "behind data": (lambda words: [event(), event()[:-1] + words + b"\n", DONE], True),
    "at the end": (lambda words: [event(), words + DONE], True),
}
"""What is said somewhere in a stream, and whether the caller has had its beginning by then."""


@pytest.mark.parametrize("words", [b"Authorization: Bearer k\n", b"database: k\n", b"event: x\n<html>\n"])
@pytest.mark.parametrize("place", PLACES)
def test_lines_that_are_no_field_of_an_event_end_the_stream_and_are_passed_to_nobody(words: bytes, place: str) -> None:
    chunks, begun = PLACES[place]
    pipe, out = stream(), b""
    code: Code | None = None
    try:
        for chunk in chunks(words):
            out += pipe.feed(chunk)
        out += pipe.close()
    except GatewayError as error:
        code = error.code
    assert code is Code.UPSTREAM_SHAPE_MISMATCH
    assert out == (ours(event()) if begun else b"")


def test_every_field_that_the_standard_knows_passes() -> None:
    events = [b"id: 1\nretry: 5\n" + event(), b": a comment\n\n", b"event: chunk\nid\n" + event(), b"\r\n" + event()]
    out = fed(stream(keep_usage=True), [*events, DONE])
    for one in (b"id: 1\nretry: 5\n", b": a comment\n\n", b"event: chunk\nid\n"):
        assert one in out
