"""Which models a caller sees and which it manages, and which backends models of its own may be pointed at.

Everybody sees the models that they may use. Administrators see their own as well: a tenant's those below
`tenant/{slug}/`, a partner's those below `partner/{slug}/` and those of the partner's tenants; these are theirs to
manage, over backends that were granted to the tenant or to the partner.
"""

from functools import cached_property, lru_cache

import msgspec

from scaigrid.api.requirement import Requirement
from scaigrid.api.view import View, missing
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.control.visibility import Visibility

MANAGING = Requirement("models:manage", "admin:access")
"""Of those who write models, their groups and their grants: everybody's, or one's own."""


class Sight:
    """One request's. What it takes to answer is worked out once."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._managing = msgspec.structs.replace(view, reach=MANAGING.reached(view.principal))
        self._hidden = self._hidden_models()

    def sees(self, model: Resource) -> bool:
        """Whether the model exists for the caller."""
        allowed = self._view.principal.models
        if allowed is not None and model.name not in allowed:
            return False
        return model.name not in self._hidden or self.manages(model)

    def manages(self, model: Resource) -> bool:
        """Whether the caller may change the model; one that is to be made counts by its slug."""
        view = self._managing
        if not view.reaches(model):
            return False
        return view.may("models:manage") or (view.may("admin:access") and view.state.partner_of(model) is not None)

    def model(self, named: str, field: str | None = "model") -> Resource:
        """The model of that id, or else of that slug. Raises MODEL_NOT_FOUND, naming `field` where it has one."""
        found = self.named(named)
        if found is None or not self.sees(found):
            raise missing("model", field)
        return found

    def named(self, text: str) -> Resource | None:
        """The model of that id, or else of that slug, seen or not."""
        state = self._view.state
        return state.get("model", text) or state.named("model", text)

    def is_granted(self, backend: docs.Backend) -> bool:
        """Whether the backend was granted to somebody whose models the caller may manage."""
        return not self._parties.isdisjoint(backend.granted_to)

    @cached_property
    def _parties(self) -> frozenset[str]:
        view = self._view
        if view.tenant_id is not None:
            return self._tenant_and_partner(view.tenant_id)
        principal = view.principal
        match view.reach or principal.reach:
            case "platform":
                return frozenset((*view.state.all("partner"), *view.state.all("tenant")))
            case "partner":
                tenants = view.state.documents(docs.Tenant)
                own = (id_ for id_, tenant in tenants if tenant.partner_id == principal.partner.id)
                return frozenset((principal.partner.id, *own))
            case _:
                return frozenset((principal.partner.id, principal.tenant.id))

    def _hidden_models(self) -> frozenset[str]:
        view = self._view
        if view.tenant_id is not None:
            subjects = self._tenant_and_partner(view.tenant_id)
        elif view.principal.reach == "platform":
            return frozenset()
        else:
            subjects = view.principal.subjects
        return Visibility(view.state).hidden(subjects)

    def _tenant_and_partner(self, tenant_id: str) -> frozenset[str]:
        return frozenset((tenant_id, self._view.state.document(docs.Tenant, tenant_id).partner_id))


@lru_cache(maxsize=1)
def sight(view: View) -> Sight:
    """The last one is kept: a list asks it of each of its resources."""
    return Sight(view)


def everywhere(view: View, permission: str) -> bool:
    """Whether the caller has a permission for the whole platform, and acts on no tenant in particular."""
    far = Requirement(permission).reached(view.principal)
    return view.tenant_id is None and view.may(permission) and far == "platform"


def serves(view: View, backend: docs.Backend, model: Resource) -> bool:
    """Whether the backend was granted to the tenant or the partner that the model belongs to."""
    owners = {view.state.tenant_of(model), view.state.partner_of(model)}
    return not owners.isdisjoint(backend.granted_to)
