"""`/v1/groups/{id}/members/{user_id}`: one member more, or one less, without sending all of them."""

from typing import Any

import msgspec
from litestar import Response, delete, put
from litestar.params import FromPath

from scaigrid.api.crud import Asked, audited, described, put_in_place, recorded, writable
from scaigrid.api.handling import Provided, exchange_in
from scaigrid.api.query import NoQuery, read_query
from scaigrid.api.recording import Trying, changing
from scaigrid.api.resources.groups import Groups
from scaigrid.api.resources.users import MANAGING
from scaigrid.api.view import View, missing, view_of
from scaigrid.control import documents as docs
from scaigrid.control.follower import Control
from scaigrid.control.resource import Resource
from scaigrid.control.store import Change
from scaigrid.middleware import Services

_GROUPS = Groups()


@put("/v1/groups/{id_:str}/members/{user_id:str}", guards=[Trying("group", "add_member"), MANAGING])
async def add_member(
    request: Asked,
    id_: FromPath[str],
    user_id: FromPath[str],
    *,
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
) -> Response[bytes]:
    read_query(request, NoQuery)
    async with changing(exchange_in(request), control) as change:
        view = view_of(request, change.state, services, control, adapters)
        before = writable(_GROUPS, view, id_, request)
        user = view.known("user", user_id, "user_id")
        members = change.state.document(docs.Group, before.id).user_ids
        kept = before
        if user.id not in members:
            kept, view = _with_members(change, view, before, (*members, user.id), "add_member")
    return described(_GROUPS, view, kept)


@delete(
    "/v1/groups/{id_:str}/members/{user_id:str}", guards=[Trying("group", "remove_member"), MANAGING], status_code=204
)
async def remove_member(
    request: Asked,
    id_: FromPath[str],
    user_id: FromPath[str],
    *,
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
) -> Response[None]:
    read_query(request, NoQuery)
    async with changing(exchange_in(request), control, 204) as change:
        view = view_of(request, change.state, services, control, adapters)
        before = writable(_GROUPS, view, id_, request)
        members = change.state.document(docs.Group, before.id).user_ids
        if user_id not in members:
            raise missing("user", "user_id")
        rest = tuple(member for member in members if member != user_id)
        _with_members(change, view, before, rest, "remove_member")
    return Response(None, status_code=204)


def _with_members(
    change: Change, view: View, before: Resource, members: tuple[str, ...], verb: str
) -> tuple[Resource, View]:
    told = _GROUPS.described(view, before)
    group = msgspec.structs.replace(change.state.document(docs.Group, before.id), user_ids=members)
    after = msgspec.structs.replace(before, document=group)
    kept, view = put_in_place(_GROUPS, change, view, before, after)
    item = recorded(_GROUPS.described(view, kept), view.also)
    audited(view.exchange, _GROUPS, verb, kept.id, before=told, after=item)
    return kept, view


HANDLERS = (add_member, remove_member)
