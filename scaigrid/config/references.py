"""What no Struct can judge by itself: references between sections, and what only makes sense together."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from scaigrid.adapter import Adapter
from scaigrid.config import entities, schema
from scaigrid.config.connection import connection_faults
from scaigrid.config.entity_references import check_entities
from scaigrid.config.identity_references import check_identity
from scaigrid.config.routing import FALLBACK_REASONS, Route, route_faults
from scaigrid.config.terms import DEMO_KEY
from scaigrid.control.declared import key_digest, or_default
from scaigrid.control.vault import LEAST
from scaigrid.stores.address import read_address
from scaigrid.types import Modality

Path = tuple[str | int, ...]
Fault = tuple[Path, str]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def check(config: schema.Config, adapters: Mapping[str, Adapter]) -> Iterable[Fault]:
    """Every fault with the path of the key that has it; none for a configuration that can be compiled."""
    yield from _tenancy(config)
    yield from _keys(config)
    yield from _budgets(config)
    yield from _providers(config, adapters)
    yield from _models(config, adapters)
    yield from check_entities(config)
    yield from check_identity(config)
    yield from _server(config)
    yield from _database(config.database)
    yield from _store(config.store)


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    names = ", ".join(sorted(known)[:8])
    return f"there is no {kind} {name!r}" + (f" (declared: {names})" if names else " (none is declared)")


def _tenancy(config: schema.Config) -> Iterable[Fault]:
    partners = or_default(config.partners, entities.Partner())
    tenants = or_default(config.tenants, entities.Tenant())
    for name, tenant in config.tenants.items():
        if tenant.partner not in partners:
            yield ("tenants", name, "partner"), _unknown("partner", tenant.partner, partners)
    if not config.tenants and config.partners and "default" not in config.partners:
        yield ("partners",), "partners are declared but no tenants: declare the tenants that belong to them"
    for name, user in config.users.items():
        if user.tenant not in tenants:
            yield ("users", name, "tenant"), _unknown("tenant", user.tenant, tenants)


def _keys(config: schema.Config) -> Iterable[Fault]:
    seen: dict[bytes, str] = {}
    for name, key in config.keys.items():
        if key.user not in config.users:
            yield ("keys", name, "user"), _unknown("user", key.user, config.users)
        other = seen.setdefault(key_digest(key), name)
        if other != name:
            yield ("keys", name), f"the same key as {other!r}: each entry needs a key of its own"
        for place, slug in enumerate(key.models or ()):
            # A key that the API made may outlive a model that it names.
            if slug not in config.models and key.origin == "config":
                yield ("keys", name, "models", place), _unknown("model", slug, config.models)


def _budgets(config: schema.Config) -> Iterable[Fault]:
    known: Mapping[str, Iterable[str]] = {
        "partner": or_default(config.partners, entities.Partner()),
        "tenant": or_default(config.tenants, entities.Tenant()),
        "user": config.users,
        "group": config.groups,
        "key": config.keys,
        "model": config.models,
    }
    for name, budget in config.budgets.items():
        if budget.of not in known[budget.scope]:
            yield ("budgets", name, "of"), _unknown(budget.scope, budget.of, known[budget.scope])


def _providers(config: schema.Config, adapters: Mapping[str, Adapter]) -> Iterable[Fault]:
    for name, provider in config.providers.items():
        adapter = adapters.get(provider.type)
        if adapter is None:
            known = ", ".join(sorted(adapters))
            yield ("providers", name, "type"), f"there is no provider type {provider.type!r} (known: {known})"
        else:
            faults = connection_faults(provider, adapter)
            yield from ((("providers", name, *place), reason) for place, reason in faults)
    for name, backend in config.backends.items():
        if backend.provider not in config.providers:
            yield ("backends", name, "provider"), _unknown("provider", backend.provider, config.providers)


def _models(config: schema.Config, adapters: Mapping[str, Adapter]) -> Iterable[Fault]:
    bounding = next(_bounding(config), None)
    for slug, model in config.models.items():
        used: set[str] = set()
        targets = () if model.route is None else model.route.targets
        for place, target in enumerate(targets):
            path = ("models", slug, "route", "targets", place, "backend")
            if target.backend in used:
                yield path, f"{target.backend!r} is a target of this route already"
            used.add(target.backend)
            backend = config.backends.get(target.backend)
            if backend is None:
                yield path, _unknown("backend", target.backend, config.backends)
                continue
            yield from _modality(path, model, backend, config, adapters)
        if model.route is not None:
            yield from _fallbacks(slug, model, model.route, config)
        if targets and not any(target.weight for target in targets):
            yield ("models", slug, "route", "targets"), "every weight is 0, so nothing would be chosen first"
        why = "its limit on tokens" if model.limits.needs_bounds else bounding
        if model.modality is Modality.CHAT and model.max_output_tokens is None and why is not None:
            yield ("models", slug, "max_output_tokens"), f"needed: {why} can only be kept where answers are bounded"


def _fallbacks(slug: str, model: entities.Model, route: Route, config: schema.Config) -> Iterable[Fault]:
    own = ("models", slug, "route")
    for path, reason in route_faults(model.name or slug, len(route.targets), route.hedge, route.fallbacks):
        yield (*own, *path), reason
    known = {other.name or handle: other for handle, other in config.models.items()}
    for reason in FALLBACK_REASONS:
        named = getattr(route.fallbacks, reason)
        other = known.get(named)
        # A route that the API made may outlive a model that it names.
        if named is not None and other is None and model.origin == "config":
            yield (*own, "fallbacks", reason), _unknown("model", named, known)
        elif other is not None and other.modality is not model.modality:
            yield (*own, "fallbacks", reason), f"is of modality {other.modality.value}, not {model.modality.value}"


def _bounding(config: schema.Config) -> Iterator[str]:
    """What asks of every model that its answers are bounded."""
    for name, budget in config.budgets.items():
        if budget.hard_action != "notify" and (budget.cost_limit is not None or budget.token_limit is not None):
            yield f"budget {name!r}"
    parties: Mapping[str, Mapping[str, entities.Partner | entities.Tenant | entities.User | entities.Key]] = {
        "partner": config.partners,
        "tenant": config.tenants,
        "user": config.users,
        "key": config.keys,
    }
    for level, entries in parties.items():
        for name, entry in entries.items():
            if entry.limits.needs_bounds:
                yield f"the limit on tokens of {level} {name!r}"


def _modality(
    path: Path, model: entities.Model, backend: entities.Backend, config: schema.Config, adapters: Mapping[str, Adapter]
) -> Iterable[Fault]:
    provider = config.providers.get(backend.provider)
    adapter = adapters.get(provider.type) if provider else None
    if provider is None or adapter is None:
        return
    needed = {Modality.CHAT: "chat", Modality.EMBEDDING: "embed", Modality.RERANK: "rerank"}.get(model.modality)
    if needed is None or needed not in adapter.can:
        yield path, f"providers of type {provider.type} do not serve models of modality {model.modality.value}"
    elif needed == "chat" and adapter.needs_max_output and model.max_output_tokens is None:
        yield (
            ("models", path[1], "max_output_tokens"),
            f"needed: providers of type {provider.type} refuse calls without a bound",
        )


def _server(config: schema.Config) -> Iterable[Fault]:
    if config.server.workers > 1 and config.store.type == "memory":
        yield (
            ("server", "workers"),
            (
                f"{config.server.workers} workers would each count by themselves on the memory store: "
                "set `store.type: valkey` with its `store.url`, or `server.workers: 1`"
            ),
        )
    if config.server.host not in LOOPBACK:
        demo = hashlib.sha256(DEMO_KEY.encode()).digest()
        for name, key in config.keys.items():
            if key_digest(key) == demo:
                yield (
                    ("keys", name),
                    (
                        f"this is the published demo key, and the gateway listens on {config.server.host}: "
                        "make a key of your own"
                    ),
                )


def _database(database: schema.Database) -> Iterable[Fault]:
    key = database.encryption_key
    if key is None and database.url is not None and not database.url.reveal().startswith("sqlite"):
        yield (
            ("database", "encryption_key"),
            "needed with a database server: what encrypts credentials there has to be the same in every gateway",
        )
    keys = (
        (("encryption_key",), key),
        *((("previous_encryption_keys", place), old) for place, old in enumerate(database.previous_encryption_keys)),
    )
    for path, secret in keys:
        if secret is not None and len(secret.reveal()) < LEAST:
            yield ("database", *path), f"must have at least {LEAST} characters, and be hard to guess"


def _store(store: schema.Store) -> Iterable[Fault]:
    if store.url is None:
        if store.type == "valkey":
            yield ("store", "url"), "needed: where the Valkey is, for example valkey://localhost:6379/0"
        return
    if store.type == "memory":
        yield ("store", "url"), "the memory store has none: set `store.type: valkey`, or leave it out"
        return
    try:
        read_address(store.url.reveal())
    except ValueError as error:
        yield ("store", "url"), str(error)
