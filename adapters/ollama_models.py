"""The list of models that an Ollama server has: `GET /api/tags`, all of it at once.

Source: Ollama API documentation, "List Local Models". How much a model takes is not in it.
"""

from typing import Final

import msgspec

from adapters.wire import broken, decoded
from scaigrid.adapter import Offer, Offers


class _Model(msgspec.Struct):
    name: str


class _List(msgspec.Struct):
    models: list[_Model]


_list: Final = msgspec.json.Decoder(_List)


def offers(body: bytes) -> Offers:
    """All of it. Raises UPSTREAM_SHAPE_MISMATCH."""
    found = decoded(_list, body).models
    if not all(model.name for model in found):
        raise broken("a model without a name")
    return Offers([Offer(model=model.name) for model in found])
