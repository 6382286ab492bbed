"""`/v1/tenants`: the customers of partners."""

from typing import Annotated

import msgspec
from msgspec import Meta

from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.requirement import Requirement
from scaigrid.api.resources import examples
from scaigrid.api.view import View, missing
from scaigrid.config.entities import Origin
from scaigrid.config.terms import Limits, Name
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.dialects.shapes import RequestShape
from scaigrid.timestamps import iso

_PARTNER = Requirement("users:manage", reach="partner")


class TenantGiven(RequestShape):
    """A tenant, as it is sent."""

    slug: Name
    """Its name in `X-ScaiGrid-Tenant` and in the addresses of its own models (`tenant/{slug}/...`); unique."""
    partner_id: str | None = None
    """The partner that it belongs to. Left out: the caller's own. It does not change."""
    display_name: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    """For people; the slug where left out."""
    suspended: bool = False
    """Refuse every call of its users with TENANT_SUSPENDED."""
    limits: Limits = Limits()
    keep_bodies: bool = True
    """Keep the answers of calls that were made with an `Idempotency-Key`, for those who repeat them. `false`: nothing
    that a model said is stored, and the header means nothing."""


class TenantItem(Kept, kw_only=True):
    """A tenant."""

    slug: str
    partner_id: str
    display_name: str
    suspended: bool
    limits: Limits
    keep_bodies: bool


class TenantsQuery(PageQuery, frozen=True, kw_only=True):
    """Which tenants to list."""

    partner_id: str | None = None
    origin: Origin | None = None
    slug: str | None = None


class Tenants(Collection[TenantGiven, TenantItem]):
    kind = "tenant"
    path = "/v1/tenants"
    area = "Tenancy"
    singular = "Tenant"
    plural = "Tenants"
    about = "A tenant's administrators see their own; a partner's make, change and delete those of the partner."
    reading = Requirement("users:manage")
    making = _PARTNER
    changing = _PARTNER
    removing = _PARTNER
    given = TenantGiven
    item = TenantItem
    query = TenantsQuery
    example_given = TenantGiven(slug="initech", display_name="Initech")
    example_item = TenantItem(
        **examples.kept("tenant"),
        slug="initech",
        partner_id=examples.id_of("partner"),
        display_name="Initech",
        suspended=False,
        limits=Limits(),
        keep_bodies=True,
    )

    def described(self, view: View, resource: Resource) -> TenantItem:
        tenant = view.state.document(docs.Tenant, resource.id)
        return TenantItem(
            id=resource.id,
            origin=resource.origin,
            created_at=iso(resource.created_at),
            updated_at=iso(resource.updated_at),
            slug=tenant.name,
            partner_id=tenant.partner_id,
            display_name=tenant.display_name or tenant.name,
            suspended=tenant.suspended,
            limits=tenant.limits,
            keep_bodies=tenant.keep_bodies,
        )

    def document(self, view: View, given: TenantGiven, before: Resource | None) -> docs.Tenant:
        own = view.principal.partner.id
        if before is not None:
            own = view.state.document(docs.Tenant, before.id).partner_id
        partner_id = given.partner_id or own
        if before is not None and partner_id != own:
            # A tenant's usage and budgets are its partner's too: it moves nowhere.
            raise missing("partner", "partner_id")
        return docs.Tenant(
            name=given.slug,
            partner_id=partner_id,
            display_name=given.display_name,
            suspended=given.suspended,
            limits=given.limits,
            keep_bodies=given.keep_bodies,
        )

    def may_refer(self, view: View, resource: Resource) -> bool:
        # Its partner, which the tenant that the caller acts on does not hide.
        return msgspec.structs.replace(view, tenant_id=None).reaches(resource)

    def filtered(self, view: View, resource: Resource, name: str) -> object:
        return resource.name if name == "slug" else super().filtered(view, resource, name)
