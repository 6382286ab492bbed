"""Prices as they were."""

from scaigrid.api import examples
from scaigrid.api.envelope import ListEnvelope
from scaigrid.api.operation import Area, Operation
from scaigrid.api.price_versions import PATH, READING, PriceVersionItem, PriceVersionsQuery
from scaigrid.errors import Code

_ITEM = PriceVersionItem(
    kind="model",
    subject_id=examples.MODEL.id,
    name=examples.MODEL.slug,
    version="29564f829e1b",
    since="2026-01-31T12:00:00.000000Z",
    prices=examples.MODEL_PRICES,
)

AREA = Area(
    "Prices",
    "Which prices were in force from when on.",
    (
        Operation(
            path=PATH,
            name="listPriceVersions",
            summary="Prices as they were",
            description="Every price of a model and every cost of a backend that was put in force, the latest first. "
            "Usage rows are stamped with the version that they were billed at.",
            permission=" or ".join(READING.permissions),
            query=PriceVersionsQuery,
            answer=ListEnvelope[PriceVersionItem],
            example=examples.listed(_ITEM),
            codes=(Code.STORE_UNAVAILABLE,),
        ),
    ),
)
