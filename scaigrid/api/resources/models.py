"""What is written of `/v1/models`: frontend models made, replaced, changed and deleted; read in `scaigrid.api.models`.

Partners and tenants have models of their own, below `partner/{slug}/` and `tenant/{slug}/`, which their administrators
write; all others are the platform's.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, cast

import msgspec
from litestar import Controller, Response, delete, patch, post, put
from litestar.params import FromPath
from msgspec import Meta

from scaigrid.api.body import merged, read_body
from scaigrid.api.cheapness import too_cheap
from scaigrid.api.collection import Collection
from scaigrid.api.crud import Asked, audited, described, put_in_place, seen, writable
from scaigrid.api.handling import Provided, exchange_in
from scaigrid.api.models import ModelItem, ModelStatus, item
from scaigrid.api.prices import PricesGiven, prices_of, sent
from scaigrid.api.query import NoQuery, read_query
from scaigrid.api.recording import Trying, changing
from scaigrid.api.sight import MANAGING, everywhere, sight
from scaigrid.api.view import View, view_of
from scaigrid.config.entities import Label
from scaigrid.config.terms import Limits, OnDisconnect, OnUnsupported, Slug
from scaigrid.control import documents as docs
from scaigrid.control.declared import route_id
from scaigrid.control.follower import Control
from scaigrid.control.resource import Resource
from scaigrid.control.rules import in_use
from scaigrid.control.store import Change
from scaigrid.dialects.shapes import RequestShape
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.ids import new_id
from scaigrid.middleware import Services
from scaigrid.types import Modality

TokenCount = Annotated[int, Meta(ge=1, le=2**40)]


class ModelGiven(RequestShape):
    """A frontend model, as it is sent, with either `prices` or `unpriced`."""

    slug: Slug
    """What requests name as `model`. It does not change: usage and budgets refer to the model by it. What begins with
    `tenant/{slug}/` or `partner/{slug}/` belongs to that tenant, or to that partner's tenants."""
    modality: Modality = Modality.CHAT
    display_name: Label | None = None
    """For people; the slug where left out."""
    description: Annotated[str, Meta(max_length=4096)] | None = None
    status: ModelStatus = "active"
    """`deprecated` still answers; `disabled` answers MODEL_UNAVAILABLE."""
    access: Literal["all", "granted"] = "all"
    """`granted`: only those may see and use it to whom `/v1/model-access` gives it."""
    context_window: TokenCount | None = None
    """Tokens of input and output together. Needed where budgets or limits on tokens must bound images, audio or
    files."""
    max_output_tokens: TokenCount | None = None
    """The most that one answer may have: callers' bounds are cut down to it, and it is sent where they give none and a
    budget or a limit on tokens has to be kept. Needed of a partner's or tenant's own model that chats."""
    max_image_tokens: TokenCount | None = None
    """The most tokens that one image counts as, by what the provider says of its largest. Left out: an image may fill
    the context window, as far as budgets and limits on tokens are concerned."""
    limits: Limits = Limits()
    """Limits over all calls of this model, whoever makes them. Only the platform's administrators set them: sent by
    others they may be left out, or as they are."""
    prices: PricesGiven | None = None
    """What users pay. For a partner's or tenant's own model not below what the backends of its route charge."""
    unpriced: Literal["refuse", "free"] | None = None
    """Instead of `prices`: answer for nothing, or not at all."""
    default_params: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies an empty default for each instance
    """Request fields for callers who leave them out, in the words of the dialect that the caller speaks."""
    system_prompt: Annotated[str, Meta(min_length=1)] | None = None
    """Put ahead of the caller's messages."""
    on_unsupported: OnUnsupported = "refuse"
    """A field that a backend's provider has no word for: `refuse` answers UNSUPPORTED_BY_MODEL and names it.
    `drop_with_header` leaves it out, where it only shapes the answer, and names it in `x-scaigrid-dropped`.
    Either way `user` is left out and named: it changes no answer."""
    on_disconnect: OnDisconnect = "cancel"
    """A client who leaves in the middle of a call: `cancel` closes the provider's connection at once and bills what was
    counted until then. `drain` reads the answer to its end, within the bounds in `forwarder`, and bills what the
    provider says that it was."""
    metadata: Annotated[
        dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=64)
    ] = {}  # noqa: RUF012 - likewise
    """Yours; shown in `/v1/models`."""


