"""The order of documents, as those make it who speak the OpenAI protocol; OpenAI itself has no such call."""

from typing import Any, Final

from tests.conformance import cases, refusals
from tests.conformance.cases import NotRun
from tests.conformance.protocol import Protocol
from tests.conformance.protocols.openai_chat import model
from tests.conformance.protocols.openai_chat_told import tokens
from tests.conformance.protocols.openai_embeddings import streams
from tests.conformance.told import Tokens, Told
from tests.conformance.wire import decoded
from tests.harness.recordings import Recorded

PATH: Final = "/v1/rerank"


def operation(one: Recorded) -> str | None:
    return "rerank" if cases.asks(one, PATH) else None


def to_native(one: Recorded) -> dict[str, Any]:
    """Raises NotRun."""
    asked = {name: value for name, value in one.request_json.items() if name != "model"}
    for name in asked.keys() - {"query", "documents", "top_n"}:
        raise NotRun(f"{name} has no native meaning for an order of documents")
    return asked


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """The body as it is; nothing is overlooked."""
    return body


def told(one: Recorded) -> Told:
    if one.status != 200:
        return Told(failed=refusals.codes(one.status, one.response_body.decode()))
    body = decoded(one.response_body)
    ranked = [(result["index"], result["relevance_score"]) for result in body["results"]]
    return Told(ranked=ranked, tokens=tokens(body.get("usage")) or Tokens(input=0, output=0))


def upstream(one: Recorded) -> str:
    return "/rerank"


PROTOCOL: Final = Protocol(
    name="openai rerank",
    operation=operation,
    provider=cases.provider,
    model=model,
    streams=streams,
    to_native=to_native,
    normal=normal,
    told=told,
    upstream=upstream,
)
