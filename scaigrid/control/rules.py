"""What holds for every resource, whoever makes it: references, names, and what its kind demands.

The file is judged by its own words in `config/references.py`, with lines; here it is documents against a state.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, cast

from scaigrid import roles
from scaigrid.adapter import Adapter
from scaigrid.config.connection import connection_faults
from scaigrid.config.routing import FALLBACK_REASONS, room_faults, route_faults
from scaigrid.config.terms import Limits
from scaigrid.control import documents as docs
from scaigrid.control.declared import route_id
from scaigrid.control.kinds import KINDS
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.types import Modality

_MOST_NAMED = 5
_IN_USE = {("provider", "backend"): Code.PROVIDER_HAS_BACKENDS, ("model", "route"): Code.MODEL_HAS_BACKENDS}

Adapters = Mapping[str, Adapter]


def faults(resource: Resource, state: State, adapters: Adapters) -> tuple[Detail, ...]:
    """What is wrong with a resource that is to be put into `state`.

    Raises the 404 of what it refers to in vain, and SLUG_CONFLICT where its name is taken.
    """
    for reference in resource.is_a.references(resource.document):
        if state.get(reference.kind, reference.id) is None:
            row = KINDS[reference.kind]
            gone = Detail(reference.field, f"there is no such {row.title}")
            raise GatewayError(row.missing, f"There is no such {row.title}.", details=(gone,))
    twin = state.named(resource.kind, resource.name, resource.owner) if resource.is_a.unique else None
    if twin is not None and twin.id != resource.id:
        title = resource.is_a.title
        raise GatewayError(
            Code.SLUG_CONFLICT,
            f"There is a {title} of this name already.",
            details=(Detail("slug" if resource.kind in _SLUGS else "name", f"belongs to another {title}"),),
        )
    judge = _JUDGES.get(resource.kind)
    return () if judge is None else tuple(judge(resource, state, adapters))


def in_use(resource: Resource, state: State) -> None:
    """Raises a 409 that names those who refer to a resource, which is to be deleted."""
    users = (*state.users_of(resource.kind, resource.id), *_own_models(resource, state))
    if not users:
        return
    code = _IN_USE.get((resource.kind, users[0].kind), Code.CONFLICT)
    named = tuple(Detail(user.kind, f"{user.is_a.title} {user.name} ({user.id})") for user in users[:_MOST_NAMED])
    many = f"{len(users)} resources" if len(users) > 1 else "another resource"
    raise GatewayError(
        code, f"The {resource.is_a.title} is in use by {many}: delete or change them first.", details=named
    )


_SLUGS = frozenset({"partner", "tenant", "model", "role"})


def _own_models(party: Resource, state: State) -> list[Resource]:
    """The models whose slugs say that they belong to a partner or a tenant."""
    if party.kind not in ("partner", "tenant"):
        return []
    own = f"{party.kind}/{party.name}/"
    return [model for model in state.all("model").values() if model.name.startswith(own)]


def _party(resource: Resource, state: State, _: Adapters) -> Iterator[Detail]:
    before = state.get(resource.kind, resource.id)
    if before is not None and before.name != resource.name:
        for model in _own_models(before, state)[:_MOST_NAMED]:
            yield Detail("slug", f"stands in the slug of the model {model.name}, which would be nobody's")
    yield from _limits(cast("docs.Partner | docs.Tenant", resource.document).limits, state)


def _user(resource: Resource, state: State, _: Adapters) -> Iterator[Detail]:
    user = cast("docs.User", resource.document)
    for place, role in enumerate(user.custom_role_ids):
        if state.document(docs.CustomRole, role).tenant_id != user.tenant_id:
            yield Detail(f"custom_role_ids[{place}]", "is a role of another tenant")
    if user.external_id is not None:
        for id_ in state.users_known_as(user.external_id):
            if id_ != resource.id:
                yield Detail("external_id", "belongs to another user")
    yield from _limits(user.limits, state)


def _group(resource: Resource, state: State, _: Adapters) -> Iterator[Detail]:
    group = cast("docs.Group", resource.document)
    seen: set[str] = set()
    for place, user in enumerate(group.user_ids):
        if state.document(docs.User, user).tenant_id != group.tenant_id:
            yield Detail(f"user_ids[{place}]", "is a user of another tenant")
        if user in seen:
            yield Detail(f"user_ids[{place}]", "is given more than once")
        seen.add(user)


def _role(resource: Resource, _state: State, _: Adapters) -> Iterator[Detail]:
    role = cast("docs.CustomRole", resource.document)
    for place, permission in enumerate(role.core_permissions):
        if permission not in roles.GRANTABLE:
            allowed = ", ".join(sorted(roles.GRANTABLE))
            yield Detail(f"core_permissions[{place}]", f"must be one of {allowed}")


def _mapping(resource: Resource, state: State, _: Adapters) -> Iterator[Detail]:
    mapping = cast("docs.RoleMapping", resource.document)
    if mapping.custom_role_id is not None:
        role = state.document(docs.CustomRole, mapping.custom_role_id)
        if role.tenant_id != state.document(docs.Group, mapping.group_id).tenant_id:
            yield Detail("custom_role_id", "is a role of another tenant")
    elif mapping.role is not None and roles.REACH[mapping.role] == "platform":
        yield Detail("role", "cannot be given to a group")


def _key(resource: Resource, state: State, _: Adapters) -> Iterator[Detail]:
    key = cast("docs.ApiKey", resource.document)
    for place, scope in enumerate(key.scopes or ()):
        if scope not in roles.PERMISSIONS and scope.count(":") < 2:
            allowed = ", ".join(sorted(roles.PERMISSIONS))
            yield Detail(f"scopes[{place}]", f"must be a permission of a module or one of {allowed}")
    for place, slug in enumerate(key.models or ()):
        if state.named("model", slug) is None:
            yield Detail(f"models[{place}]", "there is no such model")
    yield from _limits(key.limits, state)
    budget = key.budget
    if budget is not None and budget.needs_bounds:
        for fault in _unbounded(state):
            yield Detail(f"budget.{fault.field}", fault.message)


def _provider(resource: Resource, _state: State, adapters: Adapters) -> Iterator[Detail]:
    provider = cast("docs.Provider", resource.document)
    adapter = adapters.get(provider.type)
    if adapter is None:
        yield Detail("type", f"must be one of {', '.join(sorted(adapters))}")
    else:
        for place, reason in connection_faults(provider, adapter):
            yield Detail(".".join(step[:64] for step in place), reason)


def _backend(resource: Resource, state: State, adapters: Adapters) -> Iterator[Detail]:
    """Its provider may have become one of another protocol."""
    backend = cast("docs.Backend", resource.document)
    for field, reason in room_faults(backend.concurrency, backend.queue):
        yield Detail(field, reason)
    type_ = state.document(docs.Provider, backend.provider_id).type
    for user in state.users_of("backend", resource.id):
        if isinstance(user.document, docs.Route):
            model = state.document(docs.Model, user.document.model_id)
            fault = _unfit(type_, model, adapters)
            if fault is not None:
                yield Detail("provider_id", f"{fault} (model {model.name})")


def _model(resource: Resource, state: State, adapters: Adapters) -> Iterator[Detail]:
    model = cast("docs.Model", resource.document)
    if (model.prices is None) == (model.unpriced is None):
        yield Detail("prices", "give `prices`, or say `unpriced`: free or refuse")
    if _boundless(model) and (model.limits.needs_bounds or _bounded(state)):
        yield Detail(
            "max_output_tokens",
            "is required: a budget or a limit on tokens can only be kept where answers are bounded",
        )
    scope, _, rest = model.name.partition("/")
    if scope in ("tenant", "partner") and "/" in rest and state.named(scope, rest.partition("/")[0]) is None:
        yield Detail("slug", f"there is no {scope} {rest.partition('/')[0]!r}")
    route = state.get("route", route_id(resource.id))
    if route is not None and isinstance(route.document, docs.Route):
        for fault in _served(route.document, model, state, adapters):
            yield Detail("modality", fault.message)


def _route(resource: Resource, state: State, adapters: Adapters) -> Iterator[Detail]:
    route = cast("docs.Route", resource.document)
    if not route.targets:
        yield Detail("targets", "must have at least one backend")
        return
    seen: set[str] = set()
    for place, target in enumerate(route.targets):
        if target.backend_id in seen:
            yield Detail(f"targets[{place}].backend_id", "is a target of this route already")
        seen.add(target.backend_id)
    if not any(target.weight for target in route.targets):
        yield Detail("targets", "every weight is 0, so nothing would be chosen first")
    model = state.document(docs.Model, route.model_id)
    for path, reason in route_faults(model.name, len(route.targets), route.hedge, route.fallbacks):
        yield Detail(".".join(path), reason)
    for reason in FALLBACK_REASONS:
        named = getattr(route.fallbacks, reason)
        other = None if named is None else state.named("model", named)
        if other is not None and cast("docs.Model", other.document).modality is not model.modality:
            yield Detail(f"fallbacks.{reason}", f"is not of modality {model.modality.value}")
    yield from _served(route, model, state, adapters)


def _served(route: docs.Route, model: docs.Model, state: State, adapters: Adapters) -> Iterator[Detail]:
    """Faults of targets that cannot serve the model."""
    for place, target in enumerate(route.targets):
        backend = state.document(docs.Backend, target.backend_id)
        fault = _unfit(state.document(docs.Provider, backend.provider_id).type, model, adapters)
        if fault is not None:
            yield Detail(f"targets[{place}].backend_id", fault)


def _unfit(type_: str, model: docs.Model, adapters: Adapters) -> str | None:
    """Why providers of a type cannot serve a model."""
    adapter = adapters.get(type_)
    if adapter is None:
        return None
    needed = {Modality.CHAT: "chat", Modality.EMBEDDING: "embed", Modality.RERANK: "rerank"}.get(model.modality)
    if needed is None or needed not in adapter.can:
        return f"providers of type {type_} do not serve models of modality {model.modality.value}"
    if needed == "chat" and adapter.needs_max_output and model.max_output_tokens is None:
        return f"providers of type {type_} need a model with max_output_tokens"
    return None


def _group_of_models(resource: Resource, _state: State, _: Adapters) -> Iterator[Detail]:
    group = cast("docs.ModelGroup", resource.document)
    if (group.scope == "global") != (group.scope_id is None):
        yield Detail("scope_id", "is required where `scope` is partner or tenant, and left out where it is global")


def _access(resource: Resource, _state: State, _: Adapters) -> Iterator[Detail]:
    access = cast("docs.ModelAccess", resource.document)
    if (access.model_id is None) == (access.model_group_id is None):
        yield Detail("model_id", "give exactly one of `model` and `model_group_id`")


def _budget(resource: Resource, state: State, _: Adapters) -> Iterator[Detail]:
    budget = cast("docs.Budget", resource.document)
    if budget.needs_bounds:
        yield from _unbounded(state)


def _unbounded(state: State) -> Iterator[Detail]:
    """A budget of money or tokens can be kept only where every answer is bounded."""
    for _, model in state.documents(docs.Model):
        if _boundless(model):
            yield Detail("cost_limit", f"model {model.name} has no max_output_tokens, so no budget can be kept")
            return


def limit_faults(limits: Limits, models: Iterable[docs.Model]) -> Iterator[Detail]:
    """A limit on tokens can be kept only where every answer of the models that count is bounded."""
    if limits.needs_bounds:
        field = "tokens_per_day" if limits.tokens_per_minute is None else "tokens_per_minute"
        for model in models:
            if _boundless(model):
                yield Detail(field, f"model {model.name} has no max_output_tokens, so no limit on tokens can be kept")
                return


def _limits(limits: Limits, state: State) -> Iterator[Detail]:
    for fault in limit_faults(limits, (model for _, model in state.documents(docs.Model))):
        yield Detail(f"limits.{fault.field}", fault.message)


def _boundless(model: docs.Model) -> bool:
    return model.modality is Modality.CHAT and model.max_output_tokens is None


def _bounded(state: State) -> bool:
    """Whether a budget or a limit of somebody's exists that needs bounds."""
    kept: Iterable[docs.Budget | docs.Amounts | Limits | None] = chain(
        (budget for _, budget in state.documents(docs.Budget)),
        (one for _, key in state.documents(docs.ApiKey) for one in (key.budget, key.limits)),
        (partner.limits for _, partner in state.documents(docs.Partner)),
        (tenant.limits for _, tenant in state.documents(docs.Tenant)),
        (user.limits for _, user in state.documents(docs.User)),
    )
    return any(one is not None and one.needs_bounds for one in kept)


_JUDGES: Mapping[str, Callable[[Resource, State, Any], Iterator[Detail]]] = {
    "partner": _party,
    "tenant": _party,
    "user": _user,
    "group": _group,
    "role": _role,
    "role_mapping": _mapping,
    "api_key": _key,
    "provider": _provider,
    "backend": _backend,
    "model": _model,
    "route": _route,
    "model_group": _group_of_models,
    "model_access": _access,
    "budget": _budget,
}
