"""The audit log over the API: each administrator's own, whole and in order, and what its chains prove."""

import csv
import io
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from scaigrid.api.export import PAGE
from scaigrid.errors import Code, GatewayError
from scaigrid.ledger.audit_queries import AuditLog
from scaigrid.ledger.records import AuditRow
from scaigrid.ledger.store import LedgerStore
from tests.harness import databases
from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.ledger.rows import audit_row

PATH = "/v1/audit-log"


@pytest.fixture
async def plane(database_url: str) -> AsyncGenerator[ControlPlane]:
    """The platform; its database can be touched past all of our code."""
    running = await ControlPlane(platform(), url=database_url).open()
    yield running
    await running.close()


def party(plane: ControlPlane, kind: str, name: str) -> str:
    (found,) = (one.id for one in plane.control.state.all(kind).values() if one.name == name)
    return found


def of(plane: ControlPlane, number: int, tenant: str | None, partner: str | None = "one", **more: Any) -> AuditRow:
    """Row of that number, one second younger than the one before, of a tenant."""
    own: dict[str, Any] = {
        "tenant_id": None if tenant is None else party(plane, "tenant", tenant),
        "partner_id": None if partner is None else party(plane, "partner", partner),
    }
    return audit_row(number, **{**own, **more})


async def keep(plane: ControlPlane, *rows: AuditRow, writer: str = "w") -> None:
    await LedgerStore(plane.engine).insert(writer, rows)


async def numbers(plane: ControlPlane, who: str, query: str = "", **more: Any) -> list[int]:
    answer = await plane.get(f"{PATH}{query}", who, **more)
    assert answer.status == 200, answer.json
    return [int(item["id"].removeprefix("audit_")) for item in answer.json["data"]["items"]]


async def test_what_was_done_can_be_read_once_it_is_in_the_database(plane: ControlPlane) -> None:
    made = await plane.ask("POST", "/v1/tenants", {"slug": "new"}, who="partner_one", headers={"user-agent": "probe"})
    await plane.ask("POST", "/v1/tenants", {"slug": "a"}, who="partner_one")
    assert await numbers(plane, "super") == []
    await plane.settle()
    items = (await plane.get(f"{PATH}?resource_type=tenant", "partner_one")).json["data"]["items"]
    refused, done = sorted(items, key=lambda item: item["status"])
    principal = plane.services.current.snapshot
    assert principal.epoch > 0
    assert {name: done[name] for name in done if name not in ("id", "timestamp", "actor_id", "request_id")} == {
        "action": "tenant.create",
        "actor_email": None,
        "actor_type": "user",
        "tenant_id": made.json["data"]["id"],
        "partner_id": party(plane, "partner", "one"),
        "resource_type": "tenant",
        "resource_id": made.json["data"]["id"],
        "ip_address": "127.0.0.1",
        "user_agent": "probe",
        "status": "SUCCESS",
        "http_status": 201,
        "error_code": None,
        "before": None,
        "after": made.json["data"],
    }
    assert done["actor_id"] == party(plane, "user", "partner_one")
    assert done["request_id"] == made.headers["x-request-id"]
    assert (refused["status"], refused["http_status"], refused["error_code"]) == ("FAILURE", 409, "SLUG_CONFLICT")


async def test_each_administrator_sees_its_own(plane: ControlPlane) -> None:
    await keep(
        plane,
        of(plane, 0, "a"),
        of(plane, 1, "b"),
        of(plane, 2, "c", "two"),
        of(plane, 3, None, "one"),
        of(plane, 4, None, None),
    )
    assert await numbers(plane, "super") == [4, 3, 2, 1, 0]
    assert await numbers(plane, "partner_one") == [3, 1, 0]
    assert await numbers(plane, "partner_two") == [2]
    assert await numbers(plane, "admin_a") == [0]
    assert await numbers(plane, "admin_b") == [1]
    assert await numbers(plane, "admin_a", f"?tenant_id={party(plane, 'tenant', 'b')}") == []
    assert await numbers(plane, "partner_one", f"?partner_id={party(plane, 'partner', 'two')}") == []
    assert await numbers(plane, "super", headers={"X-ScaiGrid-Tenant": "b"}) == [1]
    assert await numbers(plane, "partner_one", headers={"X-ScaiGrid-Tenant": "a"}) == [0]
    assert (await plane.get(PATH, "partner_one", headers={"X-ScaiGrid-Tenant": "c"})).status == 404


