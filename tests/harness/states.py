"""Random states of a control plane in which everything holds that the API and the file ask for."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from string import printable
from typing import Any, Final, Literal, TypeVar

from hypothesis import strategies as st

from scaigrid.config.entities import Origin
from scaigrid.config.routing import FAILURES, BackendDeadlines, Breaker, Fallbacks, Hedge, When
from scaigrid.config.terms import Cost, Deadlines, HardAction, Limits, Prices, PriceTier, RoleName
from scaigrid.control import documents as docs
from scaigrid.control.declared import route_id
from scaigrid.control.kinds import KINDS
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.ids import declared_id
from scaigrid.limiter import OnStoreFailure
from scaigrid.secrets import Secret
from scaigrid.types import Modality

TEXTS: Final = st.one_of(
    st.sampled_from(
        [
            "on",
            "null",
            "~",
            "1e3",
            "0o17",
            "0x1f",
            "1:30",
            "2027-01-31",
            "- a",
            "a: b",
            "a #b",
            "#a",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a",
            "|",
            "<<",
            "=",
            "${HOME}",
            "$${HOME}",
            "$$${a",
            "a ${b:-c} d",
            "One.\nTwo.\n",
            "One.\n\n  Two: ${three}\n\n\n",
            " one\ntwo",
            "one \ntwo",
            "\none",
            "one\r\ntwo\x85three\u2028four",
            "\ttab",
            "Wat is er, België? 😀\nNiets.",
            "file:/etc/passwd",
            "stored:",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.text(st.sampled_from(sorted(printable)), max_size=12),
)
"""Whatever somebody may have typed, and what readers of YAML take for something else."""
NAMES: Final = st.sampled_from(
    [
        "on",
        "no",
        "1",
        "1e3",
        "null",
        "A b",
        "a.b",
        "ümlaut",
        "x" * 128,
        "x" * 64,
        "-",
        "..",
        "a--b",
        "Ann",
        "ann",
        "${A}",
    ]
)
WORDS: Final = st.sampled_from(["on", "1", "ann", "bob", "a.b", "x" * 64])
SLUGS: Final = st.sampled_from(["acme/chat", "acme/on", "1", "on", "Acme/Chat:1@x", "x/" + "y" * 126])
_AMOUNTS = st.one_of(
    st.decimals(0, 10**12, allow_nan=False, allow_infinity=False, places=9),
    st.sampled_from([Decimal(0), Decimal("1E+3"), Decimal("0.10"), Decimal("1E-7")]),
)
_PRICES = st.one_of(
    st.decimals(0, 999_999, allow_nan=False, allow_infinity=False, places=9),
    st.sampled_from([Decimal(0), Decimal("1E+3"), Decimal("0.10"), Decimal("1E-7")]),
)
_COUNTS = st.integers(0, 2**53)
_ACTIONS: Final[tuple[HardAction, ...]] = ("block", "notify", "throttle")
_ON_STORE_FAILURE: Final[tuple[OnStoreFailure, ...]] = ("deny", "allow", "allow_bounded")
_SECONDS = st.floats(0.001, 86_400)
_LIMITS = st.one_of(
    st.just(Limits()),
    st.builds(Limits, requests_per_minute=st.one_of(st.none(), _COUNTS)),
    st.builds(
        Limits,
        requests_per_day=st.one_of(st.none(), _COUNTS),
        concurrent_requests=st.one_of(st.none(), _COUNTS),
        on_store_failure=st.sampled_from(["deny", "allow", "allow_bounded"]),
    ),
)
"""None on tokens: those need models that are bounded."""
_ROLES: Final[tuple[RoleName, ...]] = ("tenant_viewer", "tenant_user", "tenant_admin")
_PERMISSIONS = st.lists(st.sampled_from(["models:list", "models:use", "users:manage"]), unique=True).map(tuple)
_OF_MODULES = st.lists(st.sampled_from(["rag:docs:read", "rag:docs:write"]), unique=True).map(tuple)
_TIMES = st.datetimes(
    datetime(2000, 1, 1),  # noqa: DTZ001 - the zone comes from the other strategy
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30)), timezone(timedelta(hours=2))]),
)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXTS,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
_SECRETS = st.text(st.sampled_from(sorted(set(printable) - set("\r\n\t\x0b\x0c"))), min_size=1, max_size=20).map(Secret)
_WORDS = st.text(st.sampled_from("aZ0+/=${}:"), min_size=1, max_size=20).map(Secret)
_KEY_PAIRS = st.fixed_dictionaries(
    {"access_key_id": _WORDS, "secret_access_key": _WORDS}, optional={"session_token": _WORDS}
)
_REGIONS = st.sampled_from(["us-east-1", "eu-central-1"]).map(lambda region: {"region": region})
_CUSTOM_OPTIONS = st.fixed_dictionaries(
    {}, optional={"responses": st.booleans(), "output_field": st.just("max_completion_tokens")}
)
_MAYBE = st.one_of(st.none(), TEXTS)
_C = TypeVar("_C", bound=Cost)
_Subject = Literal["partner", "tenant", "user", "group", "key", "model"]
_SPLIT: Final[tuple[Origin, Origin]] = ("config", "api")


class _World:
    """A state that grows, one resource at a time."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.resources: list[Resource] = []
        self.taken: set[tuple[str, str, str]] = set()

    def add(self, kind: str, document: docs.Document, origin: Origin | None = None, id_: str | None = None) -> str:
        """Its id; empty where its name is taken."""
        made = Resource(
            kind=kind,
            id=id_ or self._id(kind, document.name),
            origin=self.draw(st.sampled_from(_SPLIT)) if origin is None else origin,
            document=document,
        )
        if made.is_a.unique and (kind, made.owner, made.name) in self.taken:
            return ""
        if made.id in {one.id for one in self.resources}:
            return ""
        self.taken.add((kind, made.owner, made.name))
        self.resources.append(made)
        return made.id

    def ids(self, kind: str) -> list[str]:
        return [one.id for one in self.resources if one.kind == kind]

    def some(self, ids: list[str]) -> tuple[str, ...]:
        return tuple(self.draw(st.lists(st.sampled_from(ids), unique=True, max_size=3))) if ids else ()

    def one(self, ids: list[str]) -> str:
        return self.draw(st.sampled_from(ids))

    def of_tenant(self, kind: str, tenant: str) -> list[str]:
        return [one.id for one in self.resources if one.kind == kind and one.owner == tenant]

    def _id(self, kind: str, name: str) -> str:
        prefix = KINDS[kind].prefix
        handle = self.draw(st.one_of(st.just(name), WORDS, st.none()))
        if handle is not None:
            return declared_id(prefix, handle)
        return f"{prefix}_{self.draw(st.integers(0, 2**128 - 1)):032x}"

    def rounds(self, most: int, least: int = 0) -> range:
        return range(self.draw(st.integers(least, most)))


