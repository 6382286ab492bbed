"""`GET /v1/requests/{request_id}`: found by whom its usage is found, and by nobody else; told by rows where it must."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scaigrid.config.schema import Forwarder
from scaigrid.config.snapshot import Principal
from scaigrid.ledger.queries import LedgerReader
from scaigrid.ledger.reading import Position, UsageFilter
from scaigrid.ledger.records import TimelineRow, UsageRow
from scaigrid.timeline import timeline_row
from tests.harness.services import Parts
from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import ControlPlane, Empty, key_digest
from tests.scaigrid.calls import served
from tests.scaigrid.ledger.rows import usage_row

pytestmark = pytest.mark.anyio

ID = "of-my-own-choice"
PATH = f"/v1/requests/{ID}"


class Late(Empty):
    """The ledger of a control plane that is not there yet."""

    engine: AsyncEngine

    async def usage_page(self, wanted: UsageFilter, *, limit: int, after: Position | None) -> Sequence[UsageRow]:
        return await LedgerReader(self.engine).usage_page(wanted, limit=limit, after=after)


async def opened(url: str, **sections: Any) -> ControlPlane:
    reader = Late()
    plane = ControlPlane(platform(**sections), reader, url=url)
    reader.engine = plane.engine
    return await plane.open()


def who(plane: ControlPlane, name: str) -> Principal:
    return plane.services.current.snapshot.keys[key_digest(name)]


def timeline(plane: ControlPlane, name: str, *, later: float = 0.0) -> TimelineRow:
    """Of a call that somebody made."""
    parts = Parts()
    made = served(parts)
    made.principal, made.request_id = who(plane, name), ID
    made.started_at = plane.clock.now() + later
    return timeline_row(made, None, parts.clock)


def row(plane: ControlPlane, name: str, number: int = 1, *, later: float = 0.0, **changes: Any) -> UsageRow:
    principal = who(plane, name)
    return usage_row(
        number,
        request_id=ID,
        created_at=plane.clock.now() + later,
        partner_id=principal.partner.id,
        tenant_id=principal.tenant.id,
        user_id=principal.user.id,
        key_id=principal.key.id if principal.key else None,
        **changes,
    )


@pytest.fixture
async def plane(database_url: str) -> AsyncGenerator[ControlPlane]:
    made = await opened(database_url)
    yield made
    await made.close()


async def test_who_may_see_the_usage_may_see_the_request(plane: ControlPlane) -> None:
    plane.kept.records.append(timeline(plane, "user_a"))
    await plane.settle()
    for name in ("user_a", "admin_a", "partner_one", "partner_one_viewer", "super"):
        answer = await plane.get(PATH, name)
        assert (name, answer.status) == (name, 200)
        assert answer.json["data"]["user_id"] == who(plane, "user_a").user.id
    for name in ("viewer_a", "user_b", "admin_b", "partner_two", "admin_c"):
        answer = await plane.get(PATH, name)
        assert (name, answer.status, answer.code) == (name, 404, "NOT_FOUND")


async def test_names_of_parties_are_told_of_one_s_own(plane: ControlPlane) -> None:
    plane.kept.records.append(timeline(plane, "user_a"))
    await plane.settle()
    owner = who(plane, "user_a")
    own, other = [(await plane.get(PATH, name)).json["data"] for name in ("user_a", "admin_a")]
    assert owner.key is not None
    assert (own["tenant"], own["user"], own["key"]) == (owner.tenant.name, owner.user.name, owner.key.name)
    assert (other["tenant"], "user" in other, "key" in other) == (owner.tenant.name, False, False)


async def test_an_id_that_another_tenant_used_too_leads_each_to_its_own(plane: ControlPlane) -> None:
    """A caller chooses it: nobody sees, hides or overwrites another one's by choosing the same."""
    plane.kept.records += [timeline(plane, "user_a"), timeline(plane, "user_c", later=5)]
    await plane.settle()
    for name in ("user_a", "user_c"):
        assert (await plane.get(PATH, name)).json["data"]["user_id"] == who(plane, name).user.id
    assert (await plane.get(PATH, "super")).json["data"]["user_id"] == who(plane, "user_c").user.id