@pytest.mark.parametrize("who", ["user_a", "viewer_a", "partner_one_viewer"])
@pytest.mark.parametrize("path", [PATH, f"{PATH}/export", f"{PATH}/verify"])
async def test_it_is_for_administrators(plane: ControlPlane, who: str, path: str) -> None:
    assert (await plane.get(path, who)).code == "AUTHZ_PERMISSION_DENIED"


@pytest.mark.parametrize("who", ["admin_a", "partner_one"])
async def test_only_the_platform_verifies(plane: ControlPlane, who: str) -> None:
    assert (await plane.get(f"{PATH}/verify", who)).code == "AUTHZ_PERMISSION_DENIED"


OTHERS = {
    "action": "tenant.update",
    "actor_id": "user_other",
    "actor_email": "other@example.com",
    "actor_type": "anonymous",
    "resource_type": "tenant",
    "resource_id": "other",
    "status": "FAILURE",
    "request_id": "req_other",
    "ip_address": "198.51.100.1",
}


@pytest.mark.parametrize("name", OTHERS)
async def test_a_filter_finds_what_has_its_value(plane: ControlPlane, name: str) -> None:
    await keep(plane, of(plane, 0, "a"), of(plane, 1, "a", **{name: OTHERS[name]}))
    assert await numbers(plane, "admin_a", f"?{name}={OTHERS[name]}") == [1]


async def test_a_span_of_time_has_its_start_and_not_its_end(plane: ControlPlane) -> None:
    await keep(plane, *(of(plane, number, "a", timestamp=1_800_000_000.0 + number) for number in range(4)))
    query = "?start=2027-01-15T08:00:01Z&end=2027-01-15T08:00:03Z"
    assert await numbers(plane, "admin_a", query) == [2, 1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?limit=0", "limit"),
        ("?cursor=x", "cursor"),
        ("?status=OK", "status"),
        ("?start=yesterday", "start"),
        ("?start=2027-01-15T08:00:01Z&end=2027-01-15T08:00:01Z", "end"),
        ("?format=csv", "format"),
        ("/export?format=xml", "format"),
        ("/export?limit=5", "limit"),
        ("/verify?cursor=x", "cursor"),
    ],
)
async def test_a_parameter_at_fault_is_named(plane: ControlPlane, query: str, field: str) -> None:
    refused = await plane.get(f"{PATH}{query}", "super")
    assert (refused.status, list(refused.details)) == (422, [field])


