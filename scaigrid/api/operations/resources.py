"""The control plane's resources: the rows follow from the collections."""

from itertools import groupby

from scaigrid.api.collection_operations import operations
from scaigrid.api.operation import Area, Operation
from scaigrid.api.operations import keys, routing, tenancy
from scaigrid.api.resources import COLLECTIONS

_ABOUT = {
    "Tenancy": "Partners, their tenants, and the people in them.",
    "Keys": "API keys.",
    "Routing": "Providers, backends, models, and the routes between them.",
    "Budgets": "Hard budgets and request limits.",
}

_BESIDE: dict[str, tuple[Operation, ...]] = {
    "Tenancy": tenancy.ROWS,
    "Keys": keys.ROWS,
    "Routing": routing.ROWS,
}
"""The rows of what `resources.BESIDE` answers."""

AREAS = tuple(
    Area(
        name,
        _ABOUT[name],
        (*(row for collection in collections for row in operations(collection)), *_BESIDE.get(name, ())),
    )
    for name, collections in groupby(COLLECTIONS, key=lambda collection: collection.area)
)
"""In the order of `COLLECTIONS`; those of one area stand together there."""
