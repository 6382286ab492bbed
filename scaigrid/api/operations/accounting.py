"""What was used and what it cost."""

from scaigrid.api import examples, margin, usage, usage_summary
from scaigrid.api.envelope import ListEnvelope
from scaigrid.api.export import MEDIA_TYPES
from scaigrid.api.margin import MarginItem, MarginQuery
from scaigrid.api.operation import Area, Operation
from scaigrid.api.usage import UsageExportQuery, UsageItem, UsageItems, UsageQuery
from scaigrid.api.usage_selection import READING
from scaigrid.api.usage_summary import SummaryItem, SummaryQuery
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.errors import Code

_PERMISSION = " or ".join(READING.permissions)
_REACH = "The widest of the permissions says how far the rows reach; a filter for anything beyond it finds nothing."
_EXACT = (
    "Any span is exact, to the row. Hours and days stay countable when rows have gone by age (`ledger.usage_days`); of "
    "those times, ask for whole hours, and later for whole days in UTC. Tags of one user, key, model or backend, or by "
    "these, are added up from the rows, and go with them."
)
_CSV = "id,request_id,created_at\r\nusage_019b76da81a2,req_019b76da81a1,2026-01-31T12:00:00.000000Z\r\n"
_NDJSON = '{"id":"usage_019b76da81a2","request_id":"req_019b76da81a1","created_at":"2026-01-31T12:00:00.000000Z"}\n'

AREA = Area(
    "Accounting",
    "What was used and what it cost.",
    (
        Operation(
            path=usage.PATH,
            name="listUsage",
            summary="Usage, newest first",
            description=f"One row for each attempt at a backend. {_REACH}",
            permission=_PERMISSION,
            query=UsageQuery,
            answer=ListEnvelope[UsageItem],
            example=examples.listed(examples.USAGE),
            codes=(Code.STORE_UNAVAILABLE,),
        ),
        Operation(
            path=usage_summary.PATH,
            name="summarizeUsage",
            summary="What usage adds up to, the dearest first",
            description=f"By model, user, day and so on. {_REACH} {_EXACT} Of a tag with more than 1000 values on a "
            "day, the others are one, `(other)`; a filter for one value finds each.",
            permission=_PERMISSION,
            query=SummaryQuery,
            answer=ListEnvelope[SummaryItem],
            example=examples.listed(
                SummaryItem(
                    group_key=examples.USAGE.model,
                    request_count=1204,
                    input_tokens=812_400,
                    output_tokens=96_320,
                    total_tokens=908_720,
                    total_cost="2.9942",
                )
            ),
            codes=(Code.STORE_UNAVAILABLE,),
        ),
        Operation(
            path=usage.EXPORT_PATH,
            name="exportUsage",
            summary="Usage as a file, newest first",
            description=f"All rows that the filters find, however many, as CSV, JSON or one JSON object a line. "
            f"{_REACH} In CSV, a text that a spreadsheet could take for a formula has an apostrophe ahead. Where the "
            "export fails midway, JSON is cut off, CSV ends with a line that begins with `# not complete`, and NDJSON "
            "with an object whose `status` is `error`.",
            permission=_PERMISSION,
            query=UsageExportQuery,
            answer=Envelope[UsageItems],
            example=examples.enveloped(UsageItems(items=(examples.USAGE,))),
            texts={MEDIA_TYPES["csv"]: _CSV, MEDIA_TYPES["ndjson"]: _NDJSON},
            codes=(Code.STORE_UNAVAILABLE,),
        ),
        Operation(
            path=margin.PATH,
            name="reportMargin",
            summary="What is left of what callers are charged",
            description=f"What callers are charged beside what providers charge, failed attempts included. {_EXACT}",
            permission=" or ".join(margin.READING.permissions),
            query=MarginQuery,
            answer=ListEnvelope[MarginItem],
            example=examples.listed(
                MarginItem(
                    group_key=examples.USAGE.model,
                    request_count=1204,
                    total_cost="2.9942",
                    backend_cost="2.4",
                    margin="0.5942",
                    margin_pct="19.84",
                )
            ),
            codes=(Code.STORE_UNAVAILABLE,),
        ),
    ),
)