async def test_a_walk_through_the_pages_meets_every_row_once(plane: ControlPlane) -> None:
    await keep(plane, *(of(plane, number, "a", timestamp=float(number // 2)) for number in range(7)))
    met: list[int] = []
    query = "?limit=3"
    while query:
        answer = await plane.get(f"{PATH}{query}", "admin_a")
        met += [int(item["id"].removeprefix("audit_")) for item in answer.json["data"]["items"]]
        cursor = answer.json["pagination"]["next_cursor"]
        query = "" if cursor is None else f"?limit=3&cursor={cursor}"
    assert met == [6, 5, 4, 3, 2, 1, 0]


ROWS = 2 * PAGE + 3


async def test_an_export_has_every_row_of_what_the_caller_administers(plane: ControlPlane) -> None:
    await keep(plane, *(of(plane, number, "a") for number in range(ROWS)), of(plane, ROWS, "b"))
    whole = await plane.get(f"{PATH}/export", "admin_a")
    assert whole.headers["content-disposition"] == 'attachment; filename="audit-log.json"'
    items = whole.json["data"]["items"]
    assert [item["id"] for item in items] == [f"audit_{number:06d}" for number in reversed(range(ROWS))]
    lines = (await plane.get(f"{PATH}/export?format=ndjson", "admin_a")).body.splitlines()
    assert [json.loads(line) for line in lines] == items
    text = (await plane.get(f"{PATH}/export?format=csv", "admin_a")).body.decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["id"] for row in rows] == [item["id"] for item in items]
    assert set(rows[0]) == set(items[0])


async def test_an_export_is_filtered_and_may_have_nothing(plane: ControlPlane) -> None:
    await keep(plane, of(plane, 0, "a"), of(plane, 1, "a", action="tenant.update"), of(plane, 2, "b"))
    found = await plane.get(f"{PATH}/export?action=tenant.update", "admin_a")
    assert [item["id"] for item in found.json["data"]["items"]] == ["audit_000001"]
    other = await plane.get(f"{PATH}/export?tenant_id={party(plane, 'tenant', 'b')}", "admin_a")
    assert other.json["data"] == {"items": []}


async def test_a_callers_words_are_no_formula(plane: ControlPlane) -> None:
    await plane.ask("DELETE", "/v1/tenants/=1+1", who="super", headers={"user-agent": "=HYPERLINK(1)"})
    await plane.settle()
    text = (await plane.get(f"{PATH}/export?format=csv", "super")).body.decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["user_agent"], row["resource_id"]) == ("'=HYPERLINK(1)", "'=1+1")


async def chains(plane: ControlPlane, query: str = "") -> list[dict[str, Any]]:
    answer = await plane.get(f"{PATH}/verify{query}", "super")
    assert answer.status == 200, answer.json
    items: list[dict[str, Any]] = answer.json["data"]["items"]
    return items


async def test_chains_that_nobody_touched_hold(plane: ControlPlane, database_url: str) -> None:
    await keep(plane, *(of(plane, number, "a") for number in range(3)))
    await keep(plane, of(plane, 3, "a"), writer="v")
    rows = databases.execute(database_url, "SELECT writer, seq, hash FROM audit ORDER BY writer, seq")
    last = {row["writer"]: row for row in rows}
    assert await chains(plane) == [
        {
            "writer": writer,
            "status": "ok",
            "first_bad": None,
            "last": row["seq"],
            "last_hash": bytes(row["hash"]).hex(),
        }
        for writer, row in sorted(last.items())
    ]


TOUCHED = {
    "changed": "UPDATE audit SET actor_id = 'nobody' WHERE writer = 'w' AND seq = 4",
    "deleted": "DELETE FROM audit WHERE writer = 'w' AND seq = 4",
    "inserted": "INSERT INTO audit SELECT {forged} FROM audit WHERE writer = 'w' AND seq = 6",
}


@pytest.mark.parametrize("how", TOUCHED)
async def test_a_row_that_somebody_touched_is_found(plane: ControlPlane, database_url: str, how: str) -> None:
    await keep(plane, *(of(plane, number, "a") for number in range(6)))
    await keep(plane, of(plane, 9, "a"), writer="v")
    fields = [*AuditRow.__struct_fields__, "writer", "seq", "prev_hash", "hash"]
    forged = {"id": "'audit_forged'", "seq": "7", "prev_hash": "hash"}
    columns = ", ".join(forged.get(name, f'"{name}"') for name in fields)
    databases.execute(database_url, TOUCHED[how].format(forged=columns))
    bad = 7 if how == "inserted" else 4
    untouched, touched = await chains(plane)
    assert (untouched["writer"], untouched["status"]) == ("v", "ok")
    assert (touched["status"], touched["first_bad"], touched["last"]) == ("broken", bad, bad - 1)


async def test_chains_come_in_pages_and_one_at_a_time(plane: ControlPlane) -> None:
    for number, writer in enumerate("cab"):
        await keep(plane, of(plane, number, "a"), writer=writer)
    first = (await plane.get(f"{PATH}/verify?limit=2", "super")).json
    assert [item["writer"] for item in first["data"]["items"]] == ["a", "b"]
    rest = await chains(plane, f"?limit=2&cursor={first['pagination']['next_cursor']}")
    assert [item["writer"] for item in rest] == ["c"]
    assert [item["writer"] for item in await chains(plane, "?writer=b")] == ["b"]
    assert await chains(plane, "?writer=nobody") == []


@pytest.mark.parametrize("path", [PATH, f"{PATH}/export", f"{PATH}/verify"])
async def test_a_log_that_cannot_be_read_is_said_to_be(
    plane: ControlPlane, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object, **__: object) -> None:
        raise GatewayError(Code.STORE_UNAVAILABLE)

    monkeypatch.setattr(AuditLog, "audit_page", gone)
    monkeypatch.setattr(AuditLog, "writers", gone)
    assert (await plane.get(path, "super")).code == "STORE_UNAVAILABLE"
