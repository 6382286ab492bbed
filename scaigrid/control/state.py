"""Every resource of the deployment at one epoch, with what it takes to walk from one to the next.

A State does not change; `after` answers the next one. It is what the API reads, what a change is judged by and what
the snapshot is compiled from.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, TypeVar, cast

from scaigrid.control import documents as docs
from scaigrid.control.kinds import KINDS
from scaigrid.control.resource import Resource

DocumentT = TypeVar("DocumentT", bound=docs.Document)


class Gone(NamedTuple):
    """A resource that was deleted."""

    kind: str
    id: str


class State:
    """Resources by kind and id. Walks are indexed at their first use."""

    def __init__(self, epoch: int, resources: Mapping[str, Mapping[str, Resource]]) -> None:
        self.epoch = epoch
        """Counts the changes of the deployment; 0 for one that has nothing in it."""
        self._resources = resources

    @classmethod
    def of(cls, resources: Iterable[Resource], epoch: int = 0) -> "State":
        by_kind: dict[str, dict[str, Resource]] = {kind: {} for kind in KINDS}
        for resource in resources:
            by_kind[resource.kind][resource.id] = resource
        return cls(epoch, by_kind)

    def after(self, changed: Iterable[Resource], gone: Iterable[Gone], epoch: int) -> "State":
        """The state once these have been put in place and those taken out."""
        by_kind = dict(self._resources)
        fresh: dict[str, dict[str, Resource]] = {}

        def writable(kind: str) -> dict[str, Resource]:
            if kind not in fresh:
                fresh[kind] = dict(by_kind[kind])
                by_kind[kind] = fresh[kind]
            return fresh[kind]

        for resource in changed:
            writable(resource.kind)[resource.id] = resource
        for kind, id_ in gone:
            writable(kind).pop(id_, None)
        return State(epoch, by_kind)

    def all(self, kind: str) -> Mapping[str, Resource]:
        """Every resource of a kind, by id."""
        return self._resources[kind]

    def get(self, kind: str, id_: str) -> Resource | None:
        return self._resources[kind].get(id_)

    def document(self, of: type[DocumentT], id_: str) -> DocumentT:
        """The document of what is known to exist. Raises KeyError otherwise."""
        return cast("DocumentT", self._resources[_NAMES[of]][id_].document)

    def documents(self, of: type[DocumentT]) -> Iterator[tuple[str, DocumentT]]:
        """Every document of a kind, with its id."""
        for id_, resource in self._resources[_NAMES[of]].items():
            yield id_, cast("DocumentT", resource.document)

    def __iter__(self) -> Iterator[Resource]:
        """Every resource, each behind those that it refers to."""
        for kind in KINDS:
            yield from self._resources[kind].values()

    def __len__(self) -> int:
        return sum(map(len, self._resources.values()))

    def named(self, kind: str, name: str, owner: str = "") -> Resource | None:
        """The resource of that name in its scope."""
        return self._by_name.get((kind, owner, name))

    def users_of(self, kind: str, id_: str) -> tuple[Resource, ...]:
        """Those that refer to a resource."""
        return self._referring.get((kind, id_), ())

    def users_known_as(self, external_id: str) -> Sequence[str]:
        """The ids of the users of one identity; there is one at the most where nothing is wrong."""
        return self._by_external_id.get(external_id, ())

    @cached_property
    def _by_external_id(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for id_, user in self.documents(docs.User):
            if user.external_id is not None:
                found.setdefault(user.external_id, []).append(id_)
        return found

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, str, str], Resource]:
        return {(resource.kind, resource.owner, resource.name): resource for resource in self}

    @cached_property
    def _referring(self) -> Mapping[tuple[str, str], tuple[Resource, ...]]:
        found: dict[tuple[str, str], list[Resource]] = {}
        for resource in self:
            for reference in resource.is_a.references(resource.document):
                users = found.setdefault((reference.kind, reference.id), [])
                if not users or users[-1] is not resource:
                    users.append(resource)
        return {subject: tuple(users) for subject, users in found.items()}

    # -- whose is it -------------------------------------------------------------------------------------------------

    def tenant_of(self, resource: Resource) -> str | None:
        """The id of the tenant that a resource belongs to; None for what stands above tenants."""
        if resource.kind == "tenant":
            return resource.id
        above = self._above(resource)
        return None if above is None else self.tenant_of(above)

    def partner_of(self, resource: Resource) -> str | None:
        """The id of the partner that a resource belongs to, its tenant's included; None for the platform's own."""
        if resource.kind == "partner":
            return resource.id
        above = self._above(resource)
        return None if above is None else self.partner_of(above)

    def _above(self, resource: Resource) -> Resource | None:
        """The resource that it belongs to."""
        document = resource.document
        match document:
            case docs.Tenant():
                return self.get("partner", document.partner_id)
            case docs.User() | docs.Group() | docs.CustomRole():
                return self.get("tenant", document.tenant_id)
            case docs.RoleMapping():
                return self.get("group", document.group_id)
            case docs.ApiKey():
                return self.get("user", document.user_id)
            case docs.Budget():
                return self.get("api_key" if document.scope == "key" else document.scope, document.scope_id)
            case docs.ModelAccess():
                return self.get(document.subject_type, document.subject_id)
            case docs.ModelGroup() if document.scope_id is not None:
                return self.get(document.scope, document.scope_id)
            case docs.Route():
                return self.get("model", document.model_id)
            case docs.Model():
                return self._owner_by_slug(document.name)
            case _:
                return None

    def _owner_by_slug(self, slug: str) -> Resource | None:
        """`tenant/NAME/...` and `partner/NAME/...` say whose a model is."""
        scope, _, rest = slug.partition("/")
        name, slash, _ = rest.partition("/")
        return self.named(scope, name) if slash and scope in ("tenant", "partner") else None


_NAMES: Mapping[type[docs.Document], str] = {kind.document: kind.name for kind in KINDS.values()}
