"""The usage rows over the API: each caller's own, filtered, in pages and as a file."""

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.api.export import PAGE
from scaigrid.api.usage import UsageItem
from scaigrid.db.engine import create_engine
from scaigrid.ids import declared_id
from tests.harness import databases
from tests.scaigrid.api.accounts import CALLERS, EVERYBODYS, HOUSE, NOW, Gone, Ledger, row
from tests.scaigrid.api.control_plane import ControlPlane, declared


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
            tokens_audio_in=6,
            tokens_image_in=70,
            tokens_audio_out=8,
            tokens_image_out=90,
            images=2,
            milliseconds=1500,
            overrun=1_000_000,
            price_version="v1",
            backend_price_version="v2",
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
            "dialect": "openai",
            "operation": "chat",
            "tokens_in": 4397,
            "tokens_out": 50_098,
            "cached_input_tokens": 20,
            "cache_write_tokens": 4300,
            "reasoning_tokens": 600,
            "audio_input_tokens": 6,
            "audio_output_tokens": 8,
            "image_input_tokens": 70,
            "image_output_tokens": 90,
            "images": 2,
            "seconds": 1.5,
            "usage_source": "estimated",
            "cost": "1.500000001",
            "overrun": "0.001",
            "price_version": "v1",
            "first_byte_ms": 0.007,
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
    plain = (await plane.get("/v1/accounting/usage", "reseller")).body
    assert b"backend_cost" not in plain
    assert b"backend_price_version" not in plain
    assert seen["root"][0]["backend_price_version"] == "2027-02"


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
        ("?tag=team", [2, 3]),
        ("?tag=team:blue", [3]),
        ("?tag=team:blu", []),
        ("?tag=Team:blue", []),
        ("?tag=blue", []),
        ("?outcome=error", [1]),
        ("?usage_source=counted", [2]),
        ("?tag=team&outcome=error", []),
    ],
)
async def test_filters_let_through_what_fits_exactly(ledger: Ledger, query: str, expected: list[int]) -> None:
    await ledger.keep(
        row(1, "user", tags={}, outcome="error"),
        row(2, "user", model="m2", tags={"team": "red"}, usage_source="counted"),
        row(3, "user", backend_id="be_2"),
    )
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
        ("?tag=", {"tag": "must have 1 to 577 printable characters"}),
        ("?tag=a&tag=b", {"tag": "is given more than once"}),
        ("?group_by=model", {"group_by": "is not a known parameter"}),
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


async def test_a_ledger_that_cannot_be_read_is_said_to_be(engine: AsyncEngine) -> None:
    answer = await ControlPlane(HOUSE, Gone(engine)).get("/v1/accounting/usage", "user")
    assert (answer.status, answer.code) == (503, "STORE_UNAVAILABLE")
    exported = await ControlPlane(HOUSE, Gone(engine)).get("/v1/accounting/export", "user")
    assert (exported.status, exported.code) == (503, "STORE_UNAVAILABLE")


EXPORT = "/v1/accounting/export"
ROWS = 2 * PAGE + 3


async def test_an_export_has_every_row_that_the_caller_may_see(ledger: Ledger) -> None:
    await ledger.keep(*(row(number, "user") for number in range(ROWS)), row(ROWS, "colleague"))
    plane = ControlPlane(HOUSE, ledger)
    whole = await plane.get(EXPORT, "user")
    assert whole.headers["content-disposition"] == 'attachment; filename="usage.json"'
    items = whole.json["data"]["items"]
    assert [item["request_id"] for item in items] == [f"req_{number}" for number in range(ROWS)]
    lines = (await plane.get(f"{EXPORT}?format=ndjson", "user")).body.splitlines()
    assert [json.loads(line) for line in lines] == items
    text = (await plane.get(f"{EXPORT}?format=csv", "user")).body.decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [one["id"] for one in rows] == [item["id"] for item in items]
    assert set(rows[0]) == set(UsageItem.__struct_fields__)
    assert {one["backend_cost"] for one in rows} == {""}


async def test_an_export_is_filtered_and_may_have_nothing(ledger: Ledger) -> None:
    await ledger.keep(*EVERYBODYS)
    plane = ControlPlane(HOUSE, ledger)
    found = await plane.get(f"{EXPORT}?user_id={declared_id('user', 'colleague')}", "admin")
    assert [item["request_id"] for item in found.json["data"]["items"]] == ["req_5"]
    assert (await plane.get(f"{EXPORT}?tag=none", "root")).json["data"] == {"items": []}
    asked = ledger.asked
    beyond = await plane.get(f"{EXPORT}?tenant_id={declared_id('tenant', 'far')}", "admin")
    assert (beyond.json["data"], ledger.asked) == ({"items": []}, asked)


async def test_an_export_takes_no_pages(ledger: Ledger) -> None:
    refused = await ControlPlane(HOUSE, ledger).get(f"{EXPORT}?limit=5", "user")
    assert (refused.status, list(refused.details)) == (422, ["limit"])


async def test_a_callers_words_are_no_formula(ledger: Ledger) -> None:
    await ledger.keep(row(1, "user", model="=1+1", request_id="@x"))
    text = (await ControlPlane(HOUSE, ledger).get(f"{EXPORT}?format=csv", "root")).body.decode()
    (one,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (one["model"], one["request_id"]) == ("'=1+1", "'@x")


async def test_an_export_that_fails_midway_says_so(ledger: Ledger, engine: AsyncEngine) -> None:
    await ledger.keep(*(row(number, "user") for number in range(ROWS)))

    async def exported(form: str) -> bytes:
        answer = await ControlPlane(HOUSE, Gone(engine, pages=1)).get(f"{EXPORT}?format={form}", "user")
        assert answer.status == 200
        return answer.body

    lines = (await exported("csv")).splitlines()
    assert lines[-1].startswith(b"# not complete: STORE_UNAVAILABLE")
    assert len(lines) == PAGE + 2
    assert json.loads((await exported("ndjson")).splitlines()[-1])["status"] == "error"
    with pytest.raises(json.JSONDecodeError):
        json.loads(await exported("json"))


def test_an_item_has_every_field_that_was_published() -> None:
    published = "id model backend_id user_id tenant_id tokens_in tokens_out cost latency_ms created_at"
    assert set(published.split()) <= set(UsageItem.__struct_fields__)
