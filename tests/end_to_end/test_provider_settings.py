"""What an operator sets at a provider and at a model reaches the wire: signatures, tokens, and what may be left out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey

from tests.end_to_end.conftest import sound
from tests.harness import behaviours
from tests.harness.behaviours import answer
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import chat, http_client, secret
from tests.harness.provider import Endpoint, Provider

CONVERSED = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello."}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4},
    "metrics": {"latencyMs": 1},
}
GENERATED = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello."}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4},
    "modelVersion": "gemini",
    "responseId": "r",
}
AWS_SECRET = "aws-secret-key-not-to-be-seen"


class Setting:
    """The gateway, and what stands behind it."""

    def __init__(self, provider: Provider, directory: Path) -> None:
        self.bedrock = provider.at("/settings-bedrock")
        self.google = provider.at("/settings-google")
        self.tokens = provider.at("/settings-tokens")
        self.anthropic = provider.at("/settings-anthropic/v1")
        self.private_key = RSAKey.generate_key(2048).as_pem(private=True).decode()
        self.denying = provider.at("/settings-denying")
        accounts = {"gcp": self.tokens, "denied": self.denying}
        for name, tokens in accounts.items():
            (directory / f"{name}.json").write_text(self._account(tokens))
        self.gateway = Gateway(self._config(directory), directory / "gateway")

    def _account(self, tokens: Endpoint) -> str:
        return json.dumps(
            {
                "type": "service_account",
                "client_email": "gateway@acme.iam.gserviceaccount.com",
                "private_key": self.private_key,
                "token_uri": f"{tokens.url}/token",
            }
        )

    def _config(self, accounts: Path) -> dict[str, Any]:
        return {
            "users": {"ann": {"roles": ["super_admin"]}},
            "keys": {"ann": {"user": "ann", "key": secret("ann")}},
            "providers": {
                "aws": {
                    "type": "bedrock",
                    "base_url": self.bedrock.url,
                    "options": {"region": "eu-central-1"},
                    "credentials": {"access_key_id": "AKIDEXAMPLE", "secret_access_key": AWS_SECRET},
                },
                **{
                    name: {
                        "type": "google",
                        "base_url": self.google.url,
                        "credentials": {"service_account": f"file:{accounts}/{name}.json"},
                    }
                    for name in ("gcp", "denied")
                },
                "claude": {"type": "anthropic", "base_url": self.anthropic.url, "api_key": "k"},
            },
            "backends": {
                name: {"provider": name, "model": model}
                for name, model in (
                    ("aws", "amazon.nova-lite-v1:0"),
                    ("gcp", "gemini"),
                    ("denied", "gemini"),
                    ("claude", "claude-x"),
                )
            },
            "models": {
                "acme/aws": _model("aws"),
                "acme/gcp": _model("gcp"),
                "acme/denied": _model("denied", "claude"),
                "acme/strict": _model("claude"),
                "acme/lenient": {**_model("claude"), "on_unsupported": "drop_with_header"},
            },
        }

    def ask(self, model: str, **more: Any) -> httpx.Response:
        with http_client(self.gateway, secret("ann")) as client:
            return client.post("/v1/inference/chat", json=chat(model, **more))


def _model(*backends: str) -> dict[str, Any]:
    targets = [{"backend": backend, "priority": place} for place, backend in enumerate(backends)]
    return {"unpriced": "free", "max_output_tokens": 100, "route": {"targets": targets}}


@pytest.fixture(scope="module")
def setting(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    made = Setting(provider, tmp_path_factory.mktemp("settings"))
    with sound(made.gateway):
        yield made


def last(endpoint: Endpoint) -> Any:
    return endpoint.requests[-1]


def test_a_call_to_bedrock_is_signed_for_its_region(setting: Setting) -> None:
    setting.bedrock.then(answer(CONVERSED))
    told = setting.ask("acme/aws")
    assert told.status_code == 200
    seen = last(setting.bedrock)
    assert seen.path == "/settings-bedrock/model/amazon.nova-lite-v1%3A0/converse"
    authorization = seen.header("authorization")
    assert authorization is not None
    day = (seen.header("x-amz-date") or "")[:8]
    assert authorization.startswith(
        f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{day}/eu-central-1/bedrock/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, Signature="
    )
    assert seen.header("x-request-id") == told.headers["x-request-id"]


def test_discovery_is_signed_too(setting: Setting) -> None:
    setting.bedrock.then(answer({"modelSummaries": []}))
    with http_client(setting.gateway, secret("ann")) as client:
        (found,) = client.get("/v1/providers?name=aws").json()["data"]["items"]
        client.post(f"/v1/providers/{found['id']}/discover")
    assert (last(setting.bedrock).header("authorization") or "").startswith("AWS4-HMAC-SHA256 ")


def test_a_service_accounts_token_is_got_once_and_goes_with_every_call(setting: Setting) -> None:
    setting.tokens.then(answer({"access_token": "ya29.of-the-test", "expires_in": 3600}))
    setting.google.then(answer(GENERATED), answer(GENERATED))
    for _ in range(2):
        assert setting.ask("acme/gcp").status_code == 200
        assert last(setting.google).header("authorization") == "Bearer ya29.of-the-test"
    assert len(setting.tokens.requests) == 1
    # A change that leaves the provider as it is keeps the token.
    with http_client(setting.gateway, secret("ann")) as client:
        made = client.post("/v1/partners", json={"slug": "another", "name": "another"})
        assert made.status_code in (201, 422)
        assert client.post("/v1/providers", json={"name": "another", "type": "simulator"}).status_code == 201
    setting.google.then(answer(GENERATED))
    assert setting.ask("acme/gcp").status_code == 200
    assert len(setting.tokens.requests) == 1


def test_where_no_token_is_to_be_had_the_next_backend_answers(setting: Setting) -> None:
    setting.denying.then(answer({"error": "invalid_grant", "error_description": "No."}, status=400))
    setting.anthropic.then(answer(behaviours.anthropic_message("Hello.")))
    before = len(setting.google.requests)
    told = setting.ask("acme/denied")
    assert (told.status_code, told.headers["x-scaigrid-attempts"]) == (200, "2")
    assert len(setting.google.requests) == before

    def reasons() -> list[str]:
        return [line["reason"] for line in setting.gateway.lines() if line["event"] == "no_token_for_a_provider"]

    assert eventually(reasons, "the log says why") == ["it answered 400 (invalid_grant)"]


def test_what_a_provider_has_no_word_for_is_refused_by_default(setting: Setting) -> None:
    told = setting.ask("acme/strict", seed=7)
    assert (told.status_code, told.json()["error"]["code"]) == (422, "UNSUPPORTED_BY_MODEL")
    assert [detail["field"] for detail in told.json()["error"]["details"]] == ["seed"]


def test_where_the_model_says_so_it_is_left_out_and_named(setting: Setting) -> None:
    setting.anthropic.then(answer(behaviours.anthropic_message("Hello.")))
    told = setting.ask("acme/lenient", seed=7, temperature=0.5)
    assert told.status_code == 200
    assert told.headers["x-scaigrid-dropped"] == "seed"
    body = last(setting.anthropic).json
    assert ("seed" in body, body["temperature"]) == (False, 0.5)


def test_nothing_is_dropped_that_was_not_asked_for(setting: Setting) -> None:
    setting.anthropic.then(answer(behaviours.anthropic_message("Hello.")))
    told = setting.ask("acme/lenient", temperature=0.5)
    assert (told.status_code, "x-scaigrid-dropped" in told.headers) == (200, False)


def test_no_credential_is_in_the_log(setting: Setting) -> None:
    log = json.dumps(setting.gateway.lines())
    for telling in (AWS_SECRET, setting.private_key.splitlines()[1], "ya29.of-the-test"):
        assert telling not in log
