from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid import roles
from scaigrid.api.usage import UsageItem, confined, reach_of
from scaigrid.config import entities, terms
from scaigrid.config.snapshot import Party, Principal
from scaigrid.db.engine import create_engine
from scaigrid.errors import Code, GatewayError
from scaigrid.ids import declared_id
from scaigrid.ledger.queries import LedgerReader
from scaigrid.ledger.reading import Position, UsageFilter
from scaigrid.ledger.records import UsageRow
from scaigrid.ledger.store import LedgerStore
from tests.harness import databases
from tests.scaigrid.api.control_plane import ControlPlane, config, declared
from tests.scaigrid.ledger.rows import usage_row

CALLERS = {
    "viewer": ("tenant_viewer", "acme"),
    "user": ("tenant_user", "acme"),
    "admin": ("tenant_admin", "acme"),
    "reseller": ("partner_viewer", "acme"),
    "root": ("super_admin", "acme"),
    "colleague": ("tenant_user", "acme"),
    "sister": ("tenant_user", "other"),
    "stranger": ("tenant_user", "far"),
}
"""Role and tenant; `acme` and `other` are of one partner, `far` is not."""

HOUSE = config(
    partners={"north": entities.Partner(), "south": entities.Partner()},
    tenants={
        "acme": entities.Tenant(partner="north"),
        "other": entities.Tenant(partner="north"),
        "far": entities.Tenant(partner="south"),
    },
    users={name: entities.User(tenant=tenant, roles=(role,)) for name, (role, tenant) in CALLERS.items()}  # type: ignore[arg-type]  # published roles
    | {"nobody": entities.User(tenant="acme", roles=())},
    keys={name: declared(name, name) for name in (*CALLERS, "nobody")},
)
PARTNER_OF = {"acme": "north", "other": "north", "far": "south"}
NOW = 1_800_000_000.0
"""A Friday: 15 January 2027, 08:00 UTC."""


def row(number: int, user: str, **more: Any) -> UsageRow:
    """The attempt of that number, one second older than the one before."""
    tenant = CALLERS[user][1]
    own: dict[str, Any] = {
        "created_at": NOW - number,
        "request_id": f"req_{number}",
        "partner_id": declared_id("partner", PARTNER_OF[tenant]),
        "tenant_id": declared_id("tenant", tenant),
        "user_id": declared_id("user", user),
        "key_id": declared_id("apikey", user),
    }
    return usage_row(number, **{**own, **more})


