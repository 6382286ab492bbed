"""What entries refer to besides tenants and backends: groups, roles, grants; and ids that no two may share."""

from collections.abc import Iterable, Mapping

from scaigrid import roles
from scaigrid.config import entities, schema
from scaigrid.control.kinds import KINDS

Fault = tuple[tuple[str | int, ...], str]

_IMPLICIT = "default"


def check_entities(config: schema.Config) -> Iterable[Fault]:
    """Every fault with the path of the key that has it."""
    known = _Known(config)
    yield from _ids(config)
    yield from _names(config)
    yield from _users(config, known)
    yield from _permissions(config, known)
    yield from _groups(config, known)
    yield from _grants(config, known)


class _Known:
    """The handles of each kind."""

    def __init__(self, config: schema.Config) -> None:
        self._handles: Mapping[str, Iterable[str]] = {
            "partner": config.partners or (_IMPLICIT,),
            "tenant": config.tenants or (_IMPLICIT,),
            "user": config.users,
            "group": config.groups,
            "role": config.roles,
            "model": config.models,
            "model_group": config.model_groups,
        }

    def fault(self, path: tuple[str | int, ...], kind: str, handle: str | None) -> Iterable[Fault]:
        """A fault where there is nothing of that handle; none where none is given."""
        handles = self._handles[kind]
        if handle is not None and handle not in handles:
            names = ", ".join(sorted(handles)[:8])
            declared = f" (declared: {names})" if names else " (none is declared)"
            yield path, f"there is no {kind.replace('_', ' ')} {handle!r}{declared}"


def _sections(config: schema.Config) -> Iterable[tuple[str, str, Mapping[str, entities.Entry]]]:
    for kind in KINDS.values():
        if kind.section is not None:
            yield kind.section, kind.prefix, getattr(config, kind.section)


def _ids(config: schema.Config) -> Iterable[Fault]:
    seen: dict[str, str] = {}
    for section, prefix, entries in _sections(config):
        for handle, entry in entries.items():
            if entry.id is None:
                continue
            if not entry.id.startswith(f"{prefix}_"):
                yield (section, handle, "id"), f"the ids here begin with {prefix}_"
            other = seen.setdefault(entry.id, f"{section}.{handle}")
            if other != f"{section}.{handle}":
                yield (section, handle, "id"), f"the id of {other} already"


def _names(config: schema.Config) -> Iterable[Fault]:
    """Names that are not the handle; whether they are taken is judged when it is planned."""
    for section, _, entries in _sections(config):
        for handle, entry in entries.items():
            if entry.name is not None and entry.origin == "config" and not entry.name.isprintable():
                yield (section, handle, "name"), "must be printable"
            if entry.origin == "api" and entry.id is None:
                yield (section, handle, "origin"), "`api` needs the `id` of what the API made"


def _users(config: schema.Config, known: _Known) -> Iterable[Fault]:
    external: dict[str, str] = {}
    for handle, user in config.users.items():
        for place, role in enumerate(user.custom_roles):
            path = ("users", handle, "custom_roles", place)
            yield from known.fault(path, "role", role)
            if role in config.roles and config.roles[role].tenant != user.tenant:
                yield path, f"a role of the tenant {config.roles[role].tenant!r}"
        if user.external_id is not None:
            other = external.setdefault(user.external_id, handle)
            if other != handle:
                yield ("users", handle, "external_id"), f"the same as that of {other!r}"


def _permissions(config: schema.Config, known: _Known) -> Iterable[Fault]:
    for handle, role_entry in config.roles.items():
        yield from known.fault(("roles", handle, "tenant"), "tenant", role_entry.tenant)
        for place, permission in enumerate(role_entry.core_permissions):
            if permission not in roles.GRANTABLE:
                path = ("roles", handle, "core_permissions", place)
                yield path, f"not a permission that a tenant can give: {', '.join(sorted(roles.GRANTABLE))}"
    for handle, key in config.keys.items():
        for place, scope in enumerate(key.scopes or ()):
            if scope not in roles.PERMISSIONS and scope.count(":") < 2:
                yield ("keys", handle, "scopes", place), f"not a permission: {', '.join(sorted(roles.PERMISSIONS))}"


def _groups(config: schema.Config, known: _Known) -> Iterable[Fault]:
    for handle, group in config.groups.items():
        yield from known.fault(("groups", handle, "tenant"), "tenant", group.tenant)
        for place, user in enumerate(group.users):
            path = ("groups", handle, "users", place)
            yield from known.fault(path, "user", user)
            if user in config.users and config.users[user].tenant != group.tenant:
                yield path, f"a user of the tenant {config.users[user].tenant!r}"
    for handle, mapping in config.role_mappings.items():
        yield from known.fault(("role_mappings", handle, "group"), "group", mapping.group)
        yield from known.fault(("role_mappings", handle, "custom_role"), "role", mapping.custom_role)
        if mapping.role is not None and roles.REACH[mapping.role] == "platform":
            yield ("role_mappings", handle, "role"), "cannot be given to a group"
        there = config.groups.get(mapping.group)
        role = None if mapping.custom_role is None else config.roles.get(mapping.custom_role)
        if there is not None and role is not None and there.tenant != role.tenant:
            yield ("role_mappings", handle, "custom_role"), f"a role of the tenant {role.tenant!r}"


def _by_name(entries: Mapping[str, entities.Entry]) -> set[str]:
    """Slugs have names in them, not handles."""
    return {entry.name or handle for handle, entry in entries.items()} or {_IMPLICIT}


def _grants(config: schema.Config, known: _Known) -> Iterable[Fault]:
    for handle, backend in config.backends.items():
        for place, party in enumerate(backend.granted_to):
            scope, _, name = party.partition("/")
            path = ("backends", handle, "granted_to", place)
            if scope not in ("partner", "tenant") or not name:
                yield path, "must be partner/NAME or tenant/NAME"
            else:
                yield from known.fault(path, scope, name)
    owners = {"partner": _by_name(config.partners), "tenant": _by_name(config.tenants)}
    for handle, model in config.models.items():
        scope, _, rest = (model.name or handle).partition("/")
        owner = rest.partition("/")[0]
        if scope in owners and "/" in rest and model.origin == "config" and owner not in owners[scope]:
            yield (
                ("models", handle),
                f"there is no {scope} {owner!r} (declared: {', '.join(sorted(owners[scope])[:8])})",
            )
    for handle, group in config.model_groups.items():
        if group.scope != "global":
            yield from known.fault(("model_groups", handle, "of"), group.scope, group.of)
        for place, slug in enumerate(group.models):
            yield from known.fault(("model_groups", handle, "models", place), "model", slug)
    for handle, access in config.model_access.items():
        yield from known.fault(("model_access", handle, "of"), access.subject, access.of)
        yield from known.fault(("model_access", handle, "model"), "model", access.model)
        yield from known.fault(("model_access", handle, "model_group"), "model_group", access.model_group)
