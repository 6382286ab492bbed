"""Answers made of choices, as the native and the OpenAI dialect have them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.conformance.dialects.reading import thoughts
from tests.conformance.told import Called, Choice, Cited
from tests.conformance.wire import DONE, decoded, frames
from tests.harness.answers import ReadChoice, gather, whole

_Found = Mapping[int, ReadChoice]


def of_plain(choices: Sequence[dict[str, Any]], reasoning: str) -> dict[int, Choice]:
    """The choices of a plain answer; `reasoning` is the dialect's name for it."""
    found = _choices(whole(choices, reasoning))
    for one in choices:
        found[one["index"]].citations = cited([one["message"]])
    return found


def of_stream(chunks: Sequence[dict[str, Any]], reasoning: str, slug: str, *, failed: bool) -> dict[int, Choice]:
    """The choices of a stream, each with one role and, where it did not fail, one end."""
    assert {chunk["model"] for chunk in chunks} <= {slug}, "another model's name"
    assert len({chunk["id"] for chunk in chunks}) <= 1, "more than one id"
    gathered = gather(chunks, reasoning)
    for index, choice in gathered.items():
        assert choice.roles == ["assistant"], f"the role of choice {index} came {len(choice.roles)} times"
        assert len(choice.finishes) == (0 if failed else 1), f"choice {index} ends {len(choice.finishes)} times"
        assert list(choice.tools) == list(range(len(choice.tools))), "tool calls are not numbered from 0"
    found = _choices(gathered)
    for index, one in found.items():
        deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
        one.citations = cited(deltas)
    return found


def last_usage(chunks: Sequence[dict[str, Any]], *, wanted: bool) -> dict[str, Any] | None:
    """Usage comes once, in a last chunk without choices."""
    with_usage = [place for place, chunk in enumerate(chunks) if chunk.get("usage") is not None]
    if not wanted:
        assert not any("usage" in chunk for chunk in chunks), "usage that nobody asked for"
        return None
    if not with_usage:
        return None
    assert with_usage == [len(chunks) - 1], "usage before the end"
    assert chunks[-1]["choices"] == [], "usage beside a choice"
    told: dict[str, Any] = chunks[-1]["usage"]
    return told


def cited(said: Sequence[dict[str, Any]]) -> list[Cited]:
    """The sources that messages, or deltas, name."""
    found = [Cited(**one) for message in said for one in message.get("citations") or ()]
    for note in (note for message in said for note in message.get("annotations") or ()):
        source = note["url_citation"]
        found.append(
            Cited(
                url=source["url"], title=source["title"] or None, start=source["start_index"], end=source["end_index"]
            )
        )
    return found


def message(answer: bytes, reasoning: str, *, streamed: bool) -> dict[str, Any]:
    """The first choice's message as a client sends it back; a stream is put together."""
    if not streamed:
        body = decoded(answer)
        said: dict[str, Any] = body.get("data", body)["choices"][0]["message"]
        return {name: value for name, value in said.items() if value is not None}
    chunks = [frame.json for frame in frames(answer) if frame.data != DONE]
    one = gather(chunks, reasoning)[0]
    put: dict[str, Any] = {"role": "assistant"}
    if one.text:
        put["content"] = one.text
    if one.provider_state is not None:
        put["provider_state"] = one.provider_state
    if calls := [
        {"id": tool.id, "type": "function", "function": {"name": tool.name, "arguments": tool.arguments}}
        for tool in one.tools.values()
    ]:
        put["tool_calls"] = calls
    return put if len(put) > 1 else {**put, "content": ""}


def goes_on(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages behind an answer: what its tools answered, or what the user says to it."""
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in message.get("tool_calls") or ()
    ]
    return results or [{"role": "user", "content": "Go on."}]


def _choices(found: _Found) -> dict[int, Choice]:
    return {
        index: Choice(
            text=one.text,
            reasoning=one.reasoning,
            refusal=one.refusal,
            tools=[Called(tool.id, tool.name, json.loads(tool.arguments)) for tool in one.tools.values()],
            finish=one.finishes[0] if one.finishes else None,
            thoughts=thoughts(one.provider_state),
            tokens=[(token["token"], token["logprob"]) for token in one.logprobs],
        )
        for index, one in found.items()
    }
