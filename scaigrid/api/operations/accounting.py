"""What was used and what it cost."""

from scaigrid.api import examples
from scaigrid.api.envelope import ListEnvelope
from scaigrid.api.operation import Area, Operation
from scaigrid.api.usage import UsageItem, UsageQuery
from scaigrid.errors import Code

AREA = Area(
    "Accounting",
    "What was used and what it cost.",
    (
        Operation(
            path="/v1/accounting/usage",
            name="listUsage",
            summary="Usage, newest first",
            description="One row for each attempt at a backend. Needs a permission `accounting:view_own`, "
            "`view_tenant`, `view_partner` or `view_all`, and shows what that one reaches; a filter for anything "
            "beyond it finds nothing.",
            query=UsageQuery,
            answer=ListEnvelope[UsageItem],
            example=examples.listed(examples.USAGE),
            codes=(Code.AUTHZ_PERMISSION_DENIED, Code.STORE_UNAVAILABLE),
        ),
    ),
)
