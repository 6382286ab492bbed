"""The list of models as Anthropic gives it: `GET /models`, the newest first, in pages of at most a thousand.

Source: Anthropic API reference, "List Models".
"""

from typing import Final
from urllib.parse import urlencode

import msgspec

from adapters.wire import broken, decoded
from scaigrid.adapter import Offer, Offers

_PAGE: Final = 1000


class _Model(msgspec.Struct):
    id: str
    display_name: str | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None


class _Page(msgspec.Struct):
    data: list[_Model]
    has_more: bool = False
    last_id: str | None = None


_page: Final = msgspec.json.Decoder(_Page)


def path(after: str | None) -> str:
    """What is asked for: the page that begins behind the model `after`."""
    asked: dict[str, str | int] = {"limit": _PAGE}
    if after is not None:
        asked["after_id"] = after
    return f"/models?{urlencode(asked)}"


def offers(body: bytes) -> Offers:
    """One page. Raises UPSTREAM_SHAPE_MISMATCH."""
    page = decoded(_page, body)
    if page.has_more and not page.last_id:
        raise broken("a page of models that does not say where it ends")
    models = [
        Offer(
            model=model.id,
            display_name=model.display_name or None,
            owned_by="anthropic",
            context_window=_some(model.max_input_tokens),
            max_output_tokens=_some(model.max_tokens),
        )
        for model in page.data
    ]
    if not all(model.model for model in models):
        raise broken("a model without a name")
    return Offers(models, page.last_id if page.has_more else None)


def _some(tokens: int | None) -> int | None:
    return tokens if tokens is not None and tokens > 0 else None
