"""`/v1/model-access`: to whom models are given whose `access` is `granted`. Nobody gives what they do not see."""

from collections.abc import Iterable
from typing import Annotated, Literal, cast

from msgspec import Meta

from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.resources import examples
from scaigrid.api.resources.model_groups import ModelGroups
from scaigrid.api.sight import MANAGING, everywhere, sight
from scaigrid.api.view import View, missing
from scaigrid.config.entities import Origin
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.dialects.shapes import RequestShape
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.roles import Reach
from scaigrid.timestamps import iso

Subject = Literal["partner", "tenant", "group", "user"]

_MAY_GIVE_TO: dict[Reach, tuple[Subject, ...]] = {
    "tenant": ("user", "group"),
    "partner": ("user", "group", "tenant"),
    "platform": ("user", "group", "tenant", "partner"),
}
_GROUPS = ModelGroups()


class ModelAccessGiven(RequestShape):
    """A grant, as it is sent, of either a model or a group of models."""

    subject_type: Subject
    subject_id: str
    """Who gets it, and all that belong to it."""
    model: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    """The slug or the id of the model."""
    model_group_id: str | None = None


class ModelAccessItem(Kept, kw_only=True):
    """A grant."""

    subject_type: Subject
    subject_id: str
    model: str | None
    """The model's slug; null where a group of models is granted."""
    model_group_id: str | None


class ModelAccessQuery(PageQuery, frozen=True, kw_only=True):
    """Which grants to list."""

    subject_type: Subject | None = None
    subject_id: str | None = None
    model: str | None = None
    """The model's slug."""
    model_group_id: str | None = None
    origin: Origin | None = None


class ModelAccess(Collection[ModelAccessGiven, ModelAccessItem]):
    kind = "model_access"
    path = "/v1/model-access"
    area = "Routing"
    singular = "ModelAccess"
    plural = "ModelAccess"
    about = "A tenant's administrators grant to its users and groups, a partner's to its tenants too."
    reading = MANAGING
    making = MANAGING
    changing = MANAGING
    removing = MANAGING
    methods = frozenset({"list", "make", "get", "remove"})
    given = ModelAccessGiven
    item = ModelAccessItem
    query = ModelAccessQuery
    codes = (Code.MODEL_NOT_FOUND,)
    example_given = ModelAccessGiven(subject_type="group", subject_id=examples.id_of("group"), model="acme/chat")
    example_item = ModelAccessItem(
        **examples.kept("access"),
        subject_type="group",
        subject_id=examples.id_of("group"),
        model="acme/chat",
        model_group_id=None,
    )

    def shows(self, view: View, resource: Resource) -> bool:
        model = _model(view, resource)
        return view.reaches(resource) and (model is None or sight(view).sees(model))

    def may_refer(self, view: View, resource: Resource) -> bool:
        """Everything: `document` has judged what it refers to."""
        return True

    def described(self, view: View, resource: Resource) -> ModelAccessItem:
        grant, model = _document(resource), _model(view, resource)
        return ModelAccessItem(
            id=resource.id,
            origin=resource.origin,
            created_at=iso(resource.created_at),
            updated_at=iso(resource.updated_at),
            subject_type=grant.subject_type,
            subject_id=grant.subject_id,
            model=None if model is None else model.name,
            model_group_id=grant.model_group_id,
        )

    def document(self, view: View, given: ModelAccessGiven, before: Resource | None) -> docs.ModelAccess:
        subject = view.known(given.subject_type, given.subject_id, "subject_id")
        _check_subject(view, given.subject_type)
        if (given.model is None) is (given.model_group_id is None):
            either = Detail("model", "give exactly one of `model` and `model_group_id`")
            raise GatewayError(Code.VALIDATION_ERROR, details=(either,))
        model_id = None
        if given.model is not None:
            model_id = _grantable(view, given.model, subject).id
        if given.model_group_id is not None:
            _check_group(view, given.model_group_id)
        grant = docs.ModelAccess(
            name=model_id or given.model_group_id or "",
            subject_type=given.subject_type,
            subject_id=given.subject_id,
            model_id=model_id,
            model_group_id=given.model_group_id,
        )
        for _, other in view.state.documents(docs.ModelAccess):
            if (other.subject_id, other.model_id, other.model_group_id) == (subject.id, model_id, given.model_group_id):
                raise GatewayError(Code.CONFLICT, "It has been granted already.")
        return grant

    def judged(self, view: View, before: Resource | None, after: Resource | None) -> Iterable[Detail]:
        if after is None and before is not None:
            _check_subject(view, _document(before).subject_type)
        return ()

    def filtered(self, view: View, resource: Resource, name: str) -> object:
        if name == "model":
            model = _model(view, resource)
            return None if model is None else model.name
        return super().filtered(view, resource, name)


def _check_subject(view: View, subject_type: Subject) -> None:
    reach = MANAGING.reached(view.principal)
    if subject_type not in _MAY_GIVE_TO[reach]:
        whom = ", ".join(f"{kind}s" for kind in _MAY_GIVE_TO[reach])
        raise GatewayError(Code.AUTHZ_PERMISSION_DENIED, f"You may grant models to {whom} alone.")


def _grantable(view: View, named: str, subject: Resource) -> Resource:
    """The model, where the subject can have it at all."""
    model, state = sight(view).model(named), view.state
    tenant, partner = state.tenant_of(model), state.partner_of(model)
    if tenant is not None and state.tenant_of(subject) != tenant:
        foreign = Detail("model", "belongs to a tenant, and can be granted within it alone")
        raise GatewayError(Code.VALIDATION_ERROR, details=(foreign,))
    if partner is not None and state.partner_of(subject) != partner:
        foreign = Detail("model", "belongs to a partner, and can be granted to its tenants and their users alone")
        raise GatewayError(Code.VALIDATION_ERROR, details=(foreign,))
    return model


def _check_group(view: View, group_id: str) -> None:
    group = view.state.get("model_group", group_id)
    if group is None or not _GROUPS.shows(view, group):
        raise missing("model_group", "model_group_id")
    members = cast("docs.ModelGroup", group.document).model_ids
    if everywhere(view, "models:manage") or all(sight(view).sees(view.state.all("model")[id_]) for id_ in members):
        return
    raise GatewayError(Code.AUTHZ_PERMISSION_DENIED, "The group has models that you do not see.")


def _model(view: View, resource: Resource) -> Resource | None:
    model_id = _document(resource).model_id
    return None if model_id is None else view.state.all("model")[model_id]


def _document(resource: Resource) -> docs.ModelAccess:
    return cast("docs.ModelAccess", resource.document)
