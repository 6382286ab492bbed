"""What an answer says, in no protocol's words: the invariants of a translation, and how two answers differ.

The expected one is read from a recording by `provider_openai` and `provider_anthropic`, the other one from the
gateway's own bytes here. Neither reading uses the product's code, but for the opaque `provider_state`.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from scaigrid import provider_state
from scaigrid.errors import TABLE, Code
from tests.conformance.wire import DONE, Frame, decoded, frames
from tests.harness.answers import ReadChoice, gather, whole


class Thought(msgspec.Struct, frozen=True):
    """A block of reasoning that its provider wants back unchanged."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


class Called(msgspec.Struct, frozen=True):
    """A tool call; `id` None where the provider gave none, so that any will do."""

    id: str | None
    name: str
    arguments: Any


class Choice(msgspec.Struct):
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tools: list[Called] = []
    finish: str | None = None
    """stop | length | tool_calls | content_filter, None where the answer broke off."""
    thoughts: list[Thought] = []
    """Those that have to come back; empty where the provider wants none."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """`cached` and `written` are parts of `input`, `reasoning` is part of `output`."""

    input: int
    output: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0


class Told(msgspec.Struct, kw_only=True):
    """One answer. `failed` has the codes that its failure may have; empty where it succeeded."""

    choices: dict[int, Choice] = {}
    tokens: Tokens | None = None
    failed: frozenset[Code] = frozenset()


class Reply(msgspec.Struct, frozen=True):
    """What the gateway answered."""

    status: int
    content_type: str
    body: bytes


class Spelling(msgspec.Struct, frozen=True):
    """How a dialect spells what both have."""

    reasoning: str
    enveloped: bool
    closes_failures: bool
    """A stream that failed still ends with `[DONE]`."""


SPELLINGS: Final[Mapping[str, Spelling]] = {
    "native": Spelling("reasoning", enveloped=True, closes_failures=True),
    "openai": Spelling("reasoning_content", enveloped=False, closes_failures=False),
}


class Broken(Exception):
    """The gateway's answer is no sound answer of its dialect; the text says why."""


def read(reply: Reply, dialect: str, slug: str, *, stream: bool, wants_usage: bool = True) -> Told:
    """What a client of `dialect` reads out of `reply`. Raises Broken."""
    spelling = SPELLINGS[dialect]
    try:
        if reply.status != 200:
            return _refused(reply, spelling)
        if stream:
            return _streamed(reply, dialect, spelling, slug, wants_usage=wants_usage)
        return _plain(reply, dialect, spelling, slug)
    except (AssertionError, LookupError, TypeError, ValueError, AttributeError) as error:
        start = reply.body[:300].decode("utf-8", "replace")
        raise Broken(f"{reply.status} {start!r} reads wrong: {type(error).__name__} {error}") from error


def _refused(reply: Reply, spelling: Spelling) -> Told:
    body = decoded(reply.body)
    assert ("status" in body) is spelling.enveloped, "not the dialect's own error shape"
    assert not ({"data", "choices"} & body.keys()), "an error that looks like a success"
    code = Code(body["error"]["code"])
    assert TABLE[code].status == reply.status, f"{code} is no {reply.status}"
    return Told(failed=frozenset({code}))


def _plain(reply: Reply, dialect: str, spelling: Spelling, slug: str) -> Told:
    assert reply.content_type.startswith("application/json"), reply.content_type
    body = decoded(reply.body)
    if spelling.enveloped:
        assert body["status"] == "ok"
        body = body["data"]
    assert body["model"] == slug, body["model"]
    return Told(
        choices=_choices(whole(body["choices"], spelling.reasoning)), tokens=_tokens(body.get("usage"), dialect)
    )


def _streamed(reply: Reply, dialect: str, spelling: Spelling, slug: str, *, wants_usage: bool) -> Told:
    assert reply.content_type.startswith("text/event-stream"), reply.content_type
    assert reply.body.endswith(b"\n\n"), "the last frame is not whole"
    found = frames(reply.body)
    failed = _failure(found, dialect)
    ends = [place for place, frame in enumerate(found) if frame.data == DONE]
    if not failed or spelling.closes_failures:
        assert ends == [len(found) - 1], f"ends at {ends} of {len(found)} frames"
        found.pop()
    else:
        assert not ends, "a failure that ends like a success"
    if failed:
        found.pop()
    assert all(frame.event is None for frame in found), "a frame with a name"
    chunks = [frame.json for frame in found]
    assert {chunk["model"] for chunk in chunks} <= {slug}, "another model's name"
    assert len({chunk["id"] for chunk in chunks}) <= 1, "more than one id"
    choices = gather(chunks, spelling.reasoning)
    for index, choice in choices.items():
        assert choice.roles == ["assistant"], f"the role of choice {index} came {len(choice.roles)} times"
        assert len(choice.finishes) == (0 if failed else 1), f"choice {index} ends {len(choice.finishes)} times"
        assert list(choice.tools) == list(range(len(choice.tools))), "tool calls are not numbered from 0"
    return Told(
        choices=_choices(choices),
        tokens=None if failed else _last_usage(chunks, dialect, wants_usage=wants_usage),
        failed=failed,
    )


