"""The kinds of resources: how each is called, what it refers to, and within what its name is unique."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from scaigrid.control import documents as docs
from scaigrid.errors import Code


class Reference(NamedTuple):
    """One resource that a document refers to: the field that says so, its kind and its id."""

    field: str
    kind: str
    id: str


class Kind(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One row of the table. `name` is what the audit log and the database call it."""

    name: str
    prefix: str
    """Of its ids."""
    document: type[docs.Document]
    section: str | None
    """Where the file declares it; None where it stands inside another entry."""
    owner: str | None = None
    """The field whose resource it belongs to and within which its name is unique; None: unique in the deployment."""
    unique: bool = True
    """False: its name is a label, and several may have the same."""
    references: Callable[[Any], Iterator[Reference]]
    missing: Code = Code.NOT_FOUND
    """What is answered where there is none of an id."""
    title: str
    """What people read: `There is no such tenant`."""


def _none(_: docs.Document) -> Iterator[Reference]:
    return iter(())


def _tenant(document: docs.Tenant) -> Iterator[Reference]:
    yield Reference("partner_id", "partner", document.partner_id)


def _user(document: docs.User) -> Iterator[Reference]:
    yield Reference("tenant_id", "tenant", document.tenant_id)
    for place, role in enumerate(document.custom_role_ids):
        yield Reference(f"custom_role_ids[{place}]", "role", role)


def _group(document: docs.Group) -> Iterator[Reference]:
    yield Reference("tenant_id", "tenant", document.tenant_id)
    for place, user in enumerate(document.user_ids):
        yield Reference(f"user_ids[{place}]", "user", user)


def _role(document: docs.CustomRole) -> Iterator[Reference]:
    yield Reference("tenant_id", "tenant", document.tenant_id)


def _mapping(document: docs.RoleMapping) -> Iterator[Reference]:
    yield Reference("group_id", "group", document.group_id)
    if document.custom_role_id is not None:
        yield Reference("custom_role_id", "role", document.custom_role_id)


def _key(document: docs.ApiKey) -> Iterator[Reference]:
    yield Reference("user_id", "user", document.user_id)


def _backend(document: docs.Backend) -> Iterator[Reference]:
    yield Reference("provider_id", "provider", document.provider_id)
    for place, party in enumerate(document.granted_to):
        kind = "partner" if party.startswith("partner_") else "tenant"
        yield Reference(f"granted_to[{place}]", kind, party)


def _route(document: docs.Route) -> Iterator[Reference]:
    yield Reference("model_id", "model", document.model_id)
    for place, target in enumerate(document.targets):
        yield Reference(f"targets[{place}].backend_id", "backend", target.backend_id)


def _model_group(document: docs.ModelGroup) -> Iterator[Reference]:
    if document.scope_id is not None:
        yield Reference("scope_id", document.scope, document.scope_id)
    for place, model in enumerate(document.model_ids):
        yield Reference(f"model_ids[{place}]", "model", model)


def _access(document: docs.ModelAccess) -> Iterator[Reference]:
    yield Reference("subject_id", document.subject_type, document.subject_id)
    if document.model_id is not None:
        yield Reference("model_id", "model", document.model_id)
    if document.model_group_id is not None:
        yield Reference("model_group_id", "model_group", document.model_group_id)


def _budget(document: docs.Budget) -> Iterator[Reference]:
    yield Reference("scope_id", "api_key" if document.scope == "key" else document.scope, document.scope_id)


_ALL = (
    Kind(
        name="partner",
        prefix="partner",
        document=docs.Partner,
        section="partners",
        references=_none,
        title="partner",
    ),
    Kind(
        name="tenant",
        prefix="tenant",
        document=docs.Tenant,
        section="tenants",
        references=_tenant,
        title="tenant",
    ),
    Kind(
        name="role",
        prefix="role",
        document=docs.CustomRole,
        section="roles",
        owner="tenant_id",
        references=_role,
        title="custom role",
    ),
    Kind(
        name="user",
        prefix="user",
        document=docs.User,
        section="users",
        owner="tenant_id",
        references=_user,
        title="user",
    ),
    Kind(
        name="group",
        prefix="group",
        document=docs.Group,
        section="groups",
        owner="tenant_id",
        references=_group,
        title="group",
    ),
    Kind(
        name="role_mapping",
        prefix="rolemap",
        document=docs.RoleMapping,
        section="role_mappings",
        owner="group_id",
        references=_mapping,
        title="role mapping",
    ),
    Kind(
        name="api_key",
        prefix="apikey",
        document=docs.ApiKey,
        section="keys",
        owner="user_id",
        unique=False,
        references=_key,
        title="API key",
    ),
    Kind(
        name="provider",
        prefix="prov",
        document=docs.Provider,
        section="providers",
        references=_none,
        missing=Code.PROVIDER_NOT_FOUND,
        title="provider",
    ),
    Kind(
        name="backend",
        prefix="be",
        document=docs.Backend,
        section="backends",
        references=_backend,
        missing=Code.BACKEND_NOT_FOUND,
        title="backend",
    ),
    Kind(
        name="model",
        prefix="model",
        document=docs.Model,
        section="models",
        references=_none,
        missing=Code.MODEL_NOT_FOUND,
        title="model",
    ),
    Kind(
        name="route",
        prefix="route",
        document=docs.Route,
        section=None,
        references=_route,
        title="route",
    ),
    Kind(
        name="model_group",
        prefix="modelgroup",
        document=docs.ModelGroup,
        section="model_groups",
        owner="scope_id",
        references=_model_group,
        title="model group",
    ),
    Kind(
        name="model_access",
        prefix="access",
        document=docs.ModelAccess,
        section="model_access",
        owner="subject_id",
        references=_access,
        title="grant",
    ),
    Kind(
        name="budget",
        prefix="budget",
        document=docs.Budget,
        section="budgets",
        owner="scope_id",
        references=_budget,
        title="budget",
    ),
)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
"""Every kind, each behind those that it refers to: made in this order, deleted in the reverse one."""
