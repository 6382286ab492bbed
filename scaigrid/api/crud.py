"""A collection -> its routes: list, make, get, replace, amend, remove; validated whole, audited, with ETags.

Every read is of the state that the database has now, so that what was written through another worker is seen; every
change is judged against the state under the lock, and is in force in this worker when its answer leaves.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from litestar import Request, Response, Router, delete, patch, post, put, route
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath

from scaigrid.api.body import check_writable, etag, merged, read_body
from scaigrid.api.collection import Collection, PageQuery
from scaigrid.api.envelope import enveloped, listed
from scaigrid.api.handling import READ, Provided, exchange_in
from scaigrid.api.query import NoQuery, read_query
from scaigrid.api.recording import Trying, changing, concerns, noted
from scaigrid.api.view import View, missing, view_of
from scaigrid.control.follower import Control
from scaigrid.control.kinds import KINDS, Reference
from scaigrid.control.resource import Resource
from scaigrid.control.rules import faults, in_use
from scaigrid.control.store import Change
from scaigrid.cursor import Cursor
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.exchange import Exchange
from scaigrid.ids import new_id
from scaigrid.middleware import Services

Asked = Request[Any, Any, Any]

_CURSOR = Cursor(str)
_json = msgspec.json.Encoder().encode


def router(collection: Collection[Any, Any]) -> Router:
    """The routes of a collection, each with what it asks of its caller."""
    handlers: list[BaseRouteHandler] = []
    for name, made in (
        ("list", _listing),
        ("make", _making),
        ("get", _getting),
        ("replace", _replacing),
        ("amend", _amending),
        ("remove", _removing),
    ):
        if name in collection.methods:
            handlers.append(made(collection))
    return Router(collection.path, route_handlers=handlers)


def _listing(collection: Collection[Any, Any]) -> BaseRouteHandler:
    @route("/", http_method=READ, guards=[collection.reading])
    async def listing(
        request: Asked, services: Provided[Services], control: Provided[Control], adapters: Provided[Any]
    ) -> Response[bytes]:
        wanted: PageQuery = read_query(request, collection.query)
        after = _CURSOR.read(wanted.cursor)
        view = view_of(request, await control.refresh(), services, control, adapters)
        shown = [resource for resource in view.state.all(collection.kind).values() if collection.shows(view, resource)]
        fitting = sorted(collection.found(view, shown, wanted), key=_id)
        page, more = _page(fitting, wanted.limit, after)
        view = await collection.informed(view, page)
        items = [collection.described(view, resource) for resource in page]
        return _answer(listed(view.exchange, items, _CURSOR.write(page[-1].id) if more else None))

    return listing


def _making(collection: Collection[Any, Any]) -> BaseRouteHandler:
    @post("/", guards=[Trying(collection.kind, "create"), collection.making], status_code=201)
    async def make(
        request: Asked, services: Provided[Services], control: Provided[Control], adapters: Provided[Any]
    ) -> Response[bytes]:
        read_query(request, NoQuery)
        given = read_body(request, await request.body(), collection.given)
        async with changing(exchange_in(request), control, 201) as change:
            view = view_of(request, change.state, services, control, adapters)
            id_ = new_id(KINDS[collection.kind].prefix, services.clock)
            view = msgspec.structs.replace(view, new_id=id_)
            document = collection.document(view, given, None)
            id_ = collection.id_for(document, id_)
            if change.state.get(collection.kind, id_) is not None:
                raise GatewayError(Code.CONFLICT, f"There is such a {KINDS[collection.kind].title} already.")
            fresh = Resource(kind=collection.kind, id=id_, origin="api", document=document)
            written = _written(collection, change, view, None, fresh)
        return await _told(collection, written, 201)

    return make


def _getting(collection: Collection[Any, Any]) -> BaseRouteHandler:
    @route("/{id_:str}", http_method=READ, guards=[collection.reading])
    async def one(
        request: Asked,
        id_: FromPath[str],
        services: Provided[Services],
        control: Provided[Control],
        adapters: Provided[Any],
    ) -> Response[bytes]:
        read_query(request, NoQuery)
        view = view_of(request, await control.refresh(), services, control, adapters)
        resource = seen(collection, view, id_)
        return described(collection, await collection.informed(view, (resource,)), resource)

    return one


def _replacing(collection: Collection[Any, Any]) -> BaseRouteHandler:
    @put("/{id_:str}", guards=[Trying(collection.kind, "update"), collection.changing])
    async def replace(
        request: Asked,
        id_: FromPath[str],
        services: Provided[Services],
        control: Provided[Control],
        adapters: Provided[Any],
    ) -> Response[bytes]:
        read_query(request, NoQuery)
        given = read_body(request, await request.body(), collection.given)
        async with changing(exchange_in(request), control) as change:
            view = view_of(request, change.state, services, control, adapters)
            before = writable(collection, view, id_, request)
            written = _changed(collection, change, view, before, given)
        return await _told(collection, written)

    return replace


def _amending(collection: Collection[Any, Any]) -> BaseRouteHandler:
    @patch("/{id_:str}", guards=[Trying(collection.kind, "update"), collection.changing])
    async def amend(
        request: Asked,
        id_: FromPath[str],
        services: Provided[Services],
        control: Provided[Control],
        adapters: Provided[Any],
    ) -> Response[bytes]:
        read_query(request, NoQuery)
        body = await request.body()
        async with changing(exchange_in(request), control) as change:
            view = view_of(request, change.state, services, control, adapters)
            before = writable(collection, view, id_, request)
            whole = merged(request, body, collection.given_of(view, before), collection.given)
            given = read_body(request, whole, collection.given)
            written = _changed(collection, change, view, before, given)
        return await _told(collection, written)

    return amend


def _removing(collection: Collection[Any, Any]) -> BaseRouteHandler:
    @delete("/{id_:str}", guards=[Trying(collection.kind, "delete"), collection.removing], status_code=204)
    async def remove(
        request: Asked,
        id_: FromPath[str],
        services: Provided[Services],
        control: Provided[Control],
        adapters: Provided[Any],
    ) -> Response[None]:
        read_query(request, NoQuery)
        async with changing(exchange_in(request), control, 204) as change:
            view = view_of(request, change.state, services, control, adapters)
            before = writable(collection, view, id_, request)
            _refuse(collection.judged(view, before, None))
            # In a thread: with ten thousand tenants it takes longer than a stream may wait.
            await asyncio.to_thread(in_use, before, change.state)
            told = collection.described(view, before)
            also = _along(collection, change, view, before, None)
            change.delete(before)
            after = recorded(None, also) if also else None
            audited(view.exchange, collection, "delete", before.id, before=told, after=after)
        return Response(None, status_code=204)

    return remove


# -- the steps, for routes that a collection makes itself ------------------------------------------------------------


def seen(collection: Collection[Any, Any], view: View, id_: str) -> Resource:
    """The resource of that id. Raises the kind's 404 for what is not there or not shown to the caller."""
    resource = collection.found_by(view, id_)
    if resource is None or not collection.shows(view, resource):
        raise missing(collection.kind)
    concerns(view.exchange, view.state, resource)
    return resource


