"""Upstream error bodies are scrubbed (resilience, section 4): what a provider says of us reaches no client.

A provider echoes our key, our headers, its own address and a page with a stack trace, with every status and in the
middle of streams; in every dialect, plain and streamed. One sentence is passed on: what a provider finds wrong with a
request, for its sender to mend. Nothing of ours is in that.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.harness.behaviours import EVENTS, answer, completion, openai_error, openai_frames, raw, stream
from tests.harness.eventually import PATIENCE
from tests.harness.gateway import Gateway
from tests.harness.lanes import UNLIMITED, chat, secret
from tests.harness.provider import Behaviour, Endpoint, Provider

KEY: Final = "pk-echoed-by-the-provider-0123456789"
HEADER: Final = "organization-echoed-by-the-provider"
DIALECTS: Final = {
    "openai": "/oai/v1/chat/completions",
    "native": "/v1/inference/chat",
    "anthropic": "/anthropic/v1/messages",
    "responses": "/oai/v1/responses",
}
SENTENCES: Final = ("JSON", "another shape")
FAULTS: Final = (400, 404, 413, 422)
"""Which say that the request is at fault."""
STATUSES: Final = (400, 401, 413, 429, 500)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Endpoint]]:
    with Provider() as provider:
        endpoint = provider.at("/echo/v1")
        target = {"targets": [{"backend": "b"}]}
        config = {
            "partners": {"default": {"limits": UNLIMITED}},
            "tenants": {"default": {"limits": UNLIMITED}},
            "users": {"ann": {"limits": UNLIMITED}},
            "keys": {"ann": {"user": "ann", "key": secret("ann"), "limits": UNLIMITED}},
            "providers": {
                "p": {"type": "openai", "base_url": endpoint.url, "api_key": KEY, "headers": {"x-org": HEADER}}
            },
            "backends": {"b": {"provider": "p", "model": "m", "breaker": {"failures": 10_000}}},
            "models": {"m": {"unpriced": "free", "max_output_tokens": 100, "route": target}},
        }
        with Gateway(config, tmp_path_factory.mktemp("echo")) as gateway:
            yield gateway, endpoint


def said(endpoint: Endpoint) -> str:
    """What the provider says of the call that it got."""
    return (
        f"Authorization: Bearer {KEY}; x-org: {HEADER}; POST {endpoint.url}/chat/completions failed "
        f"Traceback (most recent call last): File /srv/provider/app.py, line 7"
    )


def page(endpoint: Endpoint) -> bytes:
    return f"<html><body><h1>Oops</h1><pre>{said(endpoint)}</pre></body></html>".encode()


def forms(endpoint: Endpoint, status: int) -> dict[str, Behaviour]:
    words = said(endpoint)
    return {
        "JSON": answer(openai_error(words, code=KEY, kind=HEADER), status=status),
        "a page": answer(page(endpoint), status=status, headers=[("content-type", "text/html")]),
        "a page that says it is JSON": answer(page(endpoint), status=status),
        "another shape": answer({"detail": [{"msg": words, "input": words}]}, status=status),
        "in the headers": answer(
            b"{}", status=status, headers=[("content-type", "application/json"), ("x-debug", words)]
        ),
    }


def streams(endpoint: Endpoint) -> dict[str, Behaviour]:
    words = said(endpoint)
    first = openai_frames("It ")[:2]
    return {
        "no frame": stream(*first, words.encode() + b"\n\n"),
        "no JSON": stream(*first, b"data: " + words.encode() + b"\n\n"),
        "an error frame": stream(*first, b"data: " + json.dumps(openai_error(words)).encode() + b"\n\n"),
        "an error event": stream(*first, b"event: error\ndata: " + json.dumps({"message": words}).encode() + b"\n\n"),
        "a page at once": stream(page(endpoint)),
        "no HTTP": raw(page(endpoint)),
        "a page as a stream": answer(page(endpoint), headers=EVENTS),
        "ahead of a frame": stream(*first, words.encode() + b"\n" + openai_frames("rains.")[1]),
        "a field with nearly a name": stream(*first, b"database: " + words.encode() + b"\n\n"),
    }


def answers() -> dict[str, Behaviour]:
    """Answers that are sound, and hold our key: what else they hold is the caller's."""
    first, frames = openai_frames("It ")[:2], openai_frames("rains.")
    debug = json.dumps({**completion("It rains."), "debug": f"Bearer {KEY}"}).encode()
    return {
        "a member": answer(debug),
        "the text": answer(completion(f"Bearer {KEY}")),
        "a comment": stream(*first, f": Bearer {KEY}\n\n".encode(), *frames[1:]),
        "the name of an event": stream(*first, f"event: Bearer {KEY}\n".encode() + frames[1], *frames[2:]),
        "a member of a frame": stream(*first, frames[1].replace(b'{"', b'{"debug":"' + KEY.encode() + b'","', 1)),
        "the text of a frame": stream(*first, *openai_frames(f"Bearer {KEY}")[1:]),
    }


