"""Keys are made, rotated and revoked: the only answers that tell what opens, and how it is taken back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Response, post
from litestar.params import FromPath
from msgspec import Meta

from scaigrid.api.authority import Authority
from scaigrid.api.body import read_body
from scaigrid.api.crud import Asked, audited, described, put_in_place, writable
from scaigrid.api.handling import Provided, exchange_in
from scaigrid.api.key_bounds import KeyBounds
from scaigrid.api.query import NoQuery, read_query
from scaigrid.api.recording import Trying, changing
from scaigrid.api.resources import examples
from scaigrid.api.resources.api_keys import HOLDING, ApiKeyGiven, ApiKeyItem, ApiKeys, status_of
from scaigrid.api.view import View, view_of
from scaigrid.control import documents as docs
from scaigrid.control import key_secrets
from scaigrid.control.follower import Control
from scaigrid.control.resource import Resource
from scaigrid.dialects.shapes import RequestShape
from scaigrid.errors import Code, GatewayError
from scaigrid.ids import new_id
from scaigrid.middleware import Services
from scaigrid.roles import Reach

KEYS = ApiKeys()


class ApiKeyMade(ApiKeyItem, kw_only=True):
    """A key with what opens, which no other answer tells."""

    key: str
    """Keep it where secrets are kept: only its SHA-256 stays here."""


class RotationGiven(RequestShape):
    """How a key is rotated."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=2_592_000)] = 0
    """For how long the text that is replaced still opens. One that was replaced earlier opens no more at once."""


EXAMPLE_MADE = ApiKeyMade(**msgspec.structs.asdict(KEYS.example_item), key="sgk_Vq3xT0aB" + "x" * 35)
EXAMPLE_ROTATION = RotationGiven(overlap_seconds=3600)
EXAMPLE_REVOKED = msgspec.structs.replace(KEYS.example_item, status="revoked", id=examples.id_of("apikey"))


@post("/v1/api-keys", guards=[Trying("api_key", "create"), HOLDING], status_code=201)
async def make_key(
    request: Asked, services: Provided[Services], control: Provided[Control], adapters: Provided[Any]
) -> Response[bytes]:
    read_query(request, NoQuery)
    given = read_body(request, await request.body(), ApiKeyGiven)
    text = key_secrets.new_key()
    async with changing(exchange_in(request), control, 201) as change:
        view = view_of(request, change.state, services, control, adapters)
        document = KEYS.document(view, given, None)
        bounds = KeyBounds(view, document.user_id)
        document = msgspec.structs.replace(
            bounds.inherited(document),
            sha256=key_secrets.digest(text),
            prefix=key_secrets.prefix(text),
            reach=_reach(view, document.user_id),
        )
        bounds.may_make(document)
        fresh = Resource(kind="api_key", id=new_id("apikey", services.clock), origin="api", document=document)
        kept, view = put_in_place(KEYS, change, view, None, fresh)
        item = KEYS.described(view, kept)
        audited(view.exchange, KEYS, "create", kept.id, after=item)
    return _with_text(view, kept, item, text.reveal(), 201)


@post("/v1/api-keys/{id_:str}/rotate", guards=[Trying("api_key", "rotate"), HOLDING], status_code=200)
async def rotate_key(
    request: Asked,
    id_: FromPath[str],
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
) -> Response[bytes]:
    read_query(request, NoQuery)
    given = read_body(request, await request.body() or b"{}", RotationGiven)
    text = key_secrets.new_key()

    def rotated(view: View, resource: Resource) -> docs.ApiKey:
        key = view.state.document(docs.ApiKey, resource.id)
        now = view.services.clock.now()
        status = status_of(key, now)
        if status != "active":
            raise GatewayError(Code.CONFLICT, f"The key is {status}: make another one.")
        KeyBounds(view, key.user_id).may_open(resource.id, key)
        overlaps = given.overlap_seconds > 0
        until = datetime.fromtimestamp(now, UTC) + timedelta(seconds=given.overlap_seconds)
        return msgspec.structs.replace(
            key,
            sha256=key_secrets.digest(text),
            prefix=key_secrets.prefix(text),
            reach=_reach(view, key.user_id),
            previous_sha256=key.sha256 if overlaps else None,
            previous_until=until if overlaps else None,
        )

    view, kept = await _changed(request, id_, "rotate", rotated, services=services, control=control, adapters=adapters)
    view = await KEYS.informed(view, (kept,))
    return _with_text(view, kept, KEYS.described(view, kept), text.reveal())


@post("/v1/api-keys/{id_:str}/revoke", guards=[Trying("api_key", "revoke"), HOLDING], status_code=200)
async def revoke_key(
    request: Asked,
    id_: FromPath[str],
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Any],
) -> Response[bytes]:
    read_query(request, NoQuery)

    def revoked(view: View, resource: Resource) -> docs.ApiKey:
        key = view.state.document(docs.ApiKey, resource.id)
        return msgspec.structs.replace(key, revoked=True, previous_sha256=None, previous_until=None)

    view, kept = await _changed(request, id_, "revoke", revoked, services=services, control=control, adapters=adapters)
    return described(KEYS, await KEYS.informed(view, (kept,)), kept)


async def _changed(
    request: Asked,
    id_: str,
    verb: str,
    made: Callable[[View, Resource], docs.ApiKey],
    *,
    services: Services,
    control: Control,
    adapters: Any,
) -> tuple[View, Resource]:
    async with changing(exchange_in(request), control) as change:
        view = view_of(request, change.state, services, control, adapters)
        before = writable(KEYS, view, id_, request)
        told = KEYS.described(view, before)
        # Judged by nothing else: a model of its list may be gone by now, and a key must be taken back all the same.
        kept = change.put(msgspec.structs.replace(before, document=made(view, before)))
        view = msgspec.structs.replace(view, state=change.state)
        audited(view.exchange, KEYS, verb, kept.id, before=told, after=KEYS.described(view, kept))
    return view, kept


def _reach(view: View, user_id: str) -> Reach | None:
    """Whoever learns a key gets by it no farther than it gets now, whatever the user of the key becomes."""
    if user_id != view.principal.user.id:
        reach = Authority(view).reach
        return None if reach == "platform" else reach
    asking = view.principal.key
    # A user's own word lifts what holds for a key that somebody else may know; such a key's word does not.
    return None if asking is None else view.state.document(docs.ApiKey, asking.id).reach


def _with_text(view: View, kept: Resource, item: ApiKeyItem, text: str, status: int = 200) -> Response[bytes]:
    made = ApiKeyMade(**msgspec.structs.asdict(item), key=text)
    answer = described(KEYS, view, kept, status, made)
    answer.set_header("cache-control", "no-store")
    return answer


HANDLERS = (make_key, rotate_key, revoke_key)
