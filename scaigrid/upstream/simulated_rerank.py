"""The simulator's order of documents: by the share of the query's words that each has, the same each time."""

import re
from typing import Any, Final

import msgspec

from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.upstream.simulated import MOST_INPUTS, tokens_of

_WORD: Final = re.compile(r"\w+")


class _Asked(msgspec.Struct):
    query: str
    documents: list[str]
    top_n: int | None = None


_asked: Final = msgspec.json.Decoder(_Asked)


def ranked(body: bytes, name: str) -> bytes:
    """The answer to `body`, best first, of documents as good the first one first; `name` makes the id.

    Raises GatewayError for a bad request.
    """
    try:
        asked = _asked.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise GatewayError(Code.VALIDATION_ERROR, "Invalid body.", details=(Detail("body", str(error)),)) from None
    if len(asked.documents) > MOST_INPUTS:
        detail = Detail("documents", f"must have at most {MOST_INPUTS} entries")
        raise GatewayError(Code.VALIDATION_ERROR, details=(detail,))
    wanted = _words(asked.query)
    scores = [len(wanted & _words(one)) / max(len(wanted), 1) for one in asked.documents]
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    tokens = sum(len(tokens_of(asked.query)) + len(tokens_of(one)) for one in asked.documents)
    answer: dict[str, Any] = {
        "id": f"rerank-simulator-{name}",
        "results": [{"index": place, "relevance_score": scores[place]} for place in order][: asked.top_n],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return msgspec.json.encode(answer)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
