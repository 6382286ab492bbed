"""Resources -> entries of the file: `declared.py` the other way round, in which ids become handles again.

What a document and its entry call the same is the same; only the rest is written down here.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from scaigrid.config import entities
from scaigrid.config.key_budget import KeyBudget
from scaigrid.config.routing import Route, RouteTarget
from scaigrid.control import documents as docs
from scaigrid.control.declared import route_id
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.control.stored import reference
from scaigrid.control.vault import Vault
from scaigrid.ids import declared_id
from scaigrid.secrets import Secret

ENTITIES: Mapping[type[docs.Document], type[entities.Entry]] = {
    docs.Partner: entities.Partner,
    docs.Tenant: entities.Tenant,
    docs.CustomRole: entities.CustomRole,
    docs.User: entities.User,
    docs.Group: entities.Group,
    docs.RoleMapping: entities.RoleMapping,
    docs.ApiKey: entities.Key,
    docs.Provider: entities.Provider,
    docs.Backend: entities.Backend,
    docs.Model: entities.Model,
    docs.ModelGroup: entities.ModelGroup,
    docs.ModelAccess: entities.ModelAccess,
    docs.Budget: entities.Budget,
}
"""Every document that has a section of the file."""


_ONE: Mapping[str, str] = {
    "partner_id": "partner",
    "tenant_id": "tenant",
    "user_id": "user",
    "group_id": "group",
    "custom_role_id": "custom_role",
    "provider_id": "provider",
    "model_id": "model",
    "model_group_id": "model_group",
    "subject_id": "of",
    "scope_id": "of",
}
"""Fields that hold an id -> what an entry calls the handle that stands there."""
_MANY: Mapping[str, str] = {"user_ids": "users", "custom_role_ids": "custom_roles", "model_ids": "models"}


class Writer:
    """Writes the resources of a state as entries; `handles` by id, for those that are written and all they refer to."""

    def __init__(self, state: State, handles: Mapping[str, str], vault: Vault) -> None:
        self._state = state
        self._handles = handles
        self._vault = vault
        self._slugs = {model.name: handles[id_] for id_, model in state.all("model").items() if id_ in handles}

    def entry(self, resource: Resource) -> entities.Entry:
        """The entry from which the resource would be declared again."""
        document, handle = resource.document, self._handles[resource.id]
        entity = ENTITIES[type(document)]
        said: dict[str, Any] = dict(self.said(document))
        if isinstance(document, docs.Model):
            said["route"] = self._route(resource)
        follows = resource.origin == "config" and declared_id(resource.is_a.prefix, handle) == resource.id
        own: dict[str, Any] = {
            "id": None if follows else resource.id,
            "name": None if resource.name == handle else resource.name,
            "origin": resource.origin,
        }
        return entity(**{**said, **own})

    def said(self, document: docs.Document) -> Iterator[tuple[str, Any]]:
        """What an entry says of a document, by the names that the fields have there."""
        for field in document.__struct_fields__:
            value = getattr(document, field)
            if field in _ONE:
                yield _ONE[field], None if value is None else self._handles[value]
            elif field in _MANY:
                yield _MANY[field], tuple(self._handles[id_] for id_ in value)
            elif field == "subject_type":
                yield "subject", value
            elif field == "granted_to":
                yield field, tuple(f"{id_.partition('_')[0]}/{self._handles[id_]}" for id_ in value)
            elif field == "models" and value is not None:
                # A model that is gone keeps its slug here: nothing else says that the key may use nothing by it.
                yield field, tuple(self._slugs.get(slug, slug) for slug in value)
            else:
                yield field, self._plain(value)

    def _plain(self, value: object) -> object:
        if isinstance(value, Secret):
            return Secret(reference(value, self._vault))
        if isinstance(value, docs.Amounts):
            return KeyBudget(**msgspec.structs.asdict(value))
        if isinstance(value, dict):
            return {name: self._plain(inner) for name, inner in cast("dict[str, object]", value).items()}
        return value

    def _route(self, model: Resource) -> Route | None:
        found = self._state.get("route", route_id(model.id))
        if found is None or not isinstance(found.document, docs.Route):
            return None
        route = found.document
        targets = (
            RouteTarget(
                backend=self._handles[target.backend_id],
                weight=target.weight,
                priority=target.priority,
                when=target.when,
            )
            for target in route.targets
        )
        return Route(
            targets=tuple(targets),
            strategy=route.strategy,
            sticky_by=route.sticky_by,
            max_attempts=route.max_attempts,
            attempts_per_backend=route.attempts_per_backend,
            failover_on=route.failover_on,
            when_unhealthy=route.when_unhealthy,
            deadlines=route.deadlines,
            hedge=route.hedge,
            fallbacks=route.fallbacks,
        )
