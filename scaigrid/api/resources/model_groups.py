"""`/v1/model-groups`: models that are granted together; everybody's, a partner's or a tenant's."""

from collections.abc import Iterable
from typing import Annotated, Literal, cast

from msgspec import Meta

from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.resources import examples
from scaigrid.api.sight import MANAGING, everywhere, sight
from scaigrid.api.view import View, missing
from scaigrid.config.entities import Origin
from scaigrid.config.terms import Name
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.dialects.shapes import RequestShape
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.timestamps import iso

Scope = Literal["global", "partner", "tenant"]


class ModelGroupGiven(RequestShape):
    """A group of models, as it is sent."""

    name: Name
    """Unique in its scope."""
    scope: Scope
    """Whose it is. It does not change."""
    scope_id: str | None = None
    """The id of that partner or tenant. Left out: the caller's own. It does not change."""
    description: Annotated[str, Meta(max_length=4096)] | None = None
    models: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=128)], ...], Meta(max_length=10_000)] = ()
    """Slugs or ids. Members that the caller does not see stay."""


class ModelGroupItem(Kept, kw_only=True):
    """A group of models."""

    name: str
    scope: Scope
    scope_id: str | None
    description: str | None
    models: tuple[str, ...]
    """The slugs of those that the caller sees."""


class ModelGroupsQuery(PageQuery, frozen=True, kw_only=True):
    """Which groups to list."""

    name: str | None = None
    scope: Scope | None = None
    scope_id: str | None = None
    origin: Origin | None = None


class ModelGroups(Collection[ModelGroupGiven, ModelGroupItem]):
    kind = "model_group"
    path = "/v1/model-groups"
    area = "Routing"
    singular = "ModelGroup"
    plural = "ModelGroups"
    about = "A tenant's administrators see its own, its partner's and everybody's, and change its own."
    reading = MANAGING
    making = MANAGING
    changing = MANAGING
    removing = MANAGING
    given = ModelGroupGiven
    item = ModelGroupItem
    query = ModelGroupsQuery
    codes = (Code.MODEL_NOT_FOUND,)
    example_given = ModelGroupGiven(name="research", scope="tenant", models=("openai/gpt-4o",))
    example_item = ModelGroupItem(
        **examples.kept("modelgroup"),
        name="research",
        scope="tenant",
        scope_id=examples.id_of("tenant"),
        description=None,
        models=("openai/gpt-4o",),
    )

    def shows(self, view: View, resource: Resource) -> bool:
        group = _document(resource)
        if group.scope == "global" or view.reaches(resource):
            return True
        return group.scope == "partner" and group.scope_id == _partner(view)

    def may_refer(self, view: View, resource: Resource) -> bool:
        """Everything: `document` has judged what it refers to."""
        return True

    def described(self, view: View, resource: Resource) -> ModelGroupItem:
        group = _document(resource)
        models = (view.state.all("model")[id_] for id_ in group.model_ids)
        return ModelGroupItem(
            id=resource.id,
            origin=resource.origin,
            created_at=iso(resource.created_at),
            updated_at=iso(resource.updated_at),
            name=group.name,
            scope=group.scope,
            scope_id=group.scope_id,
            description=group.description,
            models=tuple(model.name for model in models if sight(view).sees(model)),
        )

    def document(self, view: View, given: ModelGroupGiven, before: Resource | None) -> docs.ModelGroup:
        scope_id = _scope_id(view, given)
        _check_scope(view, given.scope, scope_id)
        named = [sight(view).model(one, f"models[{place}]").id for place, one in enumerate(given.models)]
        if before is not None:
            there = _document(before)
            if (there.scope, there.scope_id) != (given.scope, scope_id):
                field = "scope" if there.scope != given.scope else "scope_id"
                raise GatewayError(Code.VALIDATION_ERROR, details=(Detail(field, "does not change"),))
            named += [id_ for id_ in there.model_ids if not sight(view).sees(view.state.all("model")[id_])]
        return docs.ModelGroup(
            name=given.name,
            scope=given.scope,
            scope_id=scope_id,
            description=given.description,
            model_ids=tuple(dict.fromkeys(named)),
        )

    def judged(self, view: View, before: Resource | None, after: Resource | None) -> Iterable[Detail]:
        group = after or before
        if group is not None:
            _check_scope(view, _document(group).scope, _document(group).scope_id)
        return ()


def _check_scope(view: View, scope: Scope, scope_id: str | None) -> None:
    """Raises NOT_FOUND for a scope that the caller does not see, AUTHZ_PERMISSION_DENIED for one not its own."""
    if (scope == "global") is not (scope_id is None):
        unfit = Detail("scope_id", "is left out where `scope` is global")
        raise GatewayError(Code.VALIDATION_ERROR, details=(unfit,))
    if everywhere(view, "models:manage") and scope_id is None:
        return
    if scope_id is not None:
        found = view.state.get(scope, scope_id)
        if found is not None and view.reaches(found):
            return
        if found is None or scope_id != _partner(view):
            raise missing(scope, "scope_id")
    raise GatewayError(Code.AUTHZ_PERMISSION_DENIED, "You may only change groups of your own.")


def _scope_id(view: View, given: ModelGroupGiven) -> str | None:
    match given.scope:
        case "tenant":
            return given.scope_id or view.acting_tenant
        case "partner":
            return given.scope_id or _partner(view)
        case "global":
            return given.scope_id


def _partner(view: View) -> str:
    """The partner of the tenant that the caller acts on."""
    tenant = view.state.get("tenant", view.acting_tenant)
    if tenant is None:
        raise missing("tenant")
    return cast("docs.Tenant", tenant.document).partner_id


def _document(resource: Resource) -> docs.ModelGroup:
    return cast("docs.ModelGroup", resource.document)
