"""Config -> Snapshot: names become ids and references, decimals become integers, limits become buckets."""

import hashlib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec

from scaigrid import roles
from scaigrid.adapter import Adapter, Target
from scaigrid.config import schema
from scaigrid.config.snapshot import Backend, Candidate, Fund, Model, Party, Principal, Route, Snapshot
from scaigrid.errors import Level
from scaigrid.ids import declared_id
from scaigrid.limiter import Bucket, Kind, Take
from scaigrid.pricing import FREE, PriceList, to_nano

DEFAULT = "default"
REQUESTS_PER_MINUTE: Mapping[Level, int] = {"key": 60, "user": 120, "tenant": 1000, "partner": 5000}
"""The published defaults (money, section 2)."""

EntryT = TypeVar("EntryT")


def compile_snapshot(config: schema.Config, adapters: Mapping[str, Adapter]) -> Snapshot:
    """The snapshot of a configuration that has passed `references.check`."""
    funds = tuple(fund for name, budget in config.budgets.items() for fund in _funds(name, budget))
    backends = {name: _backend(name, backend, config, adapters) for name, backend in config.backends.items()}
    principals = _Principals(config, funds)
    return Snapshot(
        keys={key_digest(key): principals.of_key(name, key) for name, key in config.keys.items()},
        models={slug: _model(slug, model, backends, funds) for slug, model in config.models.items()},
        backends=tuple(backends.values()),
        funds=funds,
        anonymous=principals.anonymous(),
        secrets=tuple(_secrets(config)),
    )


def key_digest(key: schema.Key) -> bytes:
    """SHA-256 of a declared key: how the snapshot knows it."""
    if key.sha256 is not None:
        return bytes.fromhex(key.sha256)
    return hashlib.sha256(key.key.reveal().encode() if key.key else b"").digest()


def subject_id(scope: Level, of: str) -> str:
    """What a budget's counters are kept by in the ledger: the id of its subject, a model's slug."""
    return of if scope == "model" else declared_id("apikey" if scope == "key" else scope, of)


def or_default(entries: Mapping[str, EntryT], implicit: EntryT) -> Mapping[str, EntryT]:
    """Partner -> Tenant -> User, always: the entry `default` stands in where none is declared."""
    return entries or {DEFAULT: implicit}


class _Principals:
    """Makes principals, each level once."""

    def __init__(self, config: schema.Config, funds: tuple[Fund, ...]) -> None:
        self._config = config
        self._funds = funds
        self._partners = or_default(config.partners, schema.Partner())
        self._tenants = or_default(config.tenants, schema.Tenant())

    def of_key(self, name: str, key: schema.Key) -> Principal:
        principal = self._of_user(key.user, self._config.users[key.user])
        party = Party(declared_id("apikey", name), name, name)
        return msgspec.structs.replace(
            principal,
            key=party,
            expires_at=key.expires_at.timestamp() if key.expires_at else None,
            models=frozenset(key.models) if key.models is not None else None,
            windows=(*_windows("key", party, key.limits), *principal.windows),
            funds=(*self._funds_of("key", party), *principal.funds),
        )

    def anonymous(self) -> Principal:
        tenant = next(iter(self._tenants))
        return self._of_user("anonymous", schema.User(tenant=tenant, roles=()))

    def _of_user(self, name: str, user: schema.User) -> Principal:
        tenant = self._tenants[user.tenant]
        partner = self._partners[tenant.partner]
        parties: dict[Level, Party] = {
            "user": _party("user", name, None),
            "tenant": _party("tenant", user.tenant, tenant.display_name),
            "partner": _party("partner", tenant.partner, partner.display_name),
        }
        limits: dict[Level, schema.Limits] = {"user": user.limits, "tenant": tenant.limits, "partner": partner.limits}
        return Principal(
            partner=parties["partner"],
            tenant=parties["tenant"],
            user=parties["user"],
            email=user.email,
            roles=user.roles,
            permissions=roles.permissions(user.roles),
            suspended=tenant.suspended,
            windows=tuple(take for level, party in parties.items() for take in _windows(level, party, limits[level])),
            funds=tuple(fund for level, party in parties.items() for fund in self._funds_of(level, party)),
        )

    def _funds_of(self, level: Level, party: Party) -> Iterable[Fund]:
        return (fund for fund in self._funds if fund.level == level and fund.subject == party.id)


