"""`/v1/routes`: how each frontend model reaches its backends. A model has one route, or none yet."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from scaigrid.api.cheapness import too_dear
from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.requirement import Requirement
from scaigrid.api.resources import examples
from scaigrid.api.sight import everywhere, serves, sight
from scaigrid.api.view import View, missing
from scaigrid.config.entities import Origin
from scaigrid.config.routing import FAILURES, FALLBACK_REASONS, FailureClass, Fallbacks, Hedge, StickyBy, Strategy, When
from scaigrid.config.terms import Deadlines
from scaigrid.control import documents as docs
from scaigrid.control.declared import route_id
from scaigrid.control.resource import Resource
from scaigrid.dialects.shapes import OPEN, AnswerShape, RequestShape
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.timestamps import iso

_READING = Requirement("routing:view", "routing:manage", "admin:access")
_WRITING = Requirement("routing:manage", "admin:access")


class RouteTargetGiven(RequestShape):
    """One backend of a route."""

    backend_id: str
    weight: Annotated[int, Meta(ge=0, le=1_000_000)] = 1
    """Its share among the targets of the same priority. 0: only when the others of its tier have failed."""
    priority: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Its tier: 0 is tried first, higher ones when every target of the lower ones has failed."""
    when: When | None = None
    """Only for requests like these; null: for all."""


class RouteGiven(RequestShape):
    """A route, as it is sent."""

    model: Annotated[str, Meta(min_length=1, max_length=128)]
    """The slug or the id of the model. It does not change."""
    targets: Annotated[tuple[RouteTargetGiven, ...], Meta(min_length=1, max_length=64)]
    """Of a partner's or tenant's own model: backends that were granted to it."""
    strategy: Strategy = "weighted"
    """Which target of a tier comes first."""
    sticky_by: StickyBy = "user"
    """With `sticky` alone: what has to be the same for two calls to go to the same backend."""
    max_attempts: Annotated[int, Meta(ge=1, le=16)] = 3
    """How many calls to providers one request may cause."""
    attempts_per_backend: Annotated[int, Meta(ge=1, le=16)] = 1
    """How many of these one backend may get."""
    failover_on: tuple[FailureClass, ...] = FAILURES
    """The failures after which another call is made."""
    when_unhealthy: Literal["try", "refuse"] = "try"
    """While the breaker of every backend is open: ask them all the same, or answer MODEL_UNAVAILABLE at once."""
    deadlines: Deadlines = Deadlines()
    hedge: Hedge | None = None
    """A second copy of slow calls; null: none."""
    fallbacks: Fallbacks = Fallbacks()
    """Other models for what this one cannot answer."""


class RouteTargetItem(AnswerShape, kw_only=True):
    """One backend of a route."""

    backend_id: str
    weight: int
    priority: int
    when: When | None = None
    """Only for requests like these; null: for all."""


class RouteItem(Kept, kw_only=True):
    """A route."""

    model: str
    """The model's slug."""
    model_id: str
    targets: tuple[RouteTargetItem, ...]
    strategy: Annotated[Strategy, OPEN]
    sticky_by: Annotated[StickyBy, OPEN]
    max_attempts: int
    attempts_per_backend: int
    failover_on: tuple[str, ...]
    when_unhealthy: Annotated[Literal["try", "refuse"], OPEN]
    deadlines: Deadlines
    hedge: Hedge | None
    fallbacks: Fallbacks


class RoutesQuery(PageQuery, frozen=True, kw_only=True):
    """Which routes to list."""

    model: str | None = None
    """The model's slug."""
    model_id: str | None = None
    backend_id: str | None = None
    """A backend that is among the targets."""
    origin: Origin | None = None


