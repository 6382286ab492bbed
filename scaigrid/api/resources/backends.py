"""`/v1/backends`: deployments of models at providers, and who may point models of their own at them."""

from collections.abc import Iterator
from typing import Annotated, cast

from msgspec import UNSET, Meta, UnsetType

from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.prices import CostGiven, CostItem, cost_item, cost_of
from scaigrid.api.requirement import Requirement
from scaigrid.api.resources import examples
from scaigrid.api.resources.providers import OPERATORS, Credential, kept
from scaigrid.api.sight import everywhere, serves, sight
from scaigrid.api.view import View, missing
from scaigrid.config.entities import Label, Origin
from scaigrid.config.routing import BackendDeadlines, Breaker, Capability, TokenCount
from scaigrid.config.terms import Name, Seconds
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.dialects.shapes import OPEN, RequestShape
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.health import HealthStatus
from scaigrid.timestamps import iso

READING = Requirement("routing:view", "routing:manage", "admin:access")
_MOST_NAMED = 5


class BackendGiven(RequestShape):
    """A backend, as it is sent."""

    name: Name
    """Unique. Callers are told it in `x-scaigrid-backend`, where the configuration lets them know."""
    provider_id: str
    """The provider that it is reached through."""
    model: Annotated[str, Meta(min_length=1, max_length=256)]
    """The provider's own name of the model."""
    display_name: Label | None = None
    """For people; the name where left out."""
    api_key: Credential | UnsetType | None = UNSET
    """A credential of this backend alone, instead of its provider's. Left out: the one that is there stays; null: none.
    It is never answered."""
    cost: CostGiven = CostGiven()
    """What the provider charges. Models that partners and tenants point at it themselves are not priced below that."""
    lacks: tuple[Capability, ...] = ()
    """What the deployment cannot, of what its provider's protocol has words for: calls that use it pass it by."""
    context_window: TokenCount | None = None
    """Tokens of input and output together that the deployment takes; null: calls of any length are sent."""
    concurrency: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """Calls at the same time that each worker sends to it, at the most; null: any number."""
    queue: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """With `concurrency`: how many more calls of a worker wait for their turn."""
    queue_seconds: Seconds = 5.0
    """How long each of these waits."""
    deadlines: BackendDeadlines = BackendDeadlines()
    """How long to wait for it, where that differs from what its routes say."""
    breaker: Breaker = Breaker()
    """When calls to it stop for a while."""
    granted_to: Annotated[tuple[str, ...], Meta(max_length=1000)] = ()
    """Ids of the partners and tenants who may point models of their own at it."""


class BackendItem(Kept, kw_only=True):
    """A backend. What is between the operator and the provider is for those with `routing:manage` alone."""

    name: str
    provider_id: str
    uri: str
    """The provider's type and its name of the model: `openai:gpt-4o`."""
    model: str
    """The provider's own name of the model."""
    display_name: str
    capabilities: tuple[str, ...]
    """What the gateway can say to a provider of this type, without what the deployment lacks."""
    health_status: Annotated[HealthStatus, OPEN]
    """As the worker that answers has seen it."""
    has_api_key: bool | UnsetType = UNSET
    """It has a credential of its own."""
    cost: CostItem | UnsetType = UNSET
    lacks: tuple[str, ...] | UnsetType = UNSET
    context_window: int | UnsetType | None = UNSET
    concurrency: int | UnsetType | None = UNSET
    queue: int | UnsetType = UNSET
    queue_seconds: float | UnsetType = UNSET
    deadlines: BackendDeadlines | UnsetType = UNSET
    breaker: Breaker | UnsetType = UNSET
    granted_to: tuple[str, ...] | UnsetType = UNSET


class BackendsQuery(PageQuery, frozen=True, kw_only=True):
    """Which backends to list."""

    provider_id: str | None = None
    name: str | None = None
    model: str | None = None
    origin: Origin | None = None


