"""Which frontend models somebody may not see: another's own, and such as are granted and were not granted to them."""

from collections.abc import Collection, Mapping
from functools import cached_property

from scaigrid.control import documents as docs
from scaigrid.control.state import State


class Visibility:
    """Of one state. Its indexes are made at their first use."""

    def __init__(self, state: State) -> None:
        self._state = state

    def hidden(self, subjects: Collection[str]) -> frozenset[str]:
        """The slugs that are hidden from whoever is all of these: a partner, a tenant, groups and a user, by id."""
        owned = {slug for slug, owner in self._owned.items() if owner not in subjects}
        granted = {slug for subject in subjects for slug in self._grants.get(subject, ())}
        return frozenset(owned | (self._by_grant - granted))

    @cached_property
    def _owned(self) -> Mapping[str, str]:
        """Models that belong to a tenant or a partner: slug -> id of the owner."""
        found: dict[str, str] = {}
        for resource in self._state.all("model").values():
            owner = self._state.tenant_of(resource) or self._state.partner_of(resource)
            if owner is not None:
                found[resource.name] = owner
            elif owned(resource.name):
                # Whose it was is gone: better nobody's than everybody's.
                found[resource.name] = ""
        return found

    @cached_property
    def _by_grant(self) -> frozenset[str]:
        return frozenset(model.name for _, model in self._state.documents(docs.Model) if model.access == "granted")

    @cached_property
    def _grants(self) -> Mapping[str, frozenset[str]]:
        """By the id of who got it, the slugs of the models."""
        found: dict[str, set[str]] = {}
        for _, grant in self._state.documents(docs.ModelAccess):
            slugs = found.setdefault(grant.subject_id, set())
            models = [] if grant.model_id is None else [grant.model_id]
            if grant.model_group_id is not None:
                models += self._state.document(docs.ModelGroup, grant.model_group_id).model_ids
            slugs.update(self._state.document(docs.Model, model).name for model in models)
        return {subject: frozenset(slugs) for subject, slugs in found.items()}


def owned(slug: str) -> bool:
    """Whether a slug says that the model is a tenant's or a partner's own: `tenant/NAME/...`, `partner/NAME/...`."""
    scope, _, rest = slug.partition("/")
    return scope in ("tenant", "partner") and "/" in rest
