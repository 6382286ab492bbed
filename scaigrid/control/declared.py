"""Config -> resources: what the file declares by handles, as documents that refer to each other by id."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from scaigrid.config import entities, schema
from scaigrid.config.key_budget import KeyBudget
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.ids import declared_id

DEFAULT = "default"
PREFIX_LENGTH = 12
"""Characters of a key that people see: `sgk_` and eight more."""

EntryT = TypeVar("EntryT", bound=entities.Entry)


def resources_of(config: schema.Config) -> list[Resource]:
    """The resources of a configuration that has passed `references.check`, each behind those that it refers to."""
    return list(_Declared(config).all())


def key_digest(key: entities.Key) -> bytes:
    """SHA-256 of a declared key: how the snapshot knows it."""
    if key.sha256 is not None:
        return bytes.fromhex(key.sha256)
    return hashlib.sha256(key.key.reveal().encode() if key.key else b"").digest()


def or_default(entries: Mapping[str, EntryT], implicit: EntryT) -> Mapping[str, EntryT]:
    """Partner -> Tenant -> User, always: the entry `default` stands in where none is declared."""
    return entries or {DEFAULT: implicit}


class _Declared:
    def __init__(self, config: schema.Config) -> None:
        self._config = config
        self._partners = or_default(config.partners, entities.Partner())
        self._tenants = or_default(config.tenants, entities.Tenant())
        self._ids = {
            "partner": _ids("partner", self._partners),
            "tenant": _ids("tenant", self._tenants),
            "user": _ids("user", config.users),
            "group": _ids("group", config.groups),
            "role": _ids("role", config.roles),
            "key": _ids("apikey", config.keys),
            "provider": _ids("prov", config.providers),
            "backend": _ids("be", config.backends),
            "model": _ids("model", config.models),
            "model_group": _ids("modelgroup", config.model_groups),
        }

    def all(self) -> Iterator[Resource]:
        config = self._config
        yield from self._each("partner", self._partners, self._partner)
        yield from self._each("tenant", self._tenants, self._tenant)
        yield from self._each("role", config.roles, self._role)
        yield from self._each("user", config.users, self._user)
        yield from self._each("group", config.groups, self._group)
        yield from self._each("role_mapping", config.role_mappings, self._mapping)
        yield from self._each("api_key", config.keys, self._key)
        yield from self._each("provider", config.providers, _provider)
        yield from self._each("backend", config.backends, self._backend)
        for slug, model in config.models.items():
            yield from self._model(slug, model)
        yield from self._each("model_group", config.model_groups, self._model_group)
        yield from self._each("model_access", config.model_access, self._access)
        yield from self._each("budget", config.budgets, self._budget)

    def _each(
        self, kind: str, entries: Mapping[str, EntryT], document: Callable[[str, EntryT], docs.Document]
    ) -> Iterator[Resource]:
        for handle, entry in entries.items():
            yield self._made(kind, handle, entry, document(handle, entry))

    def _made(self, kind: str, handle: str, entry: entities.Entry, document: docs.Document) -> Resource:
        prefix = {"role_mapping": "rolemap", "model_access": "access", "budget": "budget"}.get(kind)
        id_ = entry.id or (declared_id(prefix, handle) if prefix else self._id(kind, handle))
        return Resource(kind=kind, id=id_, origin=entry.origin, document=document)

    def _id(self, kind: str, handle: str) -> str:
        return self._ids["key" if kind == "api_key" else kind][handle]

    def _partner(self, handle: str, entry: entities.Partner) -> docs.Partner:
        return docs.Partner(
            name=entry.name or handle,
            display_name=entry.display_name,
            suspended=entry.suspended,
            limits=entry.limits,
        )

    def _tenant(self, handle: str, entry: entities.Tenant) -> docs.Tenant:
        return docs.Tenant(
            name=entry.name or handle,
            partner_id=self._id("partner", entry.partner),
            display_name=entry.display_name,
            suspended=entry.suspended,
            limits=entry.limits,
            keep_bodies=entry.keep_bodies,
        )

    def _role(self, handle: str, entry: entities.CustomRole) -> docs.CustomRole:
        return docs.CustomRole(
            name=entry.name or handle,
            tenant_id=self._id("tenant", entry.tenant),
            display_name=entry.display_name,
            description=entry.description,
            core_permissions=entry.core_permissions,
            module_permissions=entry.module_permissions,
        )

    def _user(self, handle: str, entry: entities.User) -> docs.User:
        return docs.User(
            name=entry.name or handle,
            tenant_id=self._id("tenant", entry.tenant),
            display_name=entry.display_name,
            email=entry.email,
            external_id=entry.external_id,
            roles=entry.roles,
            custom_role_ids=tuple(self._id("role", role) for role in entry.custom_roles),
            module_permissions=entry.module_permissions,
            disabled=entry.disabled,
            limits=entry.limits,
        )

    def _group(self, handle: str, entry: entities.Group) -> docs.Group:
        return docs.Group(
            name=entry.name or handle,
            tenant_id=self._id("tenant", entry.tenant),
            display_name=entry.display_name,
            description=entry.description,
            external_name=entry.external_name,
            user_ids=tuple(self._id("user", user) for user in entry.users),
        )

    def _mapping(self, handle: str, entry: entities.RoleMapping) -> docs.RoleMapping:
        return docs.RoleMapping(
            name=entry.name or handle,
            group_id=self._id("group", entry.group),
            role=entry.role,
            custom_role_id=None if entry.custom_role is None else self._id("role", entry.custom_role),
            auto_revoke=entry.auto_revoke,
        )

    def _key(self, handle: str, entry: entities.Key) -> docs.ApiKey:
        return docs.ApiKey(
            name=entry.name or handle,
            user_id=self._id("user", entry.user),
            sha256=key_digest(entry).hex(),
            prefix=entry.prefix if entry.key is None else entry.key.reveal()[:PREFIX_LENGTH],
            expires_at=entry.expires_at,
            scopes=entry.scopes,
            models=None if entry.models is None else tuple(map(self._slug, entry.models)),
            addresses=entry.addresses,
            limits=entry.limits,
            budget=None if entry.budget is None else _amounts(entry.budget),
            revoked=entry.revoked,
            previous_sha256=entry.previous_sha256,
            previous_until=entry.previous_until,
            reach=entry.reach,
        )

    def _slug(self, handle: str) -> str:
        """Of the model of that handle; of one that is gone, what stood there."""
        model = self._config.models.get(handle)
        return handle if model is None else model.name or handle

    def _backend(self, handle: str, entry: entities.Backend) -> docs.Backend:
        return docs.Backend(
            name=entry.name or handle,
            provider_id=self._id("provider", entry.provider),
            model=entry.model,
            display_name=entry.display_name,
            api_key=entry.api_key,
            cost=entry.cost,
            lacks=entry.lacks,
            context_window=entry.context_window,
            concurrency=entry.concurrency,
            queue=entry.queue,
            queue_seconds=entry.queue_seconds,
            deadlines=entry.deadlines,
            breaker=entry.breaker,
            granted_to=tuple(self._id(*party.split("/", 1)) for party in entry.granted_to),
        )

    def _model(self, slug: str, entry: entities.Model) -> Iterator[Resource]:
        model = docs.Model(
            name=entry.name or slug,
            modality=entry.modality,
            display_name=entry.display_name,
            description=entry.description,
            status=entry.status,
            access=entry.access,
            context_window=entry.context_window,
            max_output_tokens=entry.max_output_tokens,
            max_image_tokens=entry.max_image_tokens,
            limits=entry.limits,
            prices=entry.prices,
            unpriced=entry.unpriced,
            default_params=entry.default_params,
            system_prompt=entry.system_prompt,
            on_unsupported=entry.on_unsupported,
            on_disconnect=entry.on_disconnect,
            metadata=entry.metadata,
        )
        made = self._made("model", slug, entry, model)
        yield made
        if entry.route is not None:
            route = docs.Route(
                name=made.id,
                model_id=made.id,
                targets=tuple(
                    docs.Target(
                        backend_id=self._id("backend", target.backend),
                        weight=target.weight,
                        priority=target.priority,
                        when=target.when,
                    )
                    for target in entry.route.targets
                ),
                strategy=entry.route.strategy,
                sticky_by=entry.route.sticky_by,
                max_attempts=entry.route.max_attempts,
                attempts_per_backend=entry.route.attempts_per_backend,
                failover_on=entry.route.failover_on,
                when_unhealthy=entry.route.when_unhealthy,
                deadlines=entry.route.deadlines,
                hedge=entry.route.hedge,
                fallbacks=entry.route.fallbacks,
            )
            yield Resource(kind="route", id=route_id(made.id), origin=entry.origin, document=route)

    def _model_group(self, handle: str, entry: entities.ModelGroup) -> docs.ModelGroup:
        return docs.ModelGroup(
            name=entry.name or handle,
            scope=entry.scope,
            scope_id=None if entry.of is None else self._id(entry.scope, entry.of),
            description=entry.description,
            model_ids=tuple(self._id("model", slug) for slug in entry.models),
        )

    def _access(self, handle: str, entry: entities.ModelAccess) -> docs.ModelAccess:
        return docs.ModelAccess(
            name=entry.name or handle,
            subject_type=entry.subject,
            subject_id=self._id(entry.subject, entry.of),
            model_id=None if entry.model is None else self._id("model", entry.model),
            model_group_id=None if entry.model_group is None else self._id("model_group", entry.model_group),
        )

    def _budget(self, handle: str, entry: entities.Budget) -> docs.Budget:
        return docs.Budget(
            name=entry.name or handle,
            scope=entry.scope,
            scope_id=self._id(entry.scope, entry.of),
            period=entry.period,
            timezone=entry.timezone,
            cost_limit=entry.cost_limit,
            token_limit=entry.token_limit,
            request_limit=entry.request_limit,
            hard_action=entry.hard_action,
            soft_limit_pct=entry.soft_limit_pct,
            throttle_per_minute=entry.throttle_per_minute,
            on_store_failure=entry.on_store_failure,
        )


def route_id(model_id: str) -> str:
    """A model has one route, so that the id of the one says that of the other."""
    return "route_" + model_id.removeprefix("model_")


def _ids(prefix: str, entries: Mapping[str, EntryT]) -> Mapping[str, str]:
    return {handle: entry.id or declared_id(prefix, handle) for handle, entry in entries.items()}


def _provider(handle: str, entry: entities.Provider) -> docs.Provider:
    return docs.Provider(
        name=entry.name or handle,
        type=entry.type,
        base_url=entry.base_url,
        api_key=entry.api_key,
        credentials=entry.credentials,
        headers=entry.headers,
        options=entry.options,
    )


def _amounts(budget: KeyBudget) -> docs.Amounts:
    return docs.Amounts(
        period=budget.period,
        timezone=budget.timezone,
        cost_limit=budget.cost_limit,
        token_limit=budget.token_limit,
        request_limit=budget.request_limit,
        hard_action=budget.hard_action,
        soft_limit_pct=budget.soft_limit_pct,
        throttle_per_minute=budget.throttle_per_minute,
        on_store_failure=budget.on_store_failure,
    )
