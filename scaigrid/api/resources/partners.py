"""`/v1/partners`: resellers, or the one that stands for the whole installation."""

from typing import Annotated

from msgspec import Meta

from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.requirement import Requirement
from scaigrid.api.resources import examples
from scaigrid.api.view import View
from scaigrid.config.entities import Origin
from scaigrid.config.terms import Limits, Name
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.dialects.shapes import RequestShape
from scaigrid.timestamps import iso

_PLATFORM = Requirement("users:manage", reach="platform")


class PartnerGiven(RequestShape):
    """A partner, as it is sent."""

    slug: Name
    """Its name in the addresses of its own models (`partner/{slug}/...`); unique."""
    display_name: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    """For people; the slug where left out."""
    suspended: bool = False
    """Refuse every call of its tenants with TENANT_SUSPENDED."""
    limits: Limits = Limits()


class PartnerItem(Kept, kw_only=True):
    """A partner."""

    slug: str
    display_name: str
    suspended: bool
    limits: Limits


class PartnersQuery(PageQuery, frozen=True, kw_only=True):
    """Which partners to list."""

    origin: Origin | None = None
    slug: str | None = None


class Partners(Collection[PartnerGiven, PartnerItem]):
    kind = "partner"
    path = "/v1/partners"
    area = "Tenancy"
    singular = "Partner"
    plural = "Partners"
    about = "A partner's administrators see their own."
    reading = Requirement("users:manage", reach="partner")
    making = _PLATFORM
    changing = _PLATFORM
    removing = _PLATFORM
    given = PartnerGiven
    item = PartnerItem
    query = PartnersQuery
    tenant_header = False
    example_given = PartnerGiven(slug="acme", display_name="Acme Resale")
    example_item = PartnerItem(
        **examples.kept("partner"), slug="acme", display_name="Acme Resale", suspended=False, limits=Limits()
    )

    def described(self, view: View, resource: Resource) -> PartnerItem:
        partner = view.state.document(docs.Partner, resource.id)
        return PartnerItem(
            id=resource.id,
            origin=resource.origin,
            created_at=iso(resource.created_at),
            updated_at=iso(resource.updated_at),
            slug=partner.name,
            display_name=partner.display_name or partner.name,
            suspended=partner.suspended,
            limits=partner.limits,
        )

    def document(self, view: View, given: PartnerGiven, before: Resource | None) -> docs.Partner:
        return docs.Partner(
            name=given.slug, display_name=given.display_name, suspended=given.suspended, limits=given.limits
        )

    def filtered(self, view: View, resource: Resource, name: str) -> object:
        return resource.name if name == "slug" else super().filtered(view, resource, name)
