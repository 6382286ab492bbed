"""A deployment with everything in it, made over the API: what a request for anything can be aimed at.

Two partners: `one` with the tenants `a` and `b`, `two` with `c`. In each tenant a user and a key for each role, and one
resource of each kind; what belongs to a user (a key, a budget, a request limit) also for each of those users. Who has
made it is the least of them whom the table lets make it.
"""

import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import msgspec
from litestar import Litestar

from middlewares.intake import Intake, IntakeConfig
from middlewares.route_resolve import RouteResolve, RouteResolveConfig
from scaigrid.api import docs, examples, routes
from scaigrid.api.operation import Operation
from scaigrid.api.operations import OPERATIONS
from scaigrid.api.permissions import asked, cell
from scaigrid.api.resources import COLLECTIONS
from scaigrid.asgi import Receive, Scope, Send, respond
from scaigrid.config import entities
from scaigrid.control.kinds import KINDS
from scaigrid.control.state import State
from scaigrid.dialects import DIALECTS
from scaigrid.held import Held
from scaigrid.ledger.queries import LedgerReader
from scaigrid.ledger.reading import Grouping, Position, Rank, Total, UsageFilter
from scaigrid.ledger.records import UsageRow
from scaigrid.ledger.store import LedgerStore
from scaigrid.web import Kept, assemble
from tests.scaigrid.api.control_plane import Answer, ControlPlane, config, declared, key
from tests.scaigrid.ledger.rows import usage_row

TENANT: Final = "X-ScaiGrid-Tenant"
PARTNER_OF: Final[Mapping[str, str]] = {"a": "one", "b": "one", "c": "two"}
ROLES: Final = ("tenant_viewer", "tenant_user", "tenant_admin", "partner_viewer", "partner_admin")
REVOKED: Final = "revoked"
NARROW: Final = "narrow"
"""A super admin's key that carries nothing that any endpoint asks."""

_EXAMPLE = re.compile(r"([a-z]+)_[01]19ab3d0c2c8[0-9a-f]+")
_NAMED = re.compile(r"{(\w+)}")
_MADE = ("user", "group", "role", "role_mapping", "provider", "backend", "model", "route", "model_group")
_MADE_LAST = ("model_access", "api_key", "budget")

Site = dict[str, str]
"""What one tenant, or one user, has: an id for each prefix of ids, and a slug for `slug` and `bare`."""


class Caller(msgspec.Struct, frozen=True):
    """Who asks: the text of a key, the role of its user, and the tenant that it is at home in."""

    name: str
    token: str | None
    role: str | None
    home: str = "a"

    @property
    def reaches_farther(self) -> bool:
        """Whether it has to say which tenant it acts on."""
        return self.role in ("partner_viewer", "partner_admin", "super_admin")


