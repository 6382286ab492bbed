"""The list of a region's models: `GET /foundation-models` of Bedrock's control plane, all on one page.

Source: Amazon Bedrock API reference, "ListFoundationModels". It has no word about the sizes of models.
"""

from typing import Final

import msgspec

from adapters.wire import broken, decoded
from scaigrid.adapter import Offer, Offers

PATH: Final = "/foundation-models"
_RUNTIME: Final = "://bedrock-runtime"
_CONTROL: Final = "://bedrock"


class _Model(msgspec.Struct, rename="camel"):
    model_id: str
    model_name: str | None = None
    provider_name: str | None = None


class _Page(msgspec.Struct, rename="camel"):
    model_summaries: list[_Model]


_page: Final = msgspec.json.Decoder(_Page)


def url(base_url: str) -> str:
    """Where the list is: on a host of its own beside Amazon's runtime, on the same host behind any other address."""
    return base_url.replace(_RUNTIME, _CONTROL, 1) + PATH


def offers(body: bytes) -> Offers:
    """The list. Raises UPSTREAM_SHAPE_MISMATCH."""
    models = decoded(_page, body).model_summaries
    if not all(model.model_id for model in models):
        raise broken("a model without a name")
    return Offers(
        [
            Offer(
                model=model.model_id,
                display_name=model.model_name or None,
                owned_by=model.provider_name.lower() if model.provider_name else None,
            )
            for model in models
        ]
    )