def writable(collection: Collection[Any, Any], view: View, id_: str, request: Asked) -> Resource:
    """The resource that is to be changed. Raises 404, 403, MANAGED_BY_CONFIG, or PRECONDITION_FAILED by `If-Match`."""
    resource = seen(collection, view, id_)
    if not collection.may_change(view, resource):
        title = resource.is_a.title
        raise GatewayError(Code.AUTHZ_PERMISSION_DENIED, f"Your roles do not go far enough to change this {title}.")
    check_writable(request, resource)
    return resource


def put_in_place(
    collection: Collection[Any, Any], change: Change, view: View, before: Resource | None, after: Resource
) -> tuple[Resource, View]:
    """Judges what would be, and puts it in place; answers it with the view of the state that it is in.

    Raises GatewayError with every fault.
    """
    known: set[Reference] = set() if before is None else set(before.is_a.references(before.document))
    for reference in after.is_a.references(after.document):
        if reference not in known:
            found = change.state.get(reference.kind, reference.id)
            if found is None or not collection.may_refer(view, found):
                raise missing(reference.kind, reference.field)
    concerns(view.exchange, change.state, after)
    _refuse((*faults(after, change.state, view.adapters), *collection.judged(view, before, after)))
    also = _along(collection, change, view, before, after)
    kept = change.put(after)
    return kept, msgspec.structs.replace(view, state=change.state, also=also)