async def test_each_step_is_told_in_milliseconds(plane: ControlPlane) -> None:
    plane.kept.records.append(timeline(plane, "user_a"))
    await plane.settle()
    told = (await plane.get(PATH, "user_a")).json["data"]
    assert told["source"] == "timeline"
    assert told["links"] == [
        {"name": "request_id", "reached_ms": 0.0, "took_ms": 31.25},
        {"name": "budget", "reached_ms": 31.25, "took_ms": 31.25},
    ]
    assert [(one["because"], one["outcome"], one["provider_status"], one["ended_ms"]) for one in told["attempts"]] == [
        ("first", "failed", 429, 125.0),
        ("failover", "served", 200, 750.0),
    ]
    assert (told["first_byte_ms"], told["overhead_ms"], told["settled_ms"], told["duration_ms"]) == (
        375.0,
        187.5,
        875.0,
        1000.0,
    )
    assert told["tokens"]["output"] == 6
    assert [(one["type"], one["kind"], one["reserved"], one["settled"]) for one in told["limits"]][-1] == (
        "budget",
        "cost",
        "0.000005",
        "0.000001234",
    )
    assert "backend_cost" not in told
    assert (await plane.get(PATH, "super")).json["data"]["backend_cost"] == "0.000000077"


async def test_of_a_call_whose_worker_was_killed_the_rows_tell_what_they_know(plane: ControlPlane) -> None:
    plane.kept.records += [
        row(plane, "user_a", 1, attempt=1, outcome="error", error_code="BACKEND_ERROR", serving=False, cost=0),
        row(plane, "user_a", 2, attempt=2, outcome="interrupted", serving=False, cost=0),
        row(plane, "user_a", 3, later=-60, attempt=1),
        row(plane, "user_b", 4, later=5, attempt=1),
    ]
    await plane.settle()
    told = (await plane.get(PATH, "user_a")).json["data"]
    assert (told["source"], told["outcome"], told["served_model"], told["cost"]) == ("usage", "interrupted", None, "0")
    assert [(one["outcome"], one["error_code"], one["started_ms"]) for one in told["attempts"]] == [
        ("failed", "BACKEND_ERROR", None),
        ("interrupted", None, None),
    ]
    assert told["links"] == []


async def test_a_timeline_of_an_earlier_request_does_not_stand_for_a_killed_one(plane: ControlPlane) -> None:
    plane.kept.records += [timeline(plane, "user_a"), row(plane, "user_a", 1, later=9, outcome="interrupted")]
    await plane.settle()
    assert (await plane.get(PATH, "user_a")).json["data"]["source"] == "usage"


async def test_what_a_later_version_wrote_is_told_from_the_rows(plane: ControlPlane) -> None:
    """While gateways of two versions run beside each other, words come that the older one does not know."""
    written = timeline(plane, "user_a")
    newer = msgspec.structs.replace(written, document=written.document.replace('"failover"', '"a_new_reason"'))
    assert newer != written
    plane.kept.records += [newer, row(plane, "user_a", 1)]
    await plane.settle()
    told = await plane.get(PATH, "user_a")
    assert (told.status, told.json["data"]["source"]) == (200, "usage")


async def test_a_name_of_a_backend_is_for_those_who_are_told_it(database_url: str) -> None:
    plane = await opened(database_url, forwarder=Forwarder(expose_backend=False))
    plane.kept.records.append(timeline(plane, "user_a"))
    await plane.settle()
    told, all_of_it = [(await plane.get(PATH, name)).json["data"] for name in ("user_a", "super")]
    assert all("backend" not in one and one["backend_id"] for one in (*told["attempts"], *told["candidates"]))
    assert [one["backend"] for one in all_of_it["attempts"]] == ["one", "two"]
    await plane.close()


async def test_what_there_is_not_is_not_found(plane: ControlPlane) -> None:
    for request_id in ("nothing-of-the-kind", "x" * 500, "req%2Fa", "%00"):
        answer = await plane.get(f"/v1/requests/{request_id}", "super")
        assert (request_id, answer.status, answer.code) == (request_id, 404, "NOT_FOUND")