class World:
    """`sites` by the name of a tenant or of a caller; `callers` by name: `tenant_admin@a`, `super_admin`."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.sites: dict[str, Site] = {}
        self.callers: dict[str, Caller] = {}
        self.asked = asked()
        self._numbers = iter(range(1, 1_000_000))
        self._state: State | None = None

    # -- asking ------------------------------------------------------------------------------------------------------

    async def ask(
        self, operation: Operation, caller: Caller, at: Site, *, on: str | None = None, body: Any = None
    ) -> Answer:
        """One request: the ids of the path from `at`, acting on the tenant `on`."""
        headers: dict[str, str] = {}
        # A tenant is made beside the others, and not by who acts on one of them.
        acts = caller.reaches_farther and operation.tenant_header and operation.name != "createTenant"
        if on is not None and acts:
            headers[TENANT] = on
        given = dict(self._addressed(operation, at))
        path = _NAMED.sub(lambda name: given[name[1]], operation.path)
        return await self.plane.ask(operation.method.upper(), path, body, who=None, token=caller.token, headers=headers)

    async def body(self, operation: Operation, at: Site) -> Any:
        """A body that would be taken at a site: the row's example with ids of the site and names of its own.

        What replaces something repeats what is there: then it is its own names that it has.
        """
        if operation.call is not None:
            slug = at[_CALLED.get(operation.call, "slug")]
            return {**examples.asked(operation.path, operation.call), "model": slug}
        if operation.body_example is None:
            return None
        whole = msgspec.to_builtins(operation.body_example, str_keys=True, enc_hook=str)
        adapted: dict[str, Any] = {
            name: _adapted(value, at) for name, value in whole.items() if value is not None and value != ""
        }
        if operation.method == "post":
            return self._named_anew(operation, adapted, at)
        there = await self.read(operation, at)
        return {**adapted, **{name: there[name] for name in adapted if name in there}}

    async def read(self, operation: Operation, at: Site) -> Mapping[str, Any]:
        """What a super admin reads at the address of an operation."""
        reading = next(one for one in OPERATIONS if (one.method, one.path) == ("get", operation.path))
        answer = await self.ask(reading, self.callers["super_admin"], at)
        assert answer.status == 200, answer.body
        data: Mapping[str, Any] = answer.json["data"]
        return data

    async def restore(self) -> None:
        """Puts back what the last request has changed."""
        before, after = self._state, await self.plane.control.refresh()
        assert before is not None
        if after.epoch == before.epoch:
            return
        changed = [one for one in before if _document(after, one.kind, one.id) != one.document]
        gone = [one for one in after if before.get(one.kind, one.id) is None]
        async with self.plane.control.change() as change:
            change.replace(changed, gone)
        self._state = self.plane.control.state

    def foreign(self, caller: Caller) -> set[str]:
        """Ids of what a caller must never be told of: other tenants' things, or other partners'."""
        if caller.role == "super_admin":
            return set()
        partner = PARTNER_OF[caller.home]
        mine = {"a", "b", "c"} & {
            name
            for name in PARTNER_OF
            if name == caller.home or (caller.reaches_farther and PARTNER_OF[name] == partner)
        }
        known = {id_ for name in mine for id_ in self.sites[name].values()}
        others = {id_ for name in set(PARTNER_OF) - mine for id_ in self.sites[name].values()}
        return others - known - set(PARTNER_OF)

    # -- making it ---------------------------------------------------------------------------------------------------

    async def build(self) -> None:
        for name, declared_as in (("super_admin", "super"), (REVOKED, REVOKED), (NARROW, NARROW)):
            self.callers[name] = Caller(name, key(declared_as), "super_admin")
        self.callers["stranger"] = Caller("stranger", None, None)
        partners: dict[str, str] = {}
        for slug in sorted(set(PARTNER_OF.values())):
            partners[slug] = await self._made("super_admin", "createPartner", {"slug": slug})
        for slug, partner in PARTNER_OF.items():
            tenant = await self._made("super_admin", "createTenant", {"slug": slug, "partner_id": partners[partner]})
            self.sites[slug] = {"partner": partners[partner], "tenant": tenant, "tenant_slug": slug}
        for slug in PARTNER_OF:
            await self._people(slug)
        for slug in PARTNER_OF:
            await self._furnish(slug)
        sites = [*PARTNER_OF, *(f"{role}@{slug}" for slug in PARTNER_OF for role in ROLES)]
        await LedgerStore(self.plane.engine).insert("usage", [self._usage(name) for name in sites])
        await self.plane.settle()
        self._state = await self.plane.control.refresh()

    async def _people(self, tenant: str) -> None:
        """A user and a key for each role, and the user that the tenant's things are about."""
        for role in ROLES:
            name = f"{role}@{tenant}"
            user = await self._made(
                "super_admin", "createUser", {"name": role, "email": f"{role}@{tenant}.test", "roles": [role]}, tenant
            )
            body = {"name": name, "assigned_user_id": user}
            answer = await self._post("super_admin", "createApiKey", body, tenant)
            data = answer.json["data"]
            self.callers[name] = Caller(name, data["key"], role, tenant)
            self.sites[name] = {"user": user, "apikey": data["id"]}

    async def _furnish(self, tenant: str) -> None:
        """One resource of each kind, and for each caller a budget of its own."""
        site = self.sites[tenant]
        for kind in _MADE:
            site[KINDS[kind].prefix] = await self._made_by_the_least(kind, tenant, site)
        for kind in _MADE_LAST:
            site[KINDS[kind].prefix] = await self._made_by_the_least(kind, tenant, site)
        kept = Held(site["be"], site["tenant"], site["slug"], "resp_1")
        site["response"] = self.plane.services.names.name(kept)
        budget = self._operation("createBudget")
        for role in ROLES:
            own = {**site, **self.sites[f"{role}@{tenant}"]}
            body = await self.body(budget, own)
            self.sites[f"{role}@{tenant}"] = {**own, "budget": await self._made("super_admin", budget.name, body)}

    async def _made_by_the_least(self, kind: str, tenant: str, site: Site) -> str:
        collection = next(one for one in COLLECTIONS if one.kind == kind) if kind != "model" else None
        operation = self._operation("createModel" if collection is None else f"create{collection.singular}")
        asks = self.asked[operation.method.upper(), operation.path]
        for name in (f"tenant_admin@{tenant}", f"partner_admin@{tenant}", "super_admin"):
            if cell(asks, self.callers[name].role) not in ("403", "own"):
                body = await self.body(operation, site)
                if kind == "model":
                    site["slug"] = body["slug"]
                    for other, more in _OTHER_MODELS.items():
                        site[other] = f"{body['slug']}-{other}"
                        await self._made(name, operation.name, {**body, **more, "slug": site[other]}, tenant)
                if kind == "route":
                    for other in _CALLED.values():
                        await self._made(name, operation.name, {**body, "model": site[other]}, tenant)
                    body = {**body, "model": site["slug"]}
                return await self._made(name, operation.name, body, tenant)
        raise AssertionError(f"nobody makes a {kind}")

    async def _made(self, who: str, name: str, body: Any, on: str | None = None) -> str:
        return str((await self._post(who, name, body, on)).json["data"]["id"])

    async def _post(self, who: str, name: str, body: Any, on: str | None) -> Answer:
        answer = await self.ask(self._operation(name), self.callers[who], {}, on=on, body=body)
        assert answer.status == 201, (who, name, body, answer.body)
        return answer

    # -- the parts of a request --------------------------------------------------------------------------------------

    def _named_anew(self, operation: Operation, body: dict[str, Any], at: Site) -> dict[str, Any]:
        number = next(self._numbers)
        for name in ("slug", "name"):
            if name in body and operation.status == 201:
                body[name] = f"{body[name]}-{number}".lower().replace(" ", "-")
        change = _BODIES.get(operation.name)
        return body if change is None else change(body, at, number)

    def _addressed(self, operation: Operation, at: Site) -> Iterator[tuple[str, str]]:
        for name in _NAMED.findall(operation.path):
            if operation.path.startswith("/docs/assets/"):
                yield name, next(iter(docs.reference().assets))
            elif name == "slug":
                yield name, at["slug"]
            elif name == "response_id":
                yield name, at["response"]
            elif name == "request_id":
                yield name, at["request"]
            elif name == "scope":
                yield name, "user"
            elif name in ("scope_id", "user_id"):
                yield name, at["user"]
            else:
                yield name, at[_prefix(operation)]

    def _usage(self, name: str) -> UsageRow:
        """A row of the site of that name, which is then the site's request."""
        site = self.sites[name]
        made = usage_row(
            next(self._numbers),
            partner_id=site["partner"],
            tenant_id=site["tenant"],
            user_id=site["user"],
            key_id=site["apikey"],
            model=site["slug"],
            backend_id=site["be"],
        )
        site["request"] = made.request_id
        return made

    @staticmethod
    def _operation(name: str) -> Operation:
        return next(one for one in OPERATIONS if one.name == name)