def described(
    collection: Collection[Any, Any], view: View, resource: Resource, status: int = 200, item: Any = None
) -> Response[bytes]:
    """The resource as an answer, with its ETag."""
    told = collection.described(view, resource) if item is None else item
    headers = {"etag": etag(resource)}
    if status == 201:
        headers["location"] = f"{collection.path}/{resource.id}"
    return _answer(enveloped(view.exchange, told), headers, status)


def audited(
    exchange: Exchange,
    collection: Collection[Any, Any],
    verb: str,
    id_: str | None,
    *,
    before: Any = None,
    after: Any = None,
) -> None:
    """Notes for the audit log what was done to which resource."""
    noted(exchange, collection.kind, verb, id_, before=before, after=after)


def recorded(item: Any, also: Sequence[Resource]) -> Any:
    """What the audit log is told of a resource as it is now: with `also_changed` where others changed along with it."""
    if not also:
        return item
    # A credential is no JSON: where one came this way, it would stand there as ***.
    changed = [
        {"type": one.kind, "id": one.id, "document": msgspec.to_builtins(one.document, enc_hook=str)} for one in also
    ]
    told: dict[str, Any] = {} if item is None else msgspec.to_builtins(item, str_keys=True)
    return {**told, "also_changed": changed}


def _along(
    collection: Collection[Any, Any], change: Change, view: View, before: Resource | None, after: Resource | None
) -> tuple[Resource, ...]:
    also = tuple(collection.along(view, before, after))
    for resource in also:
        _refuse(faults(resource, change.state, view.adapters))
        change.put(resource)
    return also


class _Written(NamedTuple):
    """A resource as it is kept, and the view of the state that it is in."""

    view: View
    resource: Resource


def _changed(collection: Collection[Any, Any], change: Change, view: View, before: Resource, given: Any) -> _Written:
    after = msgspec.structs.replace(before, document=collection.document(view, given, before))
    return _written(collection, change, view, before, after)


def _written(
    collection: Collection[Any, Any],
    change: Change,
    view: View,
    before: Resource | None,
    after: Resource,
) -> _Written:
    told = None if before is None else collection.described(view, before)
    kept, view = put_in_place(collection, change, view, before, after)
    item = recorded(collection.described(view, kept), view.also)
    audited(view.exchange, collection, "create" if before is None else "update", kept.id, before=told, after=item)
    return _Written(view, kept)


async def _told(collection: Collection[Any, Any], written: _Written, status: int = 200) -> Response[bytes]:
    """What was written, as the answer once it is in force."""
    view, resource = written
    return described(collection, await collection.informed(view, (resource,)), resource, status)


def _refuse(found: Iterable[Detail]) -> None:
    details = tuple(found)
    if details:
        raise GatewayError(Code.VALIDATION_ERROR, details=details)


def _page(resources: Sequence[Resource], limit: int, after: str | None) -> tuple[Sequence[Resource], bool]:
    rest = resources if after is None else [resource for resource in resources if resource.id > after]
    return rest[:limit], len(rest) > limit


def _id(resource: Resource) -> str:
    return resource.id


def _answer(body: Any, headers: dict[str, str] | None = None, status: int = 200) -> Response[bytes]:
    return Response(_json(body), status_code=status, headers=headers, media_type="application/json")
