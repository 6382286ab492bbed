"""Who may do what: the table that is written of it, and a request for every cell of it.

A new endpoint is in here by being in the table of operations: its path, its body and its cells follow from its row and
its route. What it needs besides stands in `world.py`.
"""

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from scaigrid import roles
from scaigrid.api import permissions
from scaigrid.api.operation import Operation
from scaigrid.api.operations import OPERATIONS
from scaigrid.api.permissions import asked, cell, written
from scaigrid.api.requirement import ANYONE, KEYLESS, Keyless, Requirement
from tests.harness import databases
from tests.harness.checkout import ROOT
from tests.scaigrid.api.control_plane import Answer
from tests.scaigrid.api.world import NARROW, REVOKED, Caller, Site, World, world

ASKED = asked()


@pytest.fixture(scope="module", params=databases.KINDS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    made = databases.fresh(request.param, tmp_path_factory.mktemp("permissions"))
    yield made
    databases.drop(made)


@pytest.fixture(scope="module")
async def everything(url: str) -> AsyncGenerator[World]:
    async with world(url) as made:
        yield made


# -- the table -------------------------------------------------------------------------------------------------------


def test_the_table_in_the_documentation_is_the_one_of_the_code() -> None:
    """`just fresh` writes it."""
    assert (ROOT / "docs" / "reference" / "permissions.md").read_text() == written()


def test_every_operation_says_what_it_asks() -> None:
    assert {(operation.method.upper(), operation.path) for operation in OPERATIONS} == set(ASKED)


def test_the_rows_say_of_permissions_what_the_routes_do() -> None:
    for operation in OPERATIONS:
        asks = ASKED[operation.method.upper(), operation.path]
        wanted = () if isinstance(asks, Keyless) else asks.permissions
        told = () if operation.permission is None else tuple(operation.permission.split(" or "))
        assert (operation.name, told) == (operation.name, wanted)
        assert operation.keyless is isinstance(asks, Keyless)


def test_a_route_that_does_not_say_what_it_asks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from litestar import get

    from scaigrid.api import Routes, declared

    @get("/v1/unguarded")
    async def unguarded() -> None: ...

    there = declared()
    monkeypatch.setattr(permissions, "declared", lambda: Routes([*there.governed, unguarded], there.open))
    with pytest.raises(LookupError, match="GET /v1/unguarded"):
        asked()


@pytest.mark.parametrize(
    ("asks", "expected"),
    [
        (KEYLESS, "yes yes yes yes yes yes yes"),
        (ANYONE, "401 own own own own own own"),
        (Requirement("models:list"), "401 own own own own own all"),
        (Requirement("users:manage"), "401 403 403 tenant 403 partner all"),
        (Requirement("users:manage", reach="partner"), "401 403 403 403 403 partner all"),
        (Requirement("routing:manage", reach="platform"), "401 403 403 403 403 403 all"),
        (Requirement("accounting:view_own", "accounting:view_tenant"), "401 own own tenant tenant tenant all"),
        (Requirement("api_keys:manage", "users:manage"), "401 403 own tenant 403 partner all"),
    ],
)
def test_a_cell_says_how_far_somebody_gets(asks: Requirement | Keyless, expected: str) -> None:
    assert " ".join(cell(asks, role) for role in (None, *roles.ROLES)) == expected


# -- the walk --------------------------------------------------------------------------------------------------------

_OF_USERS = ("api-keys", "accounting/budgets", "rate-limits", "requests/")
"""What a user can have for itself."""
_OF_MODELS = "rate-limits/model"


def of_users(operation: Operation) -> bool:
    path = operation.path.removeprefix("/v1/")
    return path.startswith(_OF_USERS) and not path.startswith(_OF_MODELS)


def found(answer: Answer) -> str:
    """What became of a request, in the words of the table."""
    if answer.status < 300 or (answer.status == 409 and answer.code != "MANAGED_BY_CONFIG"):
        return "let"
    return f"{answer.status} {answer.code}" if answer.status not in (401, 403, 404) else str(answer.status)


def word(operation: Operation, role: str | None) -> str:
    return cell(ASKED[operation.method.upper(), operation.path], role)


def expected(operation: Operation, role: str | None) -> str:
    told = word(operation, role)
    return told if told in ("401", "403") else "let"


def own(everything: World, operation: Operation, caller: Caller, tenant: str) -> Site:
    """What a caller aims at: its own where it gets no farther, else its tenant's."""
    site = everything.sites[tenant]
    if word(operation, caller.role) == "own" and of_users(operation):
        return {**site, **everything.sites[caller.name]}
    return site


async def walked(everything: World, caller: Caller, tenant: str) -> dict[str, str]:
    """What became of each operation, asked by a caller for what is in a tenant."""
    became: dict[str, str] = {}
    for operation in OPERATIONS:
        site = own(everything, operation, caller, tenant)
        answer = await everything.ask(operation, caller, site, on=tenant, body=await everything.body(operation, site))
        became[operation.name] = found(answer)
        if answer.status < 300:
            told = [id_ for id_ in everything.foreign(caller) if id_.encode() in answer.body]
            assert (operation.name, told) == (operation.name, [])
        await everything.restore()
    return became


HERE = [
    *(f"{role}@a" for role in ("tenant_viewer", "tenant_user", "tenant_admin", "partner_viewer", "partner_admin")),
    "super_admin",
]


@pytest.mark.parametrize("name", HERE)
async def test_each_role_is_let_do_at_home_what_the_table_says(everything: World, name: str) -> None:
    caller = everything.callers[name]
    assert await walked(everything, caller, "a") == {
        operation.name: expected(operation, caller.role) for operation in OPERATIONS
    }


@pytest.mark.parametrize(
    ("name", "tenant"), [("partner_viewer@a", "b"), ("partner_admin@a", "b"), ("super_admin", "c")]
)
async def test_who_reaches_farther_is_let_do_there_what_it_is_at_home(
    everything: World, name: str, tenant: str
) -> None:
    caller = everything.callers[name]
    far = {one.name for one in OPERATIONS if word(one, caller.role) in ("partner", "all", "403")}
    became = await walked(everything, caller, tenant)
    assert {name: became[name] for name in far} == {
        operation.name: expected(operation, caller.role) for operation in OPERATIONS if operation.name in far
    }


@pytest.mark.parametrize("name", ["stranger", REVOKED])
async def test_who_is_nobody_is_let_do_what_asks_for_no_key(everything: World, name: str) -> None:
    assert await walked(everything, everything.callers[name], "a") == {
        operation.name: "let" if operation.keyless else "401" for operation in OPERATIONS
    }


async def test_a_key_that_does_not_carry_what_is_asked_opens_nothing(everything: World) -> None:
    caller = everything.callers[NARROW]
    for operation in OPERATIONS:
        asks = ASKED[operation.method.upper(), operation.path]
        site = everything.sites["a"]
        answer = await everything.ask(operation, caller, site, on="a", body=await everything.body(operation, site))
        if isinstance(asks, Keyless) or not asks.permissions:
            assert (operation.name, found(answer)) == (operation.name, "let")
        else:
            code = answer.json["error"]["code"]
            assert (operation.name, answer.status, code) == (operation.name, 403, "AUTH_INSUFFICIENT_SCOPE")


NEIGHBOURS = ["tenant_admin@b", "tenant_user@b", "tenant_admin@c", "partner_admin@c", "partner_viewer@c"]


@pytest.mark.parametrize("name", NEIGHBOURS)
async def test_what_a_neighbour_has_is_not_there(everything: World, name: str) -> None:
    caller = everything.callers[name]
    site = everything.sites["a"]
    became: dict[str, str] = {}
    wanted: dict[str, str] = {}
    for operation in OPERATIONS:
        if "{" not in operation.path or operation.keyless:
            continue
        answer = await everything.ask(operation, caller, site, body=await everything.body(operation, site))
        became[operation.name] = found(answer)
        wanted[operation.name] = "404" if expected(operation, caller.role) == "let" else "403"
        await everything.restore()
    assert became == wanted


async def test_what_a_colleague_has_is_not_there_for_who_gets_no_farther_than_itself(everything: World) -> None:
    site = {**everything.sites["a"], **everything.sites["tenant_admin@a"]}
    asked_of = 0
    for name in ("tenant_user@a", "tenant_viewer@a"):
        caller = everything.callers[name]
        for operation in OPERATIONS:
            if of_users(operation) and "{" in operation.path and word(operation, caller.role) == "own":
                answer = await everything.ask(operation, caller, site, body=await everything.body(operation, site))
                assert (name, operation.name, found(answer)) == (name, operation.name, "404")
                asked_of += 1
    assert asked_of > 8


@pytest.mark.parametrize("name", ["tenant_admin@b", "partner_admin@c"])
async def test_nothing_is_made_that_refers_to_a_neighbours(everything: World, name: str) -> None:
    caller = everything.callers[name]
    site = everything.sites["a"]
    refers = {id_ for prefix, id_ in site.items() if prefix != "tenant_slug"}
    for operation in OPERATIONS:
        body: Any = await everything.body(operation, site) if operation.status == 201 else None
        if body is None or not any(id_ in str(body) for id_ in refers):
            continue
        answer = await everything.ask(operation, caller, {}, body=body)
        await everything.restore()
        allowed = expected(operation, caller.role) == "let"
        assert (operation.name, found(answer)) == (operation.name, "404" if allowed else "403")


async def test_a_refusal_for_want_of_a_permission_is_recorded_by_what_was_tried(everything: World) -> None:
    """Whatever the endpoint: an administrator looks for actions, not for addresses."""
    caller = everything.callers["tenant_viewer@a"]
    site = everything.sites["a"]
    for operation in OPERATIONS:
        if operation.method == "get" or operation.call is not None:
            continue
        everything.plane.kept.records.clear()
        answer = await everything.ask(operation, caller, site, body=await everything.body(operation, site))
        (row,) = everything.plane.kept.audit
        assert (operation.name, row.status, row.http_status) == (operation.name, "FAILURE", answer.status)
        assert not row.action.startswith("request."), operation.name