@st.composite
def states(draw: st.DrawFn, epoch: int = 7) -> State:
    """A state with every kind of resource, of either origin, referring to each other at random."""
    world = _World(draw)
    _parties(world)
    _people(world)
    bounded = draw(st.booleans())
    _routing(world, bounded=bounded)
    _grants(world)
    _keys(world)
    _budgets(world, bounded=bounded)
    return State.of(world.resources, epoch)


def _parties(world: _World) -> None:
    draw = world.draw
    for _ in world.rounds(2, least=1):
        world.add("partner", docs.Partner(name=draw(NAMES), display_name=draw(_MAYBE), limits=draw(_LIMITS)))
    for _ in world.rounds(3, least=1):
        partner = world.one(world.ids("partner"))
        suspended = draw(st.booleans())
        world.add(
            "tenant", docs.Tenant(name=draw(NAMES), partner_id=partner, suspended=suspended, limits=draw(_LIMITS))
        )


def _people(world: _World) -> None:
    draw = world.draw
    for _ in world.rounds(2):
        tenant = world.one(world.ids("tenant"))
        core, modules = draw(_PERMISSIONS), draw(_OF_MODULES)
        role = docs.CustomRole(name=draw(WORDS), tenant_id=tenant, core_permissions=core, module_permissions=modules)
        world.add("role", role)
    for number in world.rounds(4, least=1):
        tenant = world.one(world.ids("tenant"))
        user = docs.User(
            name=draw(NAMES),
            tenant_id=tenant,
            email=draw(_MAYBE),
            external_id=draw(st.sampled_from([None, f"issuer|{number}"])),
            roles=tuple(draw(st.lists(st.sampled_from(_ROLES), unique=True))),
            custom_role_ids=world.some(world.of_tenant("role", tenant)),
            module_permissions=draw(_OF_MODULES),
            disabled=draw(st.booleans()),
            limits=draw(_LIMITS),
        )
        world.add("user", user)
    for _ in world.rounds(2):
        tenant = world.one(world.ids("tenant"))
        members = world.some(world.of_tenant("user", tenant))
        world.add("group", docs.Group(name=draw(NAMES), tenant_id=tenant, description=draw(_MAYBE), user_ids=members))
    for group in world.ids("group"):
        mapping = docs.RoleMapping(name=draw(NAMES), group_id=group, role=draw(st.sampled_from(_ROLES)))
        world.add("role_mapping", mapping)


