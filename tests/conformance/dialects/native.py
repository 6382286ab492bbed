"""The native dialect, as its clients write and read it."""

from typing import Any, Final

import msgspec

from scaigrid.errors import Code
from tests.conformance.cases import NotRun
from tests.conformance.client import Asking, Client
from tests.conformance.dialects import chunks, reading
from tests.conformance.told import Reply, Tokens, Told
from tests.conformance.wire import decoded

_REASONING: Final = "reasoning"
_PATHS: Final = {
    "chat": "/v1/inference/chat",
    "embed": "/v1/inference/embed",
    "rerank": "/v1/inference/rerank",
}


def write(operation: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The words are this dialect's own. Raises NotRun for an operation that it does not have."""
    if operation not in _PATHS:
        raise NotRun(f"the native dialect has no {operation}")
    return asked


@reading.soundly
def read(reply: Reply, asking: Asking) -> Told:
    if reply.status != 200:
        body = decoded(reply.body)
        assert body["status"] == "error"
        assert "data" not in body, "an error that looks like a success"
        return reading.refused(reply, body["error"])
    if asking.stream:
        return _streamed(reply, asking)
    body = reading.plain(reply)
    assert body["status"] == "ok"
    data = body["data"]
    assert data["model"] == asking.slug, data["model"]
    told = Told(tokens=_tokens(data.get("usage")))
    match asking.operation:
        case "embed":
            assert [one["index"] for one in data["data"]] == list(range(len(data["data"]))), "vectors out of order"
            told.vectors = [one["embedding"] for one in data["data"]]
        case "rerank":
            told.ranked = [(one["index"], one["relevance_score"]) for one in data["results"]]
        case _:
            told.choices = chunks.of_plain(data["choices"], _REASONING)
    return told


def _streamed(reply: Reply, asking: Asking) -> Told:
    found = reading.stream(reply)
    failed = frozenset(Code(frame.json["code"]) for frame in found if frame.event == "error")
    assert sum(frame.event == "error" for frame in found) < 2, "more than one failure"
    assert reading.end_of(found) == [len(found) - 1], f"ends at {reading.end_of(found)} of {len(found)} frames"
    found.pop()
    if failed:
        found.pop()
    assert all(frame.event is None for frame in found), "a frame with a name"
    said = [frame.json for frame in found]
    return Told(
        choices=chunks.of_stream(said, _REASONING, asking.slug, failed=bool(failed)),
        tokens=None if failed else _tokens(chunks.last_usage(said, wanted=True)),
        failed=failed,
    )


def _tokens(usage: dict[str, Any] | None) -> Tokens | None:
    if usage is None:
        return None
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"], "the total is not the sum"
    return reading.sound(
        Tokens(
            input=usage["input_tokens"],
            output=usage["output_tokens"],
            cached=usage["cached_input_tokens"],
            written=usage["cache_write_tokens"],
            reasoning=usage["reasoning_tokens"],
        )
    )


def tells(told: Told, streamed: bool) -> Told:
    """All but which of the caller's stops the model met."""
    choices = {index: msgspec.structs.replace(choice, stop_sequence=None) for index, choice in told.choices.items()}
    return msgspec.structs.replace(told, choices=choices)


def turn(asked: dict[str, Any], reply: Reply, streamed: bool) -> dict[str, Any]:
    message = chunks.message(reply.body, _REASONING, streamed=streamed)
    return {**asked, "messages": [*asked["messages"], message, *chunks.goes_on(message)]}


CLIENT: Final = Client(
    name="native",
    title="Native",
    surfaces={f"native/{operation}": path for operation, path in _PATHS.items()},
    operations=_PATHS,
    write=write,
    read=read,
    tells=tells,
    turn=turn,
)
