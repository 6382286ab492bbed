"""Who did what."""

from scaigrid.api import examples
from scaigrid.api.audit_log import (
    PATH,
    AuditExportQuery,
    AuditItem,
    AuditItems,
    AuditQuery,
    ChainItem,
    ChainsQuery,
)
from scaigrid.api.envelope import ListEnvelope
from scaigrid.api.export import MEDIA_TYPES
from scaigrid.api.operation import Area, Operation
from scaigrid.api.resources.examples import id_of
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.errors import Code

_ITEM = AuditItem(
    id=id_of("audit"),
    timestamp="2026-11-02T09:30:00.000000Z",
    action="tenant.update",
    actor_id=id_of("user"),
    actor_email="ada@example.com",
    actor_type="user",
    tenant_id=id_of("tenant"),
    partner_id=id_of("partner"),
    resource_type="tenant",
    resource_id=id_of("tenant"),
    ip_address="192.0.2.7",
    user_agent="curl/8.5.0",
    status="SUCCESS",
    http_status=200,
    error_code=None,
    request_id=examples.REQUEST_ID,
    before={"display_name": "Initech", "suspended": False},
    after={"display_name": "Initech", "suspended": True},
)
_REACH = (
    "A tenant's administrators see the records of the tenant, a partner's those of the partner and of its tenants, the "
    "platform's all."
)
_MOMENT = "A record can be read a moment after its request was answered."
_CSV = "id,timestamp,action\r\naudit_019ab3d0c2c8,2026-11-02T09:30:00.000000Z,tenant.update\r\n"
_NDJSON = '{"id":"audit_019ab3d0c2c8","timestamp":"2026-11-02T09:30:00.000000Z","action":"tenant.update"}\n'

AREA = Area(
    "Audit log",
    "Who did what to which resource: every request that changes something, is meant to, or calls a model.",
    (
        Operation(
            path=PATH,
            name="listAuditLog",
            summary="Records, newest first",
            description=f"{_REACH} A filter for anything beyond finds nothing. {_MOMENT} A change of a resource is "
            "recorded before it takes effect; where it then failed, a second record of the same request says so.",
            permission="admin:access",
            level="tenant",
            tenant_header=True,
            query=AuditQuery,
            answer=ListEnvelope[AuditItem],
            example=examples.listed(_ITEM),
            codes=(Code.NOT_FOUND, Code.STORE_UNAVAILABLE),
        ),
        Operation(
            path=f"{PATH}/export",
            name="exportAuditLog",
            summary="Records as a file, newest first",
            description=f"All that the filters find, however many, as CSV, JSON or one JSON object a line. {_REACH} "
            "In CSV, a text that a spreadsheet could take for a formula has an apostrophe ahead. Where the export "
            "fails midway, JSON is cut off, CSV ends with a line that begins with `# not complete`, and NDJSON with an "
            "object whose `status` is `error`.",
            permission="admin:access",
            level="tenant",
            tenant_header=True,
            query=AuditExportQuery,
            answer=Envelope[AuditItems],
            example=examples.enveloped(AuditItems(items=(_ITEM,))),
            texts={MEDIA_TYPES["csv"]: _CSV, MEDIA_TYPES["ndjson"]: _NDJSON},
            codes=(Code.NOT_FOUND, Code.STORE_UNAVAILABLE),
        ),
        Operation(
            path=f"{PATH}/verify",
            name="verifyAuditLog",
            summary="Whether records were changed, removed or put in",
            description="Walks the hash chain of each writer from its first record on; a long one takes a while. `ok` "
            "says that no record up to `last` was changed, removed or put in by anybody who has not rewritten all that "
            "follow it. It says nothing of records cut off at the end, of chains that were removed whole, and of what "
            "is not in the database yet: who keeps `writer`, `last` and `last_hash` elsewhere can tell these too.",
            permission="admin:access",
            level="platform",
            query=ChainsQuery,
            answer=ListEnvelope[ChainItem],
            example=examples.listed(
                ChainItem(
                    writer="worker_019ab3d0c2c85e1f0a7b3c4d5e6f7a8b",
                    status="ok",
                    first_bad=None,
                    last=48_151,
                    last_hash="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                )
            ),
            codes=(Code.STORE_UNAVAILABLE,),
        ),
    ),
)