class Routes(Collection[RouteGiven, RouteItem]):
    kind = "route"
    path = "/v1/routes"
    area = "Routing"
    singular = "Route"
    plural = "Routes"
    about = "Of the models that the caller sees. A change is in force for the next call."
    reading = _READING
    making = _WRITING
    changing = _WRITING
    removing = _WRITING
    given = RouteGiven
    item = RouteItem
    query = RoutesQuery
    codes = (Code.MODEL_NOT_FOUND, Code.BACKEND_NOT_FOUND)
    example_given = RouteGiven(
        model="acme/chat",
        targets=(RouteTargetGiven(backend_id=examples.id_of("be")),),
    )
    example_item = RouteItem(
        **examples.kept("route"),
        model="acme/chat",
        model_id=examples.id_of("model"),
        targets=(RouteTargetItem(backend_id=examples.id_of("be"), weight=1, priority=0),),
        strategy="weighted",
        sticky_by="user",
        max_attempts=3,
        attempts_per_backend=1,
        failover_on=FAILURES,
        when_unhealthy="try",
        deadlines=Deadlines(),
        hedge=None,
        fallbacks=Fallbacks(),
    )

    def id_for(self, document: docs.Document, fresh: str) -> str:
        return route_id(cast("docs.Route", document).model_id)

    def shows(self, view: View, resource: Resource) -> bool:
        return sight(view).sees(_model(view, _document(resource)))

    def may_refer(self, view: View, resource: Resource) -> bool:
        """Everything: `document` has judged what it refers to, which hangs on whose model it is."""
        return True

    def described(self, view: View, resource: Resource) -> RouteItem:
        route = _document(resource)
        return RouteItem(
            id=resource.id,
            origin=resource.origin,
            created_at=iso(resource.created_at),
            updated_at=iso(resource.updated_at),
            model=_model(view, route).name,
            model_id=route.model_id,
            targets=tuple(
                RouteTargetItem(
                    backend_id=target.backend_id, weight=target.weight, priority=target.priority, when=target.when
                )
                for target in route.targets
            ),
            strategy=route.strategy,
            sticky_by=route.sticky_by,
            max_attempts=route.max_attempts,
            attempts_per_backend=route.attempts_per_backend,
            failover_on=route.failover_on,
            when_unhealthy=route.when_unhealthy,
            deadlines=route.deadlines,
            hedge=route.hedge,
            fallbacks=route.fallbacks,
        )

    def document(self, view: View, given: RouteGiven, before: Resource | None) -> docs.Route:
        model = sight(view).model(given.model)
        there = None if before is None else _document(before)
        if there is not None and there.model_id != model.id:
            raise GatewayError(Code.VALIDATION_ERROR, details=(Detail("model", "does not change"),))
        route = docs.Route(
            name=model.id,
            model_id=model.id,
            targets=tuple(
                docs.Target(
                    backend_id=target.backend_id, weight=target.weight, priority=target.priority, when=target.when
                )
                for target in given.targets
            ),
            strategy=given.strategy,
            sticky_by=given.sticky_by,
            max_attempts=given.max_attempts,
            attempts_per_backend=given.attempts_per_backend,
            failover_on=tuple(dict.fromkeys(given.failover_on)),
            when_unhealthy=given.when_unhealthy,
            deadlines=given.deadlines,
            hedge=given.hedge,
            fallbacks=given.fallbacks,
        )
        known = None if there is None else there.fallbacks
        for reason in FALLBACK_REASONS:
            named = getattr(given.fallbacks, reason)
            if named is not None and named != getattr(known, reason, None):
                try:
                    sight(view).model(named)
                except GatewayError:
                    # Also what the caller may not know of.
                    raise missing("model", f"fallbacks.{reason}") from None
        if not everywhere(view, "routing:manage"):
            _check_own(view, model)
            for place, target in _new_targets(route, there):
                backend = view.state.get("backend", target.backend_id)
                if backend is None or not serves(view, cast("docs.Backend", backend.document), model):
                    raise missing("backend", f"targets[{place}].backend_id")
        return route

    def judged(self, view: View, before: Resource | None, after: Resource | None) -> Iterable[Detail]:
        if everywhere(view, "routing:manage"):
            return ()
        there = None if before is None else _document(before)
        if after is None:
            if there is not None:
                _check_own(view, _model(view, there))
            return ()
        route = _document(after)
        model = cast("docs.Model", _model(view, route).document)
        return too_dear(model, _new_targets(route, there), view.state)

    def found(self, view: View, resources: Sequence[Resource], query: Any) -> Iterable[Resource]:
        backend_id = query.backend_id
        found = super().found(view, resources, msgspec.structs.replace(query, backend_id=None))
        if backend_id is None:
            return found
        return [one for one in found if any(target.backend_id == backend_id for target in _document(one).targets)]

    def filtered(self, view: View, resource: Resource, name: str) -> object:
        if name == "model":
            return _model(view, _document(resource)).name
        return super().filtered(view, resource, name)


def _check_own(view: View, model: Resource) -> None:
    """Raises AUTHZ_PERMISSION_DENIED for a model that the caller may use and no more."""
    if view.state.partner_of(model) is None or not sight(view).manages(model):
        raise GatewayError(Code.AUTHZ_PERMISSION_DENIED, "You may only route models of your own.")


def _new_targets(route: docs.Route, there: docs.Route | None) -> list[tuple[int, docs.Target]]:
    """Those that were not targets before, each with its place."""
    known = {target.backend_id for target in (there.targets if there is not None else ())}
    return [(place, target) for place, target in enumerate(route.targets) if target.backend_id not in known]


def _model(view: View, route: docs.Route) -> Resource:
    return view.state.all("model")[route.model_id]


def _document(resource: Resource) -> docs.Route:
    return cast("docs.Route", resource.document)
