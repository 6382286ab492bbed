"""The OpenAI dialect, as its clients write and read it: chat completions, completions and embeddings."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from scaigrid.errors import Code
from tests.conformance import refusals
from tests.conformance.cases import NotRun
from tests.conformance.client import Asking, Client, Passing
from tests.conformance.dialects import chunks, openai_write, reading
from tests.conformance.protocols.openai_chat_told import failure
from tests.conformance.protocols.openai_embeddings import numbers
from tests.conformance.told import Choice, Cited, Reply, Tokens, Told
from tests.conformance.wire import DONE, Frame, decoded

_REASONING: Final = "reasoning_content"
_PATHS: Final = {"chat": "/oai/v1/chat/completions", "embed": "/oai/v1/embeddings"}


def write(operation: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Raises NotRun for what this dialect has no words for."""
    match operation:
        case "chat":
            return openai_write.chat(asked)
        case "embed":
            return openai_write.embed(asked)
        case _:
            raise NotRun(f"the OpenAI dialect has no {operation}")


@reading.soundly
def read(reply: Reply, asking: Asking) -> Told:
    if reply.status != 200:
        body = decoded(reply.body)
        assert body.keys() == {"error"}, "an error that looks like a success"
        return reading.refused(reply, body["error"])
    if asking.stream:
        return _streamed(reply, asking)
    body = reading.plain(reply)
    assert body["model"] == asking.slug, body["model"]
    if asking.operation == "embed":
        assert [one["index"] for one in body["data"]] == list(range(len(body["data"]))), "vectors out of order"
        usage = body.get("usage")
        tokens = Tokens(input=usage["prompt_tokens"], output=0) if usage else None
        return Told(vectors=[numbers(one["embedding"]) for one in body["data"]], tokens=tokens)
    return Told(choices=chunks.of_plain(body["choices"], _REASONING), tokens=_tokens(body.get("usage")))


def _streamed(reply: Reply, asking: Asking) -> Told:
    found = reading.stream(reply)
    assert all(frame.event is None for frame in found), "a frame with a name"
    errors = [frame for frame in found if frame.data != DONE and "error" in frame.json]
    failed = frozenset(Code(frame.json["error"]["code"]) for frame in errors)
    assert len(errors) < 2, "more than one failure"
    ends = reading.end_of(found)
    if failed:
        assert not ends, "a failure that ends like a success"
        assert found[-1] is errors[0], "a failure that goes on"
    else:
        assert ends == [len(found) - 1], f"ends at {ends} of {len(found)} frames"
    said = [frame.json for frame in found[:-1]]
    usage = chunks.last_usage(said, wanted=asking.wants_usage)
    return Told(
        choices=chunks.of_stream(said, _REASONING, asking.slug, failed=bool(failed)),
        tokens=None if failed else _tokens(usage),
        failed=failed,
    )


def _tokens(usage: dict[str, Any] | None) -> Tokens | None:
    if usage is None:
        return None
    prompt, completion = usage["prompt_tokens_details"], usage["completion_tokens_details"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"], "the total is not the sum"
    return reading.sound(
        Tokens(
            input=usage["prompt_tokens"],
            output=usage["completion_tokens"],
            cached=prompt["cached_tokens"],
            written=prompt["cache_write_tokens"],
            reasoning=completion["reasoning_tokens"],
        )
    )


def tells(told: Told, streamed: bool) -> Told:
    """Of sources the pages alone, with where they stand; of vectors' tokens all are input."""
    choices = {index: _choice(choice) for index, choice in told.choices.items()}
    return msgspec.structs.replace(told, choices=choices)


def _choice(choice: Choice) -> Choice:
    pages = [
        Cited(url=one.url, title=one.title, start=one.start or 0, end=one.end or 0)
        for one in choice.citations
        if one.url is not None
    ]
    return msgspec.structs.replace(choice, citations=pages, stop_sequence=None)


def turn(asked: dict[str, Any], reply: Reply, streamed: bool) -> dict[str, Any]:
    message = chunks.message(reply.body, _REASONING, streamed=streamed)
    message.pop("annotations", None)
    return {**asked, "messages": [*asked["messages"], message, *chunks.goes_on(message)]}


# -- passed through --------------------------------------------------------------------------------------------------


def renamed(said: dict[str, Any], slug: str) -> dict[str, Any]:
    return {**said, "model": slug} if "model" in said else said


def same(said: dict[str, Any]) -> dict[str, Any]:
    return said


def ends(frame: Frame) -> bool:
    return frame.data == DONE


def embeddings_fail(found: Sequence[Frame]) -> tuple[int, frozenset[Code]] | None:
    """There is no stream of vectors."""
    return len(found), refusals.BROKEN


_CHAT: Final = Passing(renamed=renamed, same=same, ends=ends, failure=failure)

CLIENT: Final = Client(
    name="openai",
    title="OpenAI chat completions and embeddings",
    surfaces={
        "openai/chat": _PATHS["chat"],
        "openai/completions": "/oai/v1/completions",
        "openai/embeddings": _PATHS["embed"],
    },
    operations=_PATHS,
    write=write,
    read=read,
    tells=tells,
    turn=turn,
    passing={
        "openai/chat": _CHAT,
        "openai/completions": _CHAT,
        "openai/embeddings": Passing(renamed=renamed, same=same, ends=ends, failure=embeddings_fail),
    },
)
