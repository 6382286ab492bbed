import pytest

from scaigrid.exchange import exchange_of
from scaigrid.middleware import begin
from tests.harness.asgi import Request
from tests.harness.services import Parts


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/oai/v1/chat/completions", "openai"),
        ("/oai/v1", "openai"),
        ("/oai/v1/", "openai"),
        ("/oai/v1x", "native"),
        ("/oai/v2/chat", "native"),
        ("/v1/inference/chat", "native"),
        ("/health", "native"),
        ("/", "native"),
        ("", "native"),
    ],
)
def test_the_dialect_with_the_longest_prefix_speaks_for_a_path(parts: Parts, path: str, name: str) -> None:
    assert parts.services.dialect_of(path).name == name


def test_a_link_that_stands_alone_opens_the_exchange(parts: Parts) -> None:
    request = Request("/oai/v1/models", "GET")
    exchange, send = begin(request.scope, request.send, parts.services, "test")
    assert exchange_of(request.scope) is exchange
    assert send is not request.send
    assert (exchange.method, exchange.path, exchange.dialect.name) == ("GET", "/oai/v1/models", "openai")
    assert (exchange.started, exchange.started_at) == (parts.clock.monotonic(), parts.clock.now())
    assert exchange.principal is parts.snapshot.anonymous
    assert not exchange.authenticated


def test_a_link_further_in_finds_it_open(parts: Parts) -> None:
    request = Request()
    exchange, send = begin(request.scope, request.send, parts.services, "test")
    again, same = begin(request.scope, send, parts.services, "test")
    assert again is exchange
    assert same is send


async def test_so_the_answer_is_noted_once(parts: Parts) -> None:
    request = Request()
    exchange, send = begin(request.scope, request.send, parts.services, "test")
    _, send = begin(request.scope, send, parts.services, "test")
    exchange.response_headers.append((b"x-from-a-link", b"1"))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"abc"})
    assert request.headers == [("x-from-a-link", "1")]
    assert exchange.bytes_sent == 3


@pytest.mark.parametrize("sent", ["12345678", "a.b_c:d-e", "x" * 128])
def test_a_caller_s_own_id_is_kept(parts: Parts, sent: str) -> None:
    request = Request(headers={"X-Request-ID": sent})
    assert begin(request.scope, request.send, parts.services, "test")[0].request_id == sent


@pytest.mark.parametrize("sent", ["", "1234567", "x" * 129, "with space", "semi;colon", "new\nline8"])
def test_what_is_no_id_is_replaced(parts: Parts, sent: str) -> None:
    request = Request(headers={"X-Request-ID": sent})
    made = begin(request.scope, request.send, parts.services, "test")[0].request_id
    assert made.startswith("req_")
    assert made != sent


def test_each_request_sees_the_configuration_of_its_beginning(parts: Parts) -> None:
    """A new one is swapped in whole, and changes nothing for the requests under way."""
    request, later = Request(), Request()
    before, _ = begin(request.scope, request.send, parts.services, "test")
    fresh = Parts().snapshot
    parts.services.current.snapshot = fresh
    after, _ = begin(later.scope, later.send, parts.services, "test")
    assert before.snapshot is parts.snapshot
    assert after.snapshot is fresh