class Ledger(LedgerReader):
    """The real one, over a database file of its own; it counts how often it is asked."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self._store = LedgerStore(engine)
        self.asked = 0

    async def keep(self, *rows: UsageRow) -> None:
        await self._store.insert("writer", rows)

    async def usage_page(self, wanted: UsageFilter, *, limit: int, after: Position | None) -> Sequence[UsageRow]:
        self.asked += 1
        return await super().usage_page(wanted, limit=limit, after=after)


@pytest.fixture
def engine(tmp_path: Path) -> AsyncEngine:
    return create_engine(databases.fresh("sqlite", tmp_path))


@pytest.fixture
async def ledger(engine: AsyncEngine) -> AsyncIterator[Ledger]:
    yield Ledger(engine)
    await engine.dispose()


async def numbers(plane: ControlPlane, query: str, who: str) -> list[int]:
    answer = await plane.get(f"/v1/accounting/usage{query}", who)
    assert answer.status == 200, answer.body
    return [int(item["request_id"].removeprefix("req_")) for item in answer.json["data"]["items"]]


async def test_a_row_says_what_the_contract_promises(ledger: Ledger) -> None:
    await ledger.keep(
        row(
            1,
            "user",
            id="usage_1",
            created_at=1_769_860_800.25,
            stream=True,
            attempt=2,
            outcome="error",
            error_code="BACKEND_TIMEOUT",
            tokens_in=1,
            tokens_cache_read=20,
            tokens_cache_write=300,
            tokens_cache_write_1h=4000,
            tokens_out=50_000,
            tokens_reasoning=600,
            usage_source="estimated",
            model="openai/gpt-4",
            backend_id="be_1",
            cost=1_500_000_001,
            backend_cost=2,
            first_byte_us=7,
            latency_us=1_234_567,
            tags={"ticket": "4711"},
        )
    )
    answer = await ControlPlane(HOUSE, ledger).get("/v1/accounting/usage", "user")
    assert answer.json["data"]["items"] == [
        {
            "id": "usage_1",
            "request_id": "req_1",
            "created_at": "2026-01-31T12:00:00.250000Z",
            "partner_id": declared_id("partner", "north"),
            "tenant_id": declared_id("tenant", "acme"),
            "user_id": declared_id("user", "user"),
            "key_id": declared_id("apikey", "user"),
            "model": "openai/gpt-4",
            "backend_id": "be_1",
            "attempt": 2,
            "outcome": "error",
            "error_code": "BACKEND_TIMEOUT",
            "stream": True,
            "tokens_in": 4321,
            "tokens_out": 50_000,
            "cached_input_tokens": 20,
            "cache_write_tokens": 4300,
            "reasoning_tokens": 600,
            "usage_source": "estimated",
            "cost": "1.500000001",
            "latency_ms": 1234.567,
            "tags": {"ticket": "4711"},
        }
    ]


async def test_only_who_sees_everything_sees_what_providers_charge(ledger: Ledger) -> None:
    await ledger.keep(row(1, "user", backend_cost=2_500_000_000))
    plane = ControlPlane(HOUSE, ledger)
    seen = {who: (await plane.get("/v1/accounting/usage", who)).json["data"]["items"] for who in CALLERS}
    assert {who: items[0].get("backend_cost") for who, items in seen.items() if items} == {
        "user": None,
        "admin": None,
        "reseller": None,
        "root": "2.5",
    }
    assert b"backend_cost" not in (await plane.get("/v1/accounting/usage", "reseller")).body


EVERYBODYS = [row(number, user) for number, user in enumerate(CALLERS)]
"""One row of each caller, in their order."""
NORTH, ACME = [0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("viewer", [0]),
        ("user", [1]),
        ("admin", ACME),
        ("reseller", NORTH),
        ("root", [*NORTH, 7]),
        ("sister", [6]),
        ("stranger", [7]),
    ],
)
async def test_each_caller_sees_as_far_as_its_widest_permission(ledger: Ledger, who: str, expected: list[int]) -> None:
    await ledger.keep(*EVERYBODYS)
    assert await numbers(ControlPlane(HOUSE, ledger), "", who) == expected


@pytest.mark.parametrize(
    ("who", "filters", "expected"),
    [
        ("user", {"user_id": "colleague"}, []),
        ("user", {"user_id": "user"}, [1]),
        ("user", {"tenant_id": "acme"}, [1]),
        ("user", {"tenant_id": "other"}, []),
        ("user", {"partner_id": "south"}, []),
        ("user", {"key_id": "colleague"}, []),
        ("admin", {"user_id": "colleague"}, [5]),
        ("admin", {"user_id": "sister"}, []),
        ("admin", {"tenant_id": "other"}, []),
        ("admin", {"partner_id": "north"}, ACME),
        ("reseller", {"tenant_id": "other"}, [6]),
        ("reseller", {"tenant_id": "far"}, []),
        ("reseller", {"partner_id": "south"}, []),
        ("reseller", {"user_id": "stranger"}, []),
        ("root", {"partner_id": "south"}, [7]),
        ("root", {"tenant_id": "acme", "user_id": "sister"}, []),
    ],
)
async def test_a_filter_never_reaches_beyond_the_callers_scope(
    ledger: Ledger, who: str, filters: dict[str, str], expected: list[int]
) -> None:
    await ledger.keep(*EVERYBODYS)
    prefix = {"user_id": "user", "tenant_id": "tenant", "partner_id": "partner", "key_id": "apikey"}
    query = "&".join(f"{name}={declared_id(prefix[name], value)}" for name, value in filters.items())
    answer = await ControlPlane(HOUSE, ledger).get(f"/v1/accounting/usage?{query}", who)
    found = [int(item["request_id"].removeprefix("req_")) for item in answer.json["data"]["items"]]
    assert (answer.status, found) == (200, expected)
    assert answer.json["pagination"] == {"has_more": False, "next_cursor": None}


async def test_what_lies_beyond_the_scope_is_not_even_looked_up(ledger: Ledger) -> None:
    """So that not the time of the answer either says what is there."""
    plane = ControlPlane(HOUSE, ledger)
    await numbers(plane, f"?user_id={declared_id('user', 'colleague')}", "user")
    assert ledger.asked == 0
    await numbers(plane, f"?user_id={declared_id('user', 'user')}", "user")
    assert ledger.asked == 1


_IDS = st.sampled_from([None, "a", "b"])
_FILTERS = st.builds(
    UsageFilter,
    partner_id=_IDS,
    tenant_id=_IDS,
    user_id=_IDS,
    key_id=_IDS,
    model=_IDS,
    backend_id=_IDS,
    request_id=_IDS,
)
_NAMES = ("partner_id", "tenant_id", "user_id", "key_id", "model", "backend_id", "request_id")


@given(_FILTERS, _FILTERS, st.fixed_dictionaries({name: st.sampled_from(["a", "b"]) for name in _NAMES}))
def test_what_is_confined_holds_the_rows_that_fit_both(
    wanted: UsageFilter, reach: UsageFilter, found: dict[str, str]
) -> None:
    def fits(one: UsageFilter | None) -> bool:
        return one is not None and all(getattr(one, name) in (None, found[name]) for name in _NAMES)

    assert fits(confined(wanted, reach)) == (fits(wanted) and fits(reach))


async def test_another_callers_request_is_an_empty_page(ledger: Ledger) -> None:
    await ledger.keep(*EVERYBODYS)
    plane = ControlPlane(HOUSE, ledger)
    assert await numbers(plane, "?request_id=req_5", "user") == []
    assert await numbers(plane, "?request_id=req_1", "user") == [1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?model=m2", [2]),
        ("?backend_id=be_2", [3]),
        ("?request_id=req_1", [1]),
        ("?request_id=req_", []),
        ("?model=M2", []),
    ],
)
async def test_filters_let_through_what_fits_exactly(ledger: Ledger, query: str, expected: list[int]) -> None:
    await ledger.keep(row(1, "user"), row(2, "user", model="m2"), row(3, "user", backend_id="be_2"))
    assert await numbers(ControlPlane(HOUSE, ledger), query, "user") == expected


async def test_without_any_of_the_permissions_there_is_no_answer(ledger: Ledger) -> None:
    answer = await ControlPlane(HOUSE, ledger).get("/v1/accounting/usage", "nobody")
    assert (answer.status, answer.code) == (403, "AUTHZ_PERMISSION_DENIED")


async def test_a_span_holds_its_start_and_not_its_end(ledger: Ledger) -> None:
    await ledger.keep(*(row(number, "user", created_at=1_769_860_800.0 + number) for number in range(4)))
    plane = ControlPlane(HOUSE, ledger)
    assert await numbers(plane, "?start=2026-01-31T12:00:01Z&end=2026-01-31T12:00:03Z", "user") == [2, 1]
    assert await numbers(plane, "?start=2026-01-31T14:00:02%2B02:00", "user") == [3, 2]
    assert await numbers(plane, "?end=2026-01-31T12:00:00.000001Z", "user") == [0]


@pytest.mark.parametrize(
    ("period", "first"),
    [("daily", "2027-01-15T00:00:00"), ("weekly", "2027-01-11T00:00:00"), ("monthly", "2027-01-01T00:00:00")],
)
async def test_a_period_is_the_current_one_in_utc(ledger: Ledger, period: str, first: str) -> None:
    begins = datetime.fromisoformat(first).replace(tzinfo=UTC).timestamp()
    await ledger.keep(
        row(0, "user", created_at=NOW),
        row(1, "user", created_at=begins),
        row(2, "user", created_at=begins - 1e-3),
    )
    plane = ControlPlane(HOUSE, ledger)
    assert plane.clock.now() == NOW
    assert await numbers(plane, f"?period={period}", "user") == [0, 1]


@pytest.mark.parametrize(
    ("query", "details"),
    [
        ("?period=daily&start=2026-01-31T12:00:00Z", {"period": "cannot be given together with start or end"}),
        ("?period=daily&end=2026-01-31T12:00:00Z", {"period": "cannot be given together with start or end"}),
        ("?start=2026-01-31T12:00:00Z&end=2026-01-31T12:00:00Z", {"end": "must be later than start"}),
        ("?start=2026-01-31T12:00:00Z&end=2026-01-31T12:30:00%2B01:00", {"end": "must be later than start"}),
        ("?period=hourly", {"period": "must be one of daily, monthly, weekly"}),
        ("?model=", {"model": "must have 1 to 256 printable characters"}),
        ("?tag=x", {"tag": "is not a known parameter"}),
        ("?limit=1001", {"limit": "must be an integer from 1 to 1000"}),
    ],
)
async def test_a_parameter_at_fault_is_named(query: str, details: dict[str, str]) -> None:
    answer = await ControlPlane(HOUSE).get(f"/v1/accounting/usage{query}", "user")
    assert (answer.status, answer.code, answer.details) == (422, "VALIDATION_ERROR", details)


async def test_a_cursor_that_no_page_gave_is_named(ledger: Ledger) -> None:
    answer = await ControlPlane(HOUSE, ledger).get("/v1/accounting/usage?cursor=x", "user")
    assert (answer.status, list(answer.details)) == (422, ["cursor"])


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_a_walk_through_the_pages_meets_every_row_once_newest_first(ledger: Ledger, limit: int) -> None:
    """Three rows of one moment among them, which only their ids tell apart."""
    rows = [row(number, "user", created_at=NOW - min(number, 4)) for number in range(7)]
    await ledger.keep(*rows, row(8, "colleague"))
    plane = ControlPlane(HOUSE, ledger)
    met: list[str] = []
    query = f"?limit={limit}"
    while query:
        answer = (await plane.get(f"/v1/accounting/usage{query}", "user")).json
        found = [item["id"] for item in answer["data"]["items"]]
        assert 0 < len(found) <= limit
        met += found
        assert len(met) <= len(rows), "a page goes back"
        pagination = answer["pagination"]
        assert pagination["has_more"] is (pagination["next_cursor"] is not None)
        query = f"?limit={limit}&cursor={pagination['next_cursor']}" if pagination["has_more"] else ""
    assert met == [one.id for one in sorted(rows, key=lambda one: (one.created_at, one.id), reverse=True)]


async def test_a_key_shows_no_more_than_what_it_carries(ledger: Ledger) -> None:
    keys = {
        "own": declared("own", "admin", scopes=("accounting:view_own",)),
        "none": declared("none", "admin", scopes=("models:list",)),
        "costless": declared("costless", "root", scopes=("accounting:view_partner",)),
    }
    plane = ControlPlane(msgspec.structs.replace(HOUSE, keys={**HOUSE.keys, **keys}), ledger)
    await ledger.keep(*(row(number, user) for number, user in enumerate(CALLERS)))
    assert await numbers(plane, "", "own") == [list(CALLERS).index("admin")]
    refused = await plane.get("/v1/accounting/usage", "none")
    assert (refused.status, refused.code) == (403, "AUTH_INSUFFICIENT_SCOPE")
    shown = (await plane.get("/v1/accounting/usage", "costless")).json["data"]["items"]
    assert {item["partner_id"] for item in shown} == {declared_id("partner", "north")}
    assert "backend_cost" not in shown[0]


async def test_a_ledger_that_cannot_be_read_is_said_to_be() -> None:
    class Gone:
        async def usage_page(self, wanted: UsageFilter, *, limit: int, after: Position | None) -> Sequence[UsageRow]:
            raise GatewayError(Code.STORE_UNAVAILABLE)

    answer = await ControlPlane(HOUSE, Gone()).get("/v1/accounting/usage", "user")
    assert (answer.status, answer.code) == (503, "STORE_UNAVAILABLE")


@pytest.mark.parametrize("role", get_args(terms.RoleName))
def test_no_published_role_sees_less_with_more_permissions(role: str) -> None:
    party = Party("x", "x", "x")
    held = roles.permissions([role])
    reach = reach_of(Principal(partner=party, tenant=party, user=party, permissions=held))
    bounded = [name for name, value in msgspec.structs.asdict(reach).items() if value is not None]
    widest = {
        "super_admin": [],
        "partner_admin": ["partner_id"],
        "partner_viewer": ["partner_id"],
        "tenant_admin": ["tenant_id"],
    }
    assert bounded == widest.get(role, ["user_id"])


def test_an_item_has_every_field_that_was_published() -> None:
    published = "id model backend_id user_id tenant_id tokens_in tokens_out cost latency_ms created_at"
    assert set(published.split()) <= set(UsageItem.__struct_fields__)