class Models(Collection[ModelGiven, ModelItem]):
    """What the steps of `crud` ask; the routes are below, for addresses hold slugs."""

    kind = "model"
    path = "/v1/models"

    def found_by(self, view: View, text: str) -> Resource | None:
        return sight(view).named(text)

    def shows(self, view: View, resource: Resource) -> bool:
        return sight(view).sees(resource)

    def described(self, view: View, resource: Resource) -> ModelItem:
        """Once it is in force."""
        return item(view.services.current.snapshot.models[resource.name], view.services, resource)

    def given_of(self, view: View, resource: Resource) -> dict[str, Any]:
        model = _document(resource)
        given: dict[str, Any] = msgspec.to_builtins(
            {field: getattr(model, field) for field in ModelGiven.__struct_fields__ if field not in ("slug", "prices")}
        )
        return {**given, "slug": model.name, "prices": None if model.prices is None else sent(model.prices)}

    def document(self, view: View, given: ModelGiven, before: Resource | None) -> docs.Model:
        if before is None:
            _check_slug(view, given.slug)
        elif given.slug != before.name:
            changed = Detail("slug", "does not change: usage and budgets refer to the model by it")
            raise GatewayError(Code.VALIDATION_ERROR, details=(changed,))
        return docs.Model(
            name=given.slug,
            modality=given.modality,
            display_name=given.display_name,
            description=given.description,
            status=given.status,
            access=given.access,
            context_window=given.context_window,
            max_output_tokens=given.max_output_tokens,
            max_image_tokens=given.max_image_tokens,
            limits=_limits(view, given, before),
            prices=None if given.prices is None else prices_of(given.prices),
            unpriced=given.unpriced,
            default_params=given.default_params,
            system_prompt=given.system_prompt,
            on_unsupported=given.on_unsupported,
            on_disconnect=given.on_disconnect,
            metadata=given.metadata,
        )

    def judged(self, view: View, before: Resource | None, after: Resource | None) -> Iterator[Detail]:
        if after is None or everywhere(view, "models:manage"):
            return
        model = _document(after)
        if model.modality is Modality.CHAT and model.max_output_tokens is None:
            # One such model, and nobody else could set a budget that needs bounds.
            yield Detail("max_output_tokens", "is required of a partner's or a tenant's own model")
        there = None if before is None else _document(before)
        route = view.state.get("route", route_id(after.id))
        if there is None or route is None or (there.prices, there.unpriced) == (model.prices, model.unpriced):
            return
        yield from too_cheap(model, cast("docs.Route", route.document), view.state)


MODELS = Models()