def _slug(body: dict[str, Any], at: Site, number: int) -> dict[str, Any]:
    return {**body, "slug": f"tenant/{at['tenant_slug']}/m{number}"}


def _route(body: dict[str, Any], at: Site, _: int) -> dict[str, Any]:
    return {"model": at["bare"], "targets": [{"backend_id": at["be"]}]}


def _key(body: dict[str, Any], at: Site, _: int) -> dict[str, Any]:
    """It carries what its user may do: whoever makes it need not have the same."""
    return {"name": body["name"], "assigned_user_id": at["user"]}


_OTHER_MODELS: Final[Mapping[str, Mapping[str, Any]]] = {
    "bare": {},
    "embedding": {"modality": "embedding"},
    "ranking": {"modality": "rerank"},
}
"""Besides the one of each tenant: one that is routed nowhere, for a route to be made, and those of other modalities."""
_CALLED: Final[Mapping[str, str]] = {"embed": "embedding", "rerank": "ranking"}
"""Which of them a call is for, where it is not for the tenant's own."""
_BODIES: Final[Mapping[str, Callable[[dict[str, Any], Site, int], dict[str, Any]]]] = {
    "createModel": _slug,
    "createRoute": _route,
    "createApiKey": _key,
    "createProvider": lambda body, _at, _number: {"name": body["name"], "type": "simulator"},
}
"""Where an example says more than goes together with everybody else's: what is sent instead."""


