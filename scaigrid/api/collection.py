"""One kind of resource as the API shows it: the port that each file in `resources/` fills, and nothing but that.

A collection says what is asked, what is answered and who may; `crud.py` makes the routes of it and
`collection_operations.py` their rows in the reference.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec
from msgspec import Meta

from scaigrid.api.requirement import Requirement
from scaigrid.api.view import View
from scaigrid.config.entities import Origin
from scaigrid.control.documents import Document
from scaigrid.control.resource import Resource
from scaigrid.dialects.shapes import AnswerShape
from scaigrid.errors import Code, Detail

GivenT = TypeVar("GivenT", bound=msgspec.Struct)
ItemT = TypeVar("ItemT", bound=AnswerShape)


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of a list. Further fields of a collection's own query filter it by equality."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    """The most items of one page."""
    cursor: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    """`next_cursor` of the page before."""


class Kept(AnswerShape, kw_only=True):
    """What every resource says of itself."""

    id: str
    origin: Origin
    """`config`: declared in the configuration file, and read-only here. `api`: made here."""
    created_at: str
    """ISO 8601, UTC."""
    updated_at: str
    """ISO 8601, UTC."""


class Collection(Generic[GivenT, ItemT]):
    """Subclassed once for each kind; one instance, without state."""

    kind: ClassVar[str]
    """Of `control.kinds.KINDS`."""
    path: ClassVar[str]
    """`/v1/tenants`."""
    area: ClassVar[str]
    """The heading in the reference."""
    singular: ClassVar[str]
    plural: ClassVar[str]
    """In operation ids: `getTenant`, `listTenants`."""
    about: ClassVar[str] = ""
    """One or two sentences for the reference."""
    reading: ClassVar[Requirement]
    making: ClassVar[Requirement]
    changing: ClassVar[Requirement]
    """Of PUT and PATCH."""
    removing: ClassVar[Requirement]
    methods: ClassVar[frozenset[str]] = frozenset({"list", "make", "get", "replace", "amend", "remove"})
    """Which of the six there are; what is not among them the collection's file makes itself, or there is none."""
    given: ClassVar[type[msgspec.Struct]]
    """The body of POST and PUT; also what PATCH is merged into (RFC 7396)."""
    item: ClassVar[type[AnswerShape]]
    query: ClassVar[type[PageQuery]] = PageQuery
    codes: ClassVar[tuple[Code, ...]] = ()
    """Why making and changing one may be refused, besides what any may be refused for."""
    tenant_header: ClassVar[bool] = True
    """Whether `X-ScaiGrid-Tenant` means something here."""
    example_given: ClassVar[msgspec.Struct]
    example_item: ClassVar[AnswerShape]

    def id_for(self, document: Document, fresh: str) -> str:
        """The id of what is to be made: a new one, unless the kind has its ids say something."""
        return fresh

    def found_by(self, view: View, text: str) -> Resource | None:
        """The resource that an address names, shown or not: by its id."""
        return view.state.get(self.kind, text)

    def shows(self, view: View, resource: Resource) -> bool:
        """Whether the caller sees it at all; what it does not see is 404."""
        return view.reaches(resource)

    async def informed(self, view: View, resources: Sequence[Resource]) -> View:
        """The view with the `facts` that `described` needs of these resources and that are not in the state.

        Asked once for an answer, outside of changes. What `described` makes without facts is for the audit log.
        """
        return view

    def described(self, view: View, resource: Resource) -> ItemT:
        """The resource as it is answered. No credential is in it."""
        raise NotImplementedError

    def given_of(self, view: View, resource: Resource) -> dict[str, Any]:
        """The resource as somebody would send it, in plain values, for PATCH to be merged into.

        Credentials are left out, which keeps them.
        """
        item: dict[str, Any] = msgspec.to_builtins(self.described(view, resource), str_keys=True)
        fields = {field.encode_name for field in msgspec.structs.fields(self.given)}
        return {name: value for name, value in item.items() if name in fields}

    def document(self, view: View, given: GivenT, before: Resource | None) -> Document:
        """What `given` makes of the resource; `before` is None where it is new. Raises GatewayError."""
        raise NotImplementedError

    def may_refer(self, view: View, resource: Resource) -> bool:
        """Whether the caller may have one of these refer to a resource; what it may not is 404, as if it were not."""
        return view.reaches(resource)

    def may_change(self, view: View, resource: Resource) -> bool:
        """Whether the caller may change and delete one that it sees; what it may not is AUTHZ_PERMISSION_DENIED."""
        return True

    def judged(self, view: View, before: Resource | None, after: Resource | None) -> Iterable[Detail]:
        """Faults that no other rule sees. Raises GatewayError where the caller may not do just this.

        `after` is None where it is deleted.
        """
        return ()

    def along(self, view: View, before: Resource | None, after: Resource | None) -> Iterable[Resource]:
        """Other resources as they become by this, in the same change; asked once it has been judged.

        `after` is None where it is deleted.
        """
        return ()

    def found(self, view: View, resources: Sequence[Resource], query: Any) -> Iterable[Resource]:
        """Those that the query asks for: by equality of each filter with the item's field of that name."""
        filters = {
            field.name: value
            for field in msgspec.structs.fields(self.query)
            if field.name not in ("limit", "cursor") and (value := getattr(query, field.name)) is not None
        }
        if not filters:
            return resources
        return [
            resource
            for resource in resources
            if all(self.filtered(view, resource, name) == value for name, value in filters.items())
        ]

    def filtered(self, view: View, resource: Resource, name: str) -> object:
        """What a filter of that name is compared with: the document's field."""
        if name == "origin":
            return resource.origin
        return getattr(resource.document, name)