class Backends(Collection[BackendGiven, BackendItem]):
    kind = "backend"
    path = "/v1/backends"
    area = "Routing"
    singular = "Backend"
    plural = "Backends"
    about = "Administrators of partners and tenants see those that were granted to these."
    reading = READING
    making = OPERATORS
    changing = OPERATORS
    removing = OPERATORS
    given = BackendGiven
    item = BackendItem
    query = BackendsQuery
    codes = (Code.PROVIDER_NOT_FOUND,)
    example_given = BackendGiven(
        name="gpt-4o-eu",
        provider_id=examples.id_of("prov"),
        model="gpt-4o",
        cost=CostGiven(input="2.5", output="10", cached_input="1.25"),
        granted_to=(examples.id_of("tenant"),),
    )
    example_item = BackendItem(
        **examples.kept("be"),
        name="gpt-4o-eu",
        provider_id=examples.id_of("prov"),
        uri="openai:gpt-4o",
        model="gpt-4o",
        display_name="gpt-4o-eu",
        capabilities=("chat", "embed", "stream", "tools"),
        health_status="healthy",
        has_api_key=False,
        cost=cost_item(cost_of(CostGiven(input="2.5", output="10", cached_input="1.25"))),
        lacks=(),
        context_window=128_000,
        concurrency=None,
        queue=0,
        queue_seconds=5.0,
        deadlines=BackendDeadlines(first_byte=20.0),
        breaker=Breaker(),
        granted_to=(examples.id_of("tenant"),),
    )

    def shows(self, view: View, resource: Resource) -> bool:
        if everywhere(view, "routing:manage") or everywhere(view, "routing:view"):
            return True
        return sight(view).is_granted(_document(resource))

    def may_refer(self, view: View, resource: Resource) -> bool:
        return True

    def described(self, view: View, resource: Resource) -> BackendItem:
        backend = _document(resource)
        provider = view.state.document(docs.Provider, backend.provider_id)
        health = view.services.health.status(resource.id, view.services.clock.monotonic())
        operator = everywhere(view, "routing:manage")
        return BackendItem(
            id=resource.id,
            origin=resource.origin,
            created_at=iso(resource.created_at),
            updated_at=iso(resource.updated_at),
            name=backend.name,
            provider_id=backend.provider_id,
            uri=f"{provider.type}:{backend.model}",
            model=backend.model,
            display_name=backend.display_name or backend.name,
            capabilities=tuple(sorted(view.adapters[provider.type].can.difference(backend.lacks))),
            health_status=health,
            has_api_key=bool(backend.api_key) if operator else UNSET,
            cost=cost_item(backend.cost) if operator else UNSET,
            lacks=backend.lacks if operator else UNSET,
            context_window=backend.context_window if operator else UNSET,
            concurrency=backend.concurrency if operator else UNSET,
            queue=backend.queue if operator else UNSET,
            queue_seconds=backend.queue_seconds if operator else UNSET,
            deadlines=backend.deadlines if operator else UNSET,
            breaker=backend.breaker if operator else UNSET,
            granted_to=backend.granted_to if operator else UNSET,
        )

    def document(self, view: View, given: BackendGiven, before: Resource | None) -> docs.Backend:
        return docs.Backend(
            name=given.name,
            provider_id=given.provider_id,
            model=given.model,
            display_name=given.display_name,
            api_key=kept(given.api_key, None if before is None else _document(before).api_key),
            cost=cost_of(given.cost),
            lacks=tuple(dict.fromkeys(given.lacks)),
            context_window=given.context_window,
            concurrency=given.concurrency,
            queue=given.queue,
            queue_seconds=given.queue_seconds,
            deadlines=given.deadlines,
            breaker=given.breaker,
            granted_to=tuple(dict.fromkeys(given.granted_to)),
        )

    def judged(self, view: View, before: Resource | None, after: Resource | None) -> tuple[Detail, ...]:
        if before is not None and after is not None:
            relying = list(_relying(view, before, after))
            if relying:
                raise GatewayError(
                    Code.CONFLICT,
                    "Models of those from whom the grant is taken still use the backend: change their routes first.",
                    details=tuple(relying[:_MOST_NAMED]),
                )
        return ()


def _relying(view: View, before: Resource, after: Resource) -> Iterator[Detail]:
    """Routes of models that were served by a grant and are not any more."""
    for user in view.state.users_of("backend", before.id):
        if isinstance(user.document, docs.Route):
            model = view.state.get("model", user.document.model_id)
            if model is None:
                raise missing("model")
            if serves(view, _document(before), model) and not serves(view, _document(after), model):
                yield Detail("route", f"model {model.name} ({user.id})")


def _document(resource: Resource) -> docs.Backend:
    return cast("docs.Backend", resource.document)
