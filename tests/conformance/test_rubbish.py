"""What is no answer is never told as one: over a real gateway, from every provider to every dialect.

Whoever asked gets a failure in its own dialect, with the request's id, and never one that blames the gateway itself.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from adapters import ADAPTERS
from scaigrid.errors import Code
from tests.conformance import stability
from tests.conformance.client import Asking, Client
from tests.conformance.dialects import CLIENTS
from tests.conformance.outside import Catalog, Named, Outside
from tests.conformance.ways import Played, Question
from tests.harness.behaviours import answer, stream
from tests.harness.provider import Behaviour, Conversation, Headers

_ASKED: Final[dict[str, Any]] = {"max_tokens": 50, "messages": [{"role": "user", "content": "Hello?"}]}
_HTML: Final = b"<!doctype html><html><body><h1>It works!</h1></body></html>"
_JSON: Final[Headers] = (("content-type", "application/json"),)
_TEXT: Final[Headers] = (("content-type", "text/html; charset=utf-8"),)
_EVENTS: Final[Headers] = (("content-type", "text/event-stream"),)
_NO_EVENT: Final = b"data: " + b"x" * 9_000_000
"""More than a decoder keeps of one event."""


async def _nothing(conversation: Conversation) -> None:
    """204: a success without an answer."""
    await conversation.head(204, ())
    conversation.complete = True


def plain(body: bytes, headers: Headers = _JSON) -> Behaviour:
    return answer(body, headers=headers)


RUBBISH: Final[Mapping[str, Behaviour]] = {
    "a page": plain(_HTML, _TEXT),
    "a page that says it is JSON": plain(_HTML),
    "JSON that is cut short": plain(b'{"id":"x","choices":[{"mess'),
    "other JSON": plain(b'{"hello":"world"}'),
    "a list": plain(b"[]"),
    "null": plain(b"null"),
    "deep JSON": plain(b"[" * 100_000),
    "text": plain(b"hello", _TEXT),
    "nothing": plain(b""),
    "no content": _nothing,
    "bytes": plain(b"\xff\xfe\x00{\xc3\x28"),
    "an error": plain(
        b'{"error":{"message":"boom","type":"server_error","code":"internal_error","status":"INTERNAL"}}'
    ),
    "an error as a text": plain(b'{"error":"boom"}'),
    "a stream of nothing": stream(b"", headers=_EVENTS),
    "a stream of comments": stream(b": hello\n\n", b": hello\n\n", headers=_EVENTS),
    "a stream of a page": stream(_HTML, headers=_EVENTS),
    "a stream of other JSON": stream(b'data: {"hello":"world"}\n\n', headers=_EVENTS),
    "a stream of broken JSON": stream(b'data: {"hello\n\n', headers=_EVENTS),
    "a stream of bytes": stream(b"data: \xff\xfe\xc3\x28\n\n", b"\xff", headers=_EVENTS),
    "a stream of an error": stream(
        b'event: error\ndata: {"type":"error","error":{"message":"boom"}}\n\n', headers=_EVENTS
    ),
    "an event without an end": stream(_NO_EVENT[:100_000], headers=_EVENTS),
}
HUGE: Final = stream(_NO_EVENT, headers=_EVENTS)


def pairs() -> list[pytest.ParameterSet]:
    return [pytest.param(name, client, id=f"{name}-{client.name}") for name, client in stability.all_pairs()]


@pytest.fixture(scope="module")
def rude(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    models = [_named(name) for name, client in stability.all_pairs() if client is CLIENTS[0]]
    with Outside(Catalog(models), tmp_path_factory.mktemp("rubbish")) as running:
        yield running


def _named(provider: str) -> Named:
    return Named.of(provider, stability.options(provider), stability.MODEL)


def asked(outside: Outside, provider: str, client: Client, behaviour: Behaviour, *, streams: bool) -> Played:
    slug = outside.slug_of(_named(provider))
    said = client.write("chat", {**_ASKED, "stream": True} if streams else _ASKED)
    question = Question(
        client.operations["chat"],
        stability.body(said, slug),
        slug,
        provider,
        stability.options(provider),
        stability.MODEL,
    )
    return outside.ask(question, behaviour, once=False)


def fault(outside: Outside, client: Client, played: Played, slug: str, *, streams: bool) -> str | None:
    """In words, what is wrong with the answer to rubbish; None where nothing is."""
    reply = played.reply
    if played.sent is None:
        return f"nobody was asked: {reply.body[:200]!r}"
    if reply.status < 400 or reply.status == 500:
        return f"{reply.status}, and a body that begins {reply.body[:200]!r}"
    failed = client.read(reply, Asking(operation="chat", slug=slug, stream=streams)).failed
    if not failed or Code.INTERNAL_ERROR in failed:
        return f"told as {sorted(failed)}"
    if outside.last.encode() not in reply.body:
        return f"no id in {reply.body[:300]!r}"
    return None


@pytest.mark.parametrize("streams", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("provider", "client"), pairs())
def test_rubbish_is_a_failure_of_the_provider(rude: Outside, provider: str, client: Client, streams: bool) -> None:
    if streams and "stream" not in ADAPTERS[provider].can:
        pytest.skip("it does not stream")
    found: list[str] = []
    for name, behaviour in RUBBISH.items():
        played = asked(rude, provider, client, behaviour, streams=streams)
        wrong = fault(rude, client, played, rude.slug_of(_named(provider)), streams=streams)
        if wrong is not None:
            found.append(f"{name}: {wrong}")
    assert not found, "\n  ".join([f"{provider} over {client.name}:", *found])


@pytest.mark.parametrize("provider", ["anthropic", "bedrock", "cohere", "custom", "google", "ollama"])
def test_an_event_that_does_not_end_is_not_kept_for_ever(rude: Outside, provider: str) -> None:
    client = CLIENTS[0]
    played = asked(rude, provider, client, HUGE, streams=True)
    assert fault(rude, client, played, rude.slug_of(_named(provider)), streams=True) is None