def asked(gateway: Gateway, dialect: str, *, streamed: bool) -> httpx.Response:
    body: dict[str, Any] = chat("m", stream=streamed, max_tokens=10)
    if dialect == "responses":
        body = {"model": "m", "input": "Hello?", "stream": streamed}
    headers = {"authorization": f"Bearer {secret('ann')}"}
    return httpx.post(gateway.url + DIALECTS[dialect], json=body, headers=headers, timeout=PATIENCE)


def echoed(got: httpx.Response, endpoint: Endpoint, *, sentence: bool = False) -> list[str]:
    """What should not be in an answer; `sentence`: it may have what the provider finds wrong with the request."""
    held = [KEY, HEADER, endpoint.url, "<html>"]
    held += [] if sentence else ["Traceback", "/srv/provider", "Authorization"]
    everything = f"{got.headers} {got.text}"
    return [one for one in held if one in everything]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_that_a_provider_says_of_us_ahead_of_its_answer_is_passed_on(
    endpoint: tuple[Gateway, Endpoint], dialect: str, streamed: bool
) -> None:
    gateway, provider = endpoint
    wrong: list[str] = []
    for status in STATUSES:
        for form, behaviour in forms(provider, status).items():
            provider.always(behaviour)
            got = asked(gateway, dialect, streamed=streamed)
            if found := echoed(got, provider, sentence=form in SENTENCES and status in FAULTS):
                wrong.append(f"{status}, {form}: {found} in {got.status_code} {got.text[:300]}")
    assert wrong == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_that_it_says_in_the_middle_of_a_stream_is_passed_on(
    endpoint: tuple[Gateway, Endpoint], dialect: str
) -> None:
    gateway, provider = endpoint
    wrong: list[str] = []
    for form, behaviour in streams(provider).items():
        provider.always(behaviour)
        got = asked(gateway, dialect, streamed=True)
        if found := echoed(got, provider, sentence=form == "an error frame"):
            wrong.append(f"{form}: {found} in {got.status_code} {got.text[-300:]}")
    assert wrong == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_answer_has_our_key_in_it(endpoint: tuple[Gateway, Endpoint], dialect: str) -> None:
    gateway, provider = endpoint
    wrong: list[str] = []
    for form, behaviour in answers().items():
        provider.always(behaviour)
        got = asked(gateway, dialect, streamed=form not in ("a member", "the text"))
        if KEY in f"{got.headers} {got.text}":
            wrong.append(f"{form}: {got.status_code} {got.text[-300:]}")
    assert wrong == []


def test_the_log_has_nothing_of_it_either(endpoint: tuple[Gateway, Endpoint]) -> None:
    gateway, provider = endpoint
    for behaviour in (*forms(provider, 401).values(), *streams(provider).values()):
        provider.always(behaviour)
        asked(gateway, "openai", streamed=True)
    written = gateway.stdout + gateway.stderr
    assert [one for one in (KEY, HEADER, "<html>", "/srv/provider") if one in written] == []
