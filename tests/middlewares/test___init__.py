"""What holds for every link, each ALONE around an application that is not ours: to be registered is to be tested."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
import pytest
from starlette.middleware import Middleware as InStarlette
from starlette.requests import Request as Inner
from starlette.responses import Response, StreamingResponse

from middlewares import CHAIN
from scaigrid.asgi import Receive, Scope, Send
from scaigrid.config.strict import Strict
from scaigrid.exchange import exchange_of
from scaigrid.middleware import Link
from tests.harness.asgi import Request, passed
from tests.harness.embedded import Wire, serving
from tests.harness.eventually import PATIENCE
from tests.harness.services import BEARER, Parts
from tests.middlewares.bare import CHAT, INNER, Bare, alone, exchange

CALL: Final = b'{"model": "acme/chat", "messages": [{"role": "user", "content": "Hi"}]}'
NAMES = [link.name for link in CHAIN]
ADDS: dict[str, set[str]] = {
    "request_id": {"x-request-id"},
    "rate_limit": {"x-scaigrid-ratelimit-limit", "x-scaigrid-ratelimit-remaining", "x-scaigrid-ratelimit-reset"},
}
"""The headers that a link adds to an answer of somebody else; every other adds none."""


@pytest.fixture
def parts() -> Parts:
    """With a limit for those who come without a key, too."""
    return Parts(tenants={"default": {"limits": {"requests_per_minute": 9}}})


# -- the list --------------------------------------------------------------------------------------------------------


def test_the_links_stand_in_the_one_right_order() -> None:
    assert [(link.name, link.place) for link in CHAIN] == [
        ("request_id", "edge"),
        ("errors", "edge"),
        ("access_log", "edge"),
        ("audit", "edge"),
        ("timeline", "edge"),
        ("tenancy", "edge"),
        ("overload", "call"),
        ("intake", "call"),
        ("idempotency", "call"),
        ("rate_limit", "call"),
        ("budget", "call"),
        ("route_resolve", "call"),
    ]


def test_a_link_is_named_after_its_file_and_is_all_that_is_in_it() -> None:
    for link in CHAIN:
        assert isinstance(link.make, type)
        assert link.make.__module__ == link.config.__module__ == f"middlewares.{link.name}"
        assert link.config.__name__ == f"{link.make.__name__}Config"


@pytest.mark.parametrize("link", CHAIN, ids=NAMES)
def test_a_link_is_configured_by_a_strict_section_that_may_be_left_out(link: Link[Any]) -> None:
    assert issubclass(link.config, Strict)
    assert msgspec.convert({}, link.config) == link.config()
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"made_up": 1}, link.config)


def test_only_those_that_may_be_off_can_be() -> None:
    """What says who calls, what failed and what was asked has no switch."""
    switches = {link.name: link.config() for link in CHAIN if "enabled" in link.config.__struct_fields__}
    assert sorted(switches) == ["access_log", "audit", "budget", "idempotency", "rate_limit", "timeline"]
    assert all(msgspec.structs.asdict(section)["enabled"] for section in switches.values())


def test_the_edge_is_outside_of_every_call() -> None:
    places = [link.place for link in CHAIN]
    assert places == ["edge"] * places.count("edge") + ["call"] * places.count("call")


# -- each link alone -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
async def test_a_lifespan_passes_untouched(parts: Parts, name: str) -> None:
    bare = Bare()
    scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    said = await passed(
        alone(name, bare.app, parts), scope, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}
    )
    assert [message["type"] for message in said] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert bare.events == ["begins", "ends"]
    assert scope["state"] == {"from": "the lifespan"}


@pytest.mark.parametrize("name", NAMES)
async def test_a_websocket_passes_untouched(parts: Parts, name: str) -> None:
    scope: dict[str, Any] = {
        "type": "websocket",
        "path": "/socket",
        "headers": [],
        "query_string": b"",
        "subprotocols": [],
    }
    said = await passed(
        alone(name, Bare().app, parts),
        scope,
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "abc"},
    )
    assert [message["type"] for message in said] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert said[1]["text"] == "cba"
    assert exchange_of(scope) is None


@pytest.mark.parametrize("name", NAMES)
async def test_a_stream_passes_piece_by_piece(parts: Parts, name: str) -> None:
    """Each gate opens only once everything ahead of it was sent, so whoever collects never ends."""
    bare, request = Bare(), Request("/stream", headers=BEARER)
    running = request.start(alone(name, bare.app, parts))
    assert await request.got(1) == [b"one"]
    bare.gates[0].set()
    assert await request.got(2) == [b"one", b"two"]
    assert not request.complete
    bare.gates[1].set()
    await running
    assert request.pieces == [b"one", b"two", b"three"]
    assert request.complete


@pytest.mark.parametrize("path", ["/plain", "/stream", "/nowhere"])
@pytest.mark.parametrize("name", NAMES)
async def test_somebody_else_s_answer_is_left_alone_but_for_added_headers(parts: Parts, name: str, path: str) -> None:
    bare = Bare()
    bare.open()
    plain = await Request(path, headers=BEARER).through(bare.app)
    linked = await Request(path, headers=BEARER).through(alone(name, bare.app, parts))
    assert (linked.status, linked.pieces, linked.complete) == (plain.status, plain.pieces, True)
    added = linked.headers[len(plain.headers) :]
    assert linked.headers[: len(plain.headers)] == plain.headers
    assert {header for header, _ in added} == ADDS.get(name, set())


@pytest.mark.parametrize("name", NAMES)
async def test_two_requests_at_once_do_not_mix(parts: Parts, name: str) -> None:
    """Both are under way, in the middle of their streams, before either ends."""
    bares = {"/stream": Bare(), "/stream/": Bare()}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await bares[scope["path"]].app({**scope, "path": "/stream"}, receive, send)

    linked = alone(name, app, parts)
    ids = ["first-request", "second-request"]
    requests = [
        Request(path, headers={**BEARER, "x-request-id": wanted}) for path, wanted in zip(bares, ids, strict=True)
    ]
    running = [request.start(linked) for request in requests]
    for request in requests:
        await request.got(1)
    found = [exchange(request) for request in requests]
    assert [one.request_id for one in found] == ids
    for bare, task in reversed(list(zip(bares.values(), running, strict=True))):
        bare.open()
        await task
    assert [one.path for one in found] == list(bares)
    assert [request.pieces for request in requests] == [[b"one", b"two", b"three"]] * 2
    assert [one.bytes_sent for one in found] == [11, 11]
    if name == "request_id":
        assert [request.header("x-request-id") for request in requests] == ids


@pytest.mark.parametrize("name", NAMES)
async def test_a_link_keeps_nothing_of_a_request(parts: Parts, name: str) -> None:
    """An instance has its configuration and the services; what a request leaves in it another one would find."""
    linked = alone(name, Bare().app, parts)
    before = dict(vars(linked))
    await Request("/plain", headers=BEARER).through(linked)
    assert vars(linked) == before


@pytest.mark.parametrize("name", NAMES)
async def test_a_link_stands_in_starlette_s_own_list_too(parts: Parts, name: str) -> None:
    link: Link[Any] = next(one for one in CHAIN if one.name == name)
    within = InStarlette(link.make, link.config(), parts.services)
    request = await Request("/plain", headers=BEARER).through(Bare(inside=[within]).app)
    assert (request.status, request.body, request.header("x-inner")) == (202, b"POST plain", INNER["x-inner"])
    assert ADDS.get(name, set()) <= {header for header, _ in request.headers}


@pytest.mark.parametrize("name", NAMES)
async def test_a_cancelled_request_is_cancelled(parts: Parts, name: str) -> None:
    """A server that stops, or a client's task that is thrown away, is no failure to be answered."""
    request = Request("/stream", headers=BEARER)
    running = request.start(alone(name, Bare().app, parts))
    await request.got(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert request.pieces == [b"one"]
    assert not request.complete


def orders() -> Sequence[tuple[str, str]]:
    return [(outer, inner) for outer in NAMES for inner in NAMES if outer != inner]


@pytest.mark.parametrize(("outer", "inner"), orders())
async def test_any_two_links_share_one_exchange(parts: Parts, outer: str, inner: str) -> None:
    """Whichever stands outside opens it; the answer is counted once."""
    linked = alone(outer, alone(inner, Bare().app, parts), parts)
    request = await Request("/plain", headers=BEARER).through(linked)
    found = exchange_of(request.scope)
    assert found is not None
    assert found.bytes_sent == len(b"POST plain")
    names = [header for header, _ in request.headers]
    assert len(names) == len(set(names))
    assert ADDS.get(outer, set()) | ADDS.get(inner, set()) <= set(names)


# -- each link alone, behind a real server ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
async def test_over_a_socket_too_a_stream_passes_piece_by_piece(parts: Parts, name: str) -> None:
    bare = Bare()
    async with serving(alone(name, bare.app, parts)) as port, Wire(port) as wire:
        assert bare.events == ["begins"]
        await wire.ask("POST", "/stream", BEARER)
        assert await wire.reads(b"one")
        assert b"two" not in wire.got
        bare.gates[0].set()
        assert await wire.reads(b"two")
        assert b"three" not in wire.got
        bare.gates[1].set()
        assert await wire.reads(b"three")
        assert await wire.reads(b"0\r\n\r\n")
    assert bare.events == ["begins", "ends"]


@pytest.mark.parametrize("path", ["/do", CHAT])
@pytest.mark.parametrize("name", NAMES)
async def test_an_application_learns_that_its_client_has_left(parts: Parts, name: str, path: str) -> None:
    """Also where a link has read the body already, and hands it out again."""
    left = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.get_running_loop().create_future()
        finally:
            left.set()

    async def streams(_: Inner) -> Response:
        return StreamingResponse(endless())

    async with serving(alone(name, Bare(streams).app, parts)) as port:
        async with Wire(port) as wire:
            await wire.ask("POST", path, BEARER, CALL)
            assert await wire.reads(b"one")
            assert not left.is_set()
        async with asyncio.timeout(PATIENCE):
            await left.wait()