def _party(level: Level, name: str, display_name: str | None) -> Party:
    return Party(declared_id(level, name), name, display_name or name)


def _windows(level: Level, party: Party, limits: schema.Limits) -> Iterable[Take]:
    limit = limits.requests_per_minute
    if limit is msgspec.UNSET:
        limit = REQUESTS_PER_MINUTE[level]
    if limit is not None:
        yield Take(Bucket(key=f"limit:requests:60:{party.id}", level=level, kind="requests", limit=limit), 1)


def _funds(name: str, budget: schema.Budget) -> Iterable[Fund]:
    limits: dict[Kind, int | None] = {
        "cost": None if budget.cost_limit is None else to_nano(budget.cost_limit),
        "tokens": budget.token_limit,
        "requests": budget.request_limit,
    }
    for kind, limit in limits.items():
        if limit is not None:
            yield Fund(
                name=name,
                level=budget.scope,
                subject=subject_id(budget.scope, budget.of),
                kind=kind,
                limit=limit,
                period=budget.period,
                zone=ZoneInfo(budget.timezone),
            )


def _backend(name: str, backend: schema.Backend, config: schema.Config, adapters: Mapping[str, Adapter]) -> Backend:
    provider = config.providers[backend.provider]
    adapter = adapters[provider.type]
    base_url = provider.base_url or adapter.base_url() or ""
    return Backend(
        id=declared_id("be", name),
        name=name,
        provider=backend.provider,
        adapter=adapter,
        target=Target(
            type=provider.type,
            base_url=base_url.rstrip("/"),
            model=backend.model,
            headers=adapter.headers(provider.api_key, provider.headers),
        ),
        cost=_price_list(backend.cost),
    )


def _model(slug: str, model: schema.Model, backends: Mapping[str, Backend], funds: tuple[Fund, ...]) -> Model:
    price = None if model.unpriced == "refuse" else _price_list(model.prices) if model.prices else FREE
    return Model(
        id=declared_id("model", slug),
        slug=slug,
        display_name=model.display_name or slug,
        description=model.description,
        modality=model.modality,
        status=model.status,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
        price=price,
        bounded=any(fund.kind != "requests" for fund in funds),
        defaults={name: msgspec.Raw(msgspec.json.encode(value)) for name, value in model.default_params.items()},
        system_prompt=model.system_prompt,
        metadata=model.metadata,
        route=_route(model.route, backends),
        funds=tuple(fund for fund in funds if fund.level == "model" and fund.subject == slug),
        backend_count=len({target.backend for target in model.route.targets}),
    )


def _route(route: schema.Route, backends: Mapping[str, Backend]) -> Route:
    tiers: dict[int, list[Candidate]] = {}
    for target in sorted(route.targets, key=lambda target: target.priority):
        tiers.setdefault(target.priority, []).append(Candidate(backends[target.backend], target.weight))
    deadlines = route.deadlines
    return Route(
        tiers=tuple(tuple(tier) for tier in tiers.values()),
        max_attempts=route.max_attempts,
        connect=deadlines.connect,
        first_byte=deadlines.first_byte,
        idle=deadlines.idle,
        total=deadlines.total,
    )


def _price_list(cost: schema.Cost) -> PriceList:
    def nano(price: Decimal | None, otherwise: Decimal) -> int:
        return to_nano(otherwise if price is None else price)

    cache_write = cost.input if cost.cache_write is None else cost.cache_write
    prices = PriceList(
        input=to_nano(cost.input),
        cache_read=nano(cost.cached_input, cost.input),
        cache_write=to_nano(cache_write),
        cache_write_1h=nano(cost.cache_write_1h, cache_write),
        output=to_nano(cost.output),
        request=to_nano(cost.request) if isinstance(cost, schema.Prices) else 0,
    )
    version = hashlib.sha256(msgspec.json.encode(prices)).hexdigest()[:12]
    return msgspec.structs.replace(prices, version=version)


def _secrets(config: schema.Config) -> Iterable[str]:
    for provider in config.providers.values():
        if provider.api_key is not None:
            yield provider.api_key.reveal()
    for key in config.keys.values():
        if key.key is not None:
            yield key.key.reveal()