def _adapted(value: Any, at: Site) -> Any:
    """An example's value with the ids and the models of a site."""
    if isinstance(value, Mapping):
        return {name: _adapted(one, at) for name, one in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_adapted(one, at) for one in cast("Sequence[Any]", value)]
    if isinstance(value, str):
        example = _EXAMPLE.fullmatch(value)
        if example is not None:
            return at[example[1]]
        if value in ("acme/chat", "openai/gpt-4o"):
            return at.get("slug", value)
    return value


def _prefix(operation: Operation) -> str:
    """Of the ids that stand in an operation's path."""
    fitting = [one for one in COLLECTIONS if operation.path.startswith(f"{one.path}/")]
    return KINDS[max(fitting, key=lambda one: len(one.path)).kind].prefix


def _document(state: State, kind: str, id_: str) -> Any:
    found = state.get(kind, id_)
    return None if found is None else found.document


class _Late:
    """Reads the ledger of a control plane that is not there yet."""

    plane: ControlPlane

    async def usage_page(self, wanted: UsageFilter, *, limit: int, after: Position | None) -> Sequence[UsageRow]:
        return await LedgerReader(self.plane.engine).usage_page(wanted, limit=limit, after=after)

    async def totals(
        self, wanted: UsageFilter, by: Grouping, *, limit: int | None, after: Rank | None
    ) -> Sequence[Total]:
        return await LedgerReader(self.plane.engine).totals(wanted, by, limit=limit, after=after)


async def _answering(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, [(b"content-type", b"application/json")], b"{}")


@asynccontextmanager
async def _lifespan(_: Litestar) -> AsyncGenerator[None]:
    yield


@asynccontextmanager
async def world(url: str) -> AsyncGenerator[World]:
    """The world in a migrated database, with every surface: calls of models are answered once they are let through."""
    reader = _Late()
    declared_config = config(
        users={"super": entities.User(roles=("super_admin",))},
        keys={
            "super": declared("super", "super"),
            REVOKED: declared(REVOKED, "super", revoked=True),
            NARROW: declared(NARROW, "super", scopes=("prompts:template:read",)),
        },
        providers={},
        backends={},
    )
    reader.plane = plane = ControlPlane(declared_config, reader, url=url)
    await plane.open()
    calls = Intake(RouteResolve(_answering, RouteResolveConfig(), plane.services), IntakeConfig(), plane.services)
    paths = [path for dialect in DIALECTS for path in dialect.operations]
    api = routes(lambda: plane.sources)
    served = assemble(paths, calls, [*api.governed, *api.open], _lifespan)
    plane.serve(Kept(served, calls, DIALECTS))
    made = World(plane)
    try:
        await made.build()
        yield made
    finally:
        await plane.close()
