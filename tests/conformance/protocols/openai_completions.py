"""Legacy completions of the OpenAI protocol, which are only passed through: elsewhere they are chats."""

from typing import Any, Final

from tests.conformance import cases
from tests.conformance.cases import NotRun
from tests.conformance.protocol import Protocol
from tests.conformance.protocols.openai_chat import model, streams
from tests.conformance.protocols.openai_chat_told import fails, usage
from tests.conformance.told import Choice, Told
from tests.conformance.wire import decoded
from tests.harness.recordings import Recorded

PATH: Final = "/v1/completions"


def operation(one: Recorded) -> str | None:
    return "completion" if cases.asks(one, PATH) else None


def to_native(one: Recorded) -> dict[str, Any]:
    raise NotRun("a legacy completion is passed through, or a chat")


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """The body as it is: nothing is overlooked of what is passed through."""
    return body


def told(one: Recorded) -> Told:
    """A plain answer's texts; a stream is compared event by event."""
    if codes := fails(one):
        return Told(failed=codes)
    said: list[dict[str, Any]] = [] if streams(one) else decoded(one.response_body)["choices"]
    choices = {choice["index"]: Choice(choice["text"]) for choice in said}
    return Told(choices=choices, tokens=usage(one))


def upstream(one: Recorded) -> str:
    return "/completions"


def surface(one: Recorded) -> str | None:
    return "openai/completions"


PROTOCOL: Final = Protocol(
    name="openai completions",
    operation=operation,
    provider=cases.provider,
    model=model,
    streams=streams,
    to_native=to_native,
    normal=normal,
    told=told,
    upstream=upstream,
    surface=surface,
)