def _last_usage(chunks: list[dict[str, Any]], dialect: str, *, wants_usage: bool) -> Tokens | None:
    """Usage comes once, in a last chunk without choices."""
    with_usage = [place for place, chunk in enumerate(chunks) if chunk.get("usage") is not None]
    if not wants_usage:
        assert not any("usage" in chunk for chunk in chunks), "usage that nobody asked for"
        return None
    if not with_usage:
        return None
    assert with_usage == [len(chunks) - 1], "usage before the end"
    assert chunks[-1]["choices"] == [], "usage beside a choice"
    return _tokens(chunks[-1]["usage"], dialect)


def _failure(found: list[Frame], dialect: str) -> frozenset[Code]:
    if dialect == "native":
        named = [frame.json["code"] for frame in found if frame.event == "error"]
    else:
        named = [frame.json["error"]["code"] for frame in found if frame.data != DONE and "error" in frame.json]
    assert len(named) < 2, "more than one failure"
    return frozenset(map(Code, named))


def _choices(found: Mapping[int, ReadChoice]) -> dict[int, Choice]:
    return {
        index: Choice(
            text=one.text,
            reasoning=one.reasoning,
            refusal=one.refusal,
            tools=[Called(tool.id, tool.name, json.loads(tool.arguments)) for tool in one.tools.values()],
            finish=one.finishes[0] if one.finishes else None,
            thoughts=thoughts(one.provider_state),
        )
        for index, one in found.items()
    }


def thoughts(state: str | None) -> list[Thought]:
    """What is in an opaque `provider_state`."""
    if state is None:
        return []
    return [Thought(part.text, part.signature, part.redacted) for part in provider_state.decode(state)]


def _tokens(usage: dict[str, Any] | None, dialect: str) -> Tokens | None:
    if usage is None:
        return None
    if dialect == "native":
        found = Tokens(
            input=usage["input_tokens"],
            output=usage["output_tokens"],
            cached=usage["cached_input_tokens"],
            written=usage["cache_write_tokens"],
            reasoning=usage["reasoning_tokens"],
        )
    else:
        prompt, completion = usage["prompt_tokens_details"], usage["completion_tokens_details"]
        found = Tokens(
            input=usage["prompt_tokens"],
            output=usage["completion_tokens"],
            cached=prompt["cached_tokens"],
            written=prompt["cache_write_tokens"],
            reasoning=completion["reasoning_tokens"],
        )
    assert usage["total_tokens"] == found.input + found.output, "the total is not the sum"
    assert found.cached + found.written <= found.input, "classes of input overlap"
    assert found.reasoning <= found.output, "more reasoning than output"
    return found


def differences(expected: Told, got: Told) -> list[str]:
    """In words, what `got` says otherwise than `expected`; nothing where it says the same."""
    if expected.failed:
        found = _failed_otherwise(expected, got)
    elif got.failed:
        return [f"failed with {', '.join(got.failed)}"]
    else:
        found = _differ("choices", list(expected.choices), list(got.choices))
        found += _differ("usage", expected.tokens, got.tokens)
    for index, one in expected.choices.items():
        found += _choice(f"choice {index}", one, got.choices.get(index, Choice()))
    return found


def _failed_otherwise(expected: Told, got: Told) -> list[str]:
    if not got.failed:
        return ["a success instead of a failure"]
    if got.failed <= expected.failed:
        return []
    return [f"failed with {', '.join(got.failed)} instead of {' or '.join(sorted(expected.failed))}"]


def _choice(where: str, expected: Choice, got: Choice) -> list[str]:
    found: list[str] = []
    for name in ("text", "reasoning", "refusal", "finish", "thoughts"):
        found += _differ(f"{where}: {name}", getattr(expected, name), getattr(got, name))
    found += _differ(f"{where}: tool calls", [_call(one) for one in expected.tools], [_call(one) for one in got.tools])
    for given, made in zip(expected.tools, got.tools, strict=False):
        if not made.id or (given.id is not None and made.id != given.id):
            found.append(f"{where}: the id of {given.name}: {made.id!r} instead of {given.id!r}")
    return found


def _call(one: Called) -> tuple[str, Any]:
    return one.name, one.arguments


def _differ(what: str, expected: object, got: object) -> list[str]:
    return [] if expected == got else [f"{what}: {_short(got)} instead of {_short(expected)}"]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 60]} ... {text[-50:]}"


_SHOWN: Final = 400