def _routing(world: _World, *, bounded: bool) -> None:
    draw = world.draw
    for _ in world.rounds(2, least=1):
        headers = draw(st.dictionaries(st.sampled_from(["x-org", "OpenAI-Project"]), _SECRETS, max_size=2))
        signs = draw(st.booleans())
        provider = docs.Provider(
            name=draw(NAMES),
            type="bedrock" if signs else "custom",
            base_url="http://127.0.0.1:9/v1",
            api_key=None if signs else draw(st.one_of(st.none(), _SECRETS)),
            credentials=draw(_KEY_PAIRS) if signs else {},
            headers=headers,
            options=draw(_REGIONS if signs else _CUSTOM_OPTIONS),
        )
        world.add("provider", provider)
    for _ in world.rounds(3, least=1):
        parties = world.some([*world.ids("partner"), *world.ids("tenant")])
        backend = docs.Backend(
            name=draw(NAMES),
            provider_id=world.one(world.ids("provider")),
            model=draw(TEXTS),
            api_key=draw(st.one_of(st.none(), _SECRETS)),
            cost=draw(_charged(Cost)),
            lacks=draw(st.sampled_from([(), ("tools", "images")])),
            context_window=draw(st.sampled_from([None, 8192])),
            concurrency=draw(st.sampled_from([None, 4])),
            deadlines=draw(st.sampled_from([BackendDeadlines(), BackendDeadlines(idle=2.5)])),
            breaker=draw(st.sampled_from([Breaker(), Breaker(failures=2, error_ratio=0.5)])),
            granted_to=parties,
        )
        world.add("backend", backend)
    for _ in world.rounds(3):
        _model(world, bounded=bounded)


def _charged(kind: type[_C]) -> st.SearchStrategy[_C]:
    """Prices or a cost, some classes of it said, some left out, some apart for large requests."""
    maybe = st.one_of(st.none(), _PRICES)
    tiers = st.lists(st.integers(1, 2**40), unique=True, max_size=2).flatmap(
        lambda above: st.tuples(
            *(st.builds(PriceTier, above=st.just(one), input=maybe, output_image=maybe) for one in sorted(above))
        )
    )
    return st.builds(
        kind,
        input=_PRICES,
        output=_PRICES,
        cache_write=maybe,
        input_audio=maybe,
        image=_PRICES,
        request=_PRICES,
        tiers=tiers,
    )


def _model(world: _World, *, bounded: bool) -> None:
    draw = world.draw
    priced = draw(st.booleans())
    least = st.integers(1, 2**40)
    model = docs.Model(
        name=draw(SLUGS),
        modality=draw(st.sampled_from([Modality.CHAT, Modality.EMBEDDING])),
        display_name=draw(_MAYBE),
        access=draw(st.sampled_from(["all", "granted"])),
        max_output_tokens=draw(least if bounded else st.one_of(st.none(), least)),
        max_image_tokens=draw(st.one_of(st.none(), least)),
        limits=draw(_LIMITS),
        prices=draw(_charged(Prices)) if priced else None,
        unpriced=None if priced else "free",
        default_params=draw(st.dictionaries(TEXTS, _JSON, max_size=3)),
        system_prompt=draw(_MAYBE),
        on_unsupported=draw(st.sampled_from(["refuse", "drop_with_header"])),
        metadata=draw(st.dictionaries(TEXTS, TEXTS, max_size=2)),
    )
    id_ = world.add("model", model)
    if id_ and draw(st.booleans()):
        origin = world.resources[-1].origin
        backends = world.some(world.ids("backend")) or (world.one(world.ids("backend")),)
        targets = tuple(
            docs.Target(
                backend_id=backend,
                weight=draw(st.integers(1, 5)),
                priority=draw(st.integers(0, 2)),
                when=draw(st.sampled_from([None, When(stream=True), When(uses=("tools",), tags={"a": "b"})])),
            )
            for backend in backends
        )
        deadlines = draw(st.builds(Deadlines, connect=_SECONDS, total=_SECONDS))
        route = docs.Route(
            name=id_,
            model_id=id_,
            targets=targets,
            strategy=draw(st.sampled_from(["weighted", "least_latency", "least_busy", "cheapest", "sticky"])),
            sticky_by=draw(st.sampled_from(["key", "user", "tenant", "session"])),
            max_attempts=2,
            attempts_per_backend=draw(st.integers(1, 3)),
            failover_on=draw(st.sampled_from([FAILURES, (), ("timeout", "connect")])),
            when_unhealthy=draw(st.sampled_from(["try", "refuse"])),
            deadlines=deadlines,
            hedge=draw(st.sampled_from([None, Hedge(share=0.5)])) if len(targets) > 1 else None,
            fallbacks=Fallbacks() if origin == "config" else Fallbacks(content_refused="somewhere/else"),
        )
        world.add("route", route, origin, route_id(id_))


