"""Outbound calls that users can aim refuse private ranges (resilience, section 4): today there are none at all.

An address in a call (of an image, a file, a document, an audio) is the provider's to fetch, or is refused; the gateway
itself asks nobody but the providers and issuers of its operator. Whatever fetches on behalf of users later joins here.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.harness.behaviours import answer, anthropic_message, completion, redirect
from tests.harness.eventually import PATIENCE
from tests.harness.gateway import Gateway
from tests.harness.lanes import UNLIMITED, secret
from tests.harness.provider import Conversation, Endpoint, Provider
from tests.harness.responses import message, response

SURFACES: Final = ("openai", "native", "anthropic", "responses")
TYPES: Final = ("openai", "anthropic", "google", "mistral", "bedrock")
"""Of providers, with what they need besides an address."""
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "bedrock": {
        "options": {"region": "us-east-1"},
        "credentials": {"access_key_id": "a" * 16, "secret_access_key": "s"},
    },
}


def calls(url: str, surface: str) -> dict[str, dict[str, Any]]:
    """Each way to put an address into a call."""
    if surface == "anthropic":
        blocks: list[dict[str, Any]] = [
            {"type": "image", "source": {"type": "url", "url": url}},
            {"type": "document", "source": {"type": "url", "url": url}},
        ]
    elif surface == "responses":
        blocks = [
            {"type": "input_image", "image_url": url},
            {"type": "input_file", "file_url": url},
            {"type": "input_file", "filename": "a.pdf", "file_data": url},
        ]
    elif surface == "openai":
        blocks = [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "file", "file": {"file_data": url, "filename": "a.pdf"}},
            {"type": "input_audio", "input_audio": {"data": url, "format": "wav"}},
        ]
    else:
        blocks = [{"type": kind, "url": url} for kind in ("image", "file", "audio")]
    made: dict[str, dict[str, Any]] = {}
    for place, block in enumerate(blocks):
        content = [block, {"type": "input_text" if surface == "responses" else "text", "text": "What is it?"}]
        turn = [{"role": "user", "content": content}]
        body = {"input": turn} if surface == "responses" else {"messages": turn, "max_tokens": 10}
        made[f"{block['type']} {place}"] = body
    return made


PATHS: Final = {
    "openai": "/oai/v1/chat/completions",
    "native": "/v1/inference/chat",
    "anthropic": "/anthropic/v1/messages",
    "responses": "/oai/v1/responses",
}


class Aimed:
    """A gateway, its providers, and the target that nobody may ask."""

    def __init__(self, gateway: Gateway, target: Endpoint, providers: Provider) -> None:
        self.gateway = gateway
        self.target = target
        self.providers = providers

    def ask(self, surface: str, body: dict[str, Any], model: str, **headers: str) -> httpx.Response:
        given = {"authorization": f"Bearer {secret('ann')}", **headers}
        return httpx.post(
            self.gateway.url + PATHS[surface], json={**body, "model": model}, headers=given, timeout=PATIENCE
        )


async def _whatever(conversation: Conversation) -> None:
    """An answer for whoever asks, in the shape that the path suggests."""
    path = conversation.request.path
    if "messages" in path:
        await answer(anthropic_message())(conversation)
    elif "responses" in path:
        await answer(response(message("Fine.")))(conversation)
    else:
        await answer(completion())(conversation)


@pytest.fixture(scope="module")
def aimed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aimed]:
    with Provider() as provider, Provider() as elsewhere:
        target = elsewhere.at("/private").always(answer(b"secret of a private network"))
        url = provider.at("/aim/v1").always(_whatever).url
        config: dict[str, Any] = {
            "partners": {"default": {"limits": UNLIMITED}},
            "tenants": {"default": {"limits": UNLIMITED}},
            "users": {"ann": {"limits": UNLIMITED}},
            "keys": {"ann": {"user": "ann", "key": secret("ann"), "limits": UNLIMITED}},
            "providers": {
                name: {"type": name, "base_url": url, **SETTINGS.get(name, {"api_key": "provider-key"})}
                for name in TYPES
            },
            "backends": {name: {"provider": name, "model": "upstream-model"} for name in TYPES},
            "models": {
                name: {"unpriced": "free", "max_output_tokens": 100, "route": {"targets": [{"backend": name}]}}
                for name in TYPES
            },
        }
        with Gateway(config, tmp_path_factory.mktemp("aim")) as gateway:
            yield Aimed(gateway, target, provider)
            assert [line for line in gateway.lines() if line["event"] == "unexpected_error"] == []


@pytest.mark.parametrize("surface", SURFACES)
def test_no_address_of_a_caller_is_ever_asked(aimed: Aimed, surface: str) -> None:
    """It goes to the provider as it is, or is refused; the target hears of nobody."""
    urls = [f"{aimed.target.url}/metadata", aimed.target.url.replace("127.0.0.1", "localhost"), "file:///etc/passwd"]
    passed = 0
    for model in TYPES:
        for url in urls:
            for name, body in calls(url, surface).items():
                got = aimed.ask(surface, body, model)
                assert got.status_code < 500 or got.status_code == 502, (model, name, got.text)
                assert "secret of a private network" not in got.text
                passed += got.status_code == 200
    assert aimed.target.requests == []
    assert passed > 0, "some of them went on to a provider, so that this shows something"


def test_no_header_of_a_caller_says_where_a_call_goes(aimed: Aimed) -> None:
    there = aimed.target.url.removeprefix("http://").partition("/")[0]
    headers = {
        "host": there,
        "x-forwarded-host": there,
        "forwarded": f"host={there}",
        "x-original-url": aimed.target.url,
        "x-base-url": aimed.target.url,
        "openai-base-url": aimed.target.url,
        "x-portkey-custom-host": aimed.target.url,
        "proxy": aimed.target.url,
    }
    for name, value in headers.items():
        got = aimed.ask("openai", {"messages": [{"role": "user", "content": "x"}]}, "openai", **{name: value})
        assert got.status_code == 200, (name, got.text)
    for more in ({"base_url": aimed.target.url}, {"api_base": aimed.target.url}, {"api_key": "x", "organization": "y"}):
        body = {"messages": [{"role": "user", "content": "x"}], **more}
        aimed.ask("openai", body, "openai")
        aimed.ask("native", body, "openai")
        aimed.ask("native", {"messages": body["messages"], "provider_options": {"openai": more}}, "openai")
    assert aimed.target.requests == []


def test_a_provider_that_points_elsewhere_is_not_followed(aimed: Aimed) -> None:
    """A redirect is an answer that is no answer: our key goes to nobody else."""
    endpoint = aimed.providers.at("/aim/v1")
    for status in (301, 302, 303, 307, 308):
        endpoint.then(
            redirect(f"{aimed.target.url}/metadata")
            if status == 307
            else answer(b"", status=status, headers=[("location", f"{aimed.target.url}/metadata")])
        )
        got = aimed.ask("openai", {"messages": [{"role": "user", "content": "x"}]}, "openai")
        assert got.status_code == 502
        assert aimed.target.url not in got.text
        assert json.loads(got.text)["error"]["code"] in {"BACKEND_ERROR", "UPSTREAM_SHAPE_MISMATCH"}
    assert aimed.target.requests == []