class ModelWritesController(Controller):
    """`slug` is an id or a slug; an id that could be either is an id."""

    path = "/v1/models"

    @post("/", guards=[Trying("model", "create"), MANAGING], status_code=201)
    async def make(
        self, request: Asked, services: Provided[Services], control: Provided[Control], adapters: Provided[Any]
    ) -> Response[bytes]:
        read_query(request, NoQuery)
        given = read_body(request, await request.body(), ModelGiven)
        async with changing(exchange_in(request), control, 201) as change:
            view = view_of(request, change.state, services, control, adapters)
            document = MODELS.document(view, given, None)
            fresh = Resource(kind="model", id=new_id("model", services.clock), origin="api", document=document)
            kept = _put(change, view, None, fresh)
        return described(MODELS, view, kept, 201)

    @put("/{slug:path}", guards=[Trying("model", "update", "slug"), MANAGING])
    async def replace(
        self,
        request: Asked,
        slug: FromPath[str],
        services: Provided[Services],
        control: Provided[Control],
        adapters: Provided[Any],
    ) -> Response[bytes]:
        read_query(request, NoQuery)
        given = read_body(request, await request.body(), ModelGiven)
        async with changing(exchange_in(request), control) as change:
            view = view_of(request, change.state, services, control, adapters)
            before = _own(view, slug, request, "update")
            kept = _put(change, view, before, _after(view, before, given))
        return described(MODELS, view, kept)

    @patch("/{slug:path}", guards=[Trying("model", "update", "slug"), MANAGING])
    async def amend(
        self,
        request: Asked,
        slug: FromPath[str],
        services: Provided[Services],
        control: Provided[Control],
        adapters: Provided[Any],
    ) -> Response[bytes]:
        read_query(request, NoQuery)
        body = await request.body()
        async with changing(exchange_in(request), control) as change:
            view = view_of(request, change.state, services, control, adapters)
            before = _own(view, slug, request, "update")
            whole = merged(request, body, MODELS.given_of(view, before), ModelGiven)
            kept = _put(change, view, before, _after(view, before, read_body(request, whole, ModelGiven)))
        return described(MODELS, view, kept)

    @delete("/{slug:path}", guards=[Trying("model", "delete", "slug"), MANAGING], status_code=204)
    async def remove(
        self,
        request: Asked,
        slug: FromPath[str],
        services: Provided[Services],
        control: Provided[Control],
        adapters: Provided[Any],
    ) -> Response[None]:
        read_query(request, NoQuery)
        async with changing(exchange_in(request), control, 204) as change:
            view = view_of(request, change.state, services, control, adapters)
            before = _own(view, slug, request, "delete")
            in_use(before, change.state)
            change.delete(before)
            audited(view.exchange, MODELS, "delete", before.id, before=before.document)
        return Response(None, status_code=204)


def _own(view: View, slug: str, request: Asked, verb: str) -> Resource:
    """The model that is to be changed. Raises as `writable` does, and AUTHZ_PERMISSION_DENIED for another's."""
    named = slug.removeprefix("/")
    found = seen(MODELS, view, named)
    audited(view.exchange, MODELS, verb, found.id)
    if not sight(view).manages(found):
        raise GatewayError(Code.AUTHZ_PERMISSION_DENIED, f"You may only change models {_whose(view)}.")
    return writable(MODELS, view, named, request)


def _after(view: View, before: Resource, given: ModelGiven) -> Resource:
    return msgspec.structs.replace(before, document=MODELS.document(view, given, before))


def _put(change: Change, view: View, before: Resource | None, after: Resource) -> Resource:
    kept, _ = put_in_place(MODELS, change, view, before, after)
    told = None if before is None else before.document
    audited(view.exchange, MODELS, "update" if before else "create", kept.id, before=told, after=kept.document)
    return kept


def _check_slug(view: View, slug: str) -> None:
    """Raises AUTHZ_PERMISSION_DENIED, or MODEL_ACCESS_DENIED for a key that is confined to other models."""
    wanted = Resource(kind="model", id="", origin="api", document=docs.Model(name=slug))
    if not sight(view).manages(wanted):
        raise GatewayError(Code.AUTHZ_PERMISSION_DENIED, f"You may only make models {_whose(view)}.")
    allowed = view.principal.models
    if allowed is not None and slug not in allowed:
        raise GatewayError(Code.MODEL_ACCESS_DENIED, "The API key is confined to other models.")


def _limits(view: View, given: ModelGiven, before: Resource | None) -> Limits:
    """Raises VALIDATION_ERROR for a change by those who do not set them."""
    if everywhere(view, "models:manage"):
        return given.limits
    kept = Limits() if before is None else _document(before).limits
    if given.limits not in (Limits(), kept):
        fault = Detail("limits", "are set by the platform's administrators")
        raise GatewayError(Code.VALIDATION_ERROR, details=(fault,))
    return kept


def _whose(view: View) -> str:
    tenant = view.state.get("tenant", view.acting_tenant)
    if view.tenant_id is None and MANAGING.reached(view.principal) == "partner":
        return f"whose slug begins with `partner/{view.principal.partner.name}/`, or with `tenant/` and one of yours"
    return f"whose slug begins with `tenant/{'' if tenant is None else tenant.name}/`"


def _document(resource: Resource) -> docs.Model:
    return cast("docs.Model", resource.document)
