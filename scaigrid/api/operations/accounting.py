"""What was used and what it cost."""

from scaigrid.api import examples
from scaigrid.api.envelope import ListEnvelope
from scaigrid.api.operation import Area, Operation
from scaigrid.api.usage import READING, UsageItem, UsageQuery
from scaigrid.errors import Code

AREA = Area(
    "Accounting",
    "What was used and what it cost.",
    (
        Operation(
            path="/v1/accounting/usage",
            name="listUsage",
            summary="Usage, newest first",
            description="One row for each attempt at a backend. The widest of the permissions says how far the rows "
            "reach; a filter for anything beyond it finds nothing.",
            permission=" or ".join(READING.permissions),
            query=UsageQuery,
            answer=ListEnvelope[UsageItem],
            example=examples.listed(examples.USAGE),
            codes=(Code.STORE_UNAVAILABLE,),
        ),
    ),
)
