"""The models that Google lists: those of a key of the Gemini API, or the publisher models of Vertex AI.

Source: Gemini API reference, "models.list"; Vertex AI API reference, "publishers.models.list".
"""

from typing import Final
from urllib.parse import urlencode

import msgspec

from adapters.counts import Count, tokens
from adapters.wire import broken, decoded
from scaigrid.adapter import Offer, Offers

_PAGE: Final = 1000


class _Model(msgspec.Struct, rename="camel"):
    name: str
    display_name: str | None = None
    input_token_limit: Count = None
    output_token_limit: Count = None


class _Page(msgspec.Struct, rename="camel"):
    """A page has one of the lists, or none where nothing is on it."""

    models: list[_Model] = []
    publisher_models: list[_Model] = []
    next_page_token: str | None = None


_page: Final = msgspec.json.Decoder(_Page)


def path(after: str | None) -> str:
    """What is asked for behind the list's address: the page that `after` names."""
    asked: dict[str, str | int] = {"pageSize": _PAGE}
    if after is not None:
        asked["pageToken"] = after
    return f"/models?{urlencode(asked)}"


def publishers(base_url: str) -> str:
    """Where Vertex AI lists its publisher models: beside the projects, and only in the beta of its API."""
    host, _, _ = base_url.partition("/v1/")
    return f"{host}/v1beta1/publishers/google"


def offers(body: bytes) -> Offers:
    """One page. Raises UPSTREAM_SHAPE_MISMATCH."""
    page = decoded(_page, body)
    models = [
        Offer(
            model=model.name.rpartition("models/")[2],
            display_name=model.display_name or None,
            owned_by="google",
            context_window=tokens(model.input_token_limit) or None,
            max_output_tokens=tokens(model.output_token_limit) or None,
        )
        for model in (*page.models, *page.publisher_models)
    ]
    if not all(model.model for model in models):
        raise broken("a model without a name")
    return Offers(models, page.next_page_token or None)