def _grants(world: _World) -> None:
    draw = world.draw
    scopes: tuple[Literal["global", "partner", "tenant"], ...] = ("global", "partner", "tenant")
    for _ in world.rounds(2):
        scope = draw(st.sampled_from(scopes))
        of = None if scope == "global" else world.one(world.ids(scope))
        models = world.some(world.ids("model"))
        world.add("model_group", docs.ModelGroup(name=draw(NAMES), scope=scope, scope_id=of, model_ids=models))
    subjects: tuple[Literal["partner", "tenant", "group", "user"], ...] = ("partner", "tenant", "group", "user")
    for _ in world.rounds(2):
        subject = draw(st.sampled_from(subjects))
        if world.ids(subject) and world.ids("model_group"):
            access = docs.ModelAccess(
                name=draw(NAMES),
                subject_type=subject,
                subject_id=world.one(world.ids(subject)),
                model_group_id=world.one(world.ids("model_group")),
            )
            world.add("model_access", access)


def _keys(world: _World) -> None:
    draw = world.draw
    slugs = [one.name for one in world.resources if one.kind == "model"]
    for number in world.rounds(3):
        amounts = docs.Amounts(
            period="monthly",
            timezone="Europe/Amsterdam",
            request_limit=draw(_COUNTS),
            hard_action=draw(st.sampled_from(_ACTIONS)),
            soft_limit_pct=draw(st.sampled_from([None, Decimal("0.8"), Decimal("0.25")])),
        )
        key = docs.ApiKey(
            name=draw(NAMES),
            user_id=world.one(world.ids("user")),
            sha256=f"{number:064x}",
            prefix=draw(st.sampled_from([None, "sgk_abcdefgh"])),
            expires_at=draw(st.one_of(st.none(), _TIMES)),
            scopes=draw(st.one_of(st.none(), _PERMISSIONS)),
            models=draw(st.one_of(st.none(), st.just(world.some(slugs)))),
            addresses=draw(st.sampled_from([None, (), ("10.0.0.0/8", "::1")])),
            limits=draw(_LIMITS),
            budget=draw(st.sampled_from([None, amounts])),
            revoked=draw(st.booleans()),
        )
        world.add("api_key", key)


def _budgets(world: _World, *, bounded: bool) -> None:
    draw = world.draw
    scopes: tuple[_Subject, ...] = ("partner", "tenant", "user", "group", "key", "model")
    for _ in world.rounds(2):
        scope = draw(st.sampled_from(scopes))
        subjects = world.ids("api_key" if scope == "key" else scope)
        if subjects:
            budget = docs.Budget(
                name=draw(NAMES),
                scope=scope,
                scope_id=world.one(subjects),
                period="weekly",
                cost_limit=draw(_AMOUNTS) if bounded else None,
                request_limit=draw(_COUNTS),
                hard_action=draw(st.sampled_from(_ACTIONS)),
                soft_limit_pct=draw(st.one_of(st.none(), st.decimals(Decimal("0.001"), 1, places=3))),
                throttle_per_minute=draw(st.integers(1, 2**53)),
                on_store_failure=draw(st.sampled_from(_ON_STORE_FAILURE)),
            )
            world.add("budget", budget)
