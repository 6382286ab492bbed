"""The list of models as Cohere gives it: `GET /v1/models`, in pages of at most a thousand.

Source: Cohere API reference, "List Models".
"""

from typing import Final
from urllib.parse import urlencode

import msgspec

from adapters.wire import broken, decoded
from scaigrid.adapter import Offer, Offers

_PAGE: Final = 1000
_MOST: Final = 2**40
"""Tokens; what is said beyond is taken for unsaid."""


class _Model(msgspec.Struct):
    name: str
    context_length: float | None = None


class _Page(msgspec.Struct):
    models: list[_Model]
    next_page_token: str | None = None


_page: Final = msgspec.json.Decoder(_Page)


def path(after: str | None) -> str:
    """What is asked for: the page that the one before named."""
    asked: dict[str, str | int] = {"page_size": _PAGE}
    if after is not None:
        asked["page_token"] = after
    return f"/v1/models?{urlencode(asked)}"


def offers(body: bytes) -> Offers:
    """One page. Raises UPSTREAM_SHAPE_MISMATCH."""
    page = decoded(_page, body)
    if not all(model.name for model in page.models):
        raise broken("a model without a name")
    models = [
        Offer(model=model.name, owned_by="cohere", context_window=_some(model.context_length)) for model in page.models
    ]
    return Offers(models, page.next_page_token or None)


def _some(tokens: float | None) -> int | None:
    return int(tokens) if tokens is not None and 1 <= tokens <= _MOST else None
