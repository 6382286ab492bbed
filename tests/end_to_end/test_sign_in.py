"""The whole gateway and a real issuer: a token gets in, its words map to roles, and the issuer may go away."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scaigrid.clock import SystemClock
from tests.harness.gateway import Gateway
from tests.harness.issuer import AUDIENCE, ScriptedIssuer, signer
from tests.harness.provider import Provider


def config(issuer: ScriptedIssuer) -> dict[str, Any]:
    return {
        "tenants": {"shop": {}},
        "users": {"ann": {"tenant": "shop", "external_id": "sso|ann-1", "roles": ["tenant_viewer"]}},
        "identity": {
            "issuers": {
                "sso": {
                    "issuer": issuer.url,
                    "audience": [AUDIENCE],
                    "users": "any",
                    "tenant": "shop",
                    "claims": {"roles": "realm_access.roles"},
                    "roles": {"llm-user": "tenant_user"},
                }
            }
        },
        "providers": {"sim": {"type": "simulator"}},
        "backends": {"sim": {"provider": "sim", "model": "s"}},
        "models": {"sim/chat": {"unpriced": "free", "route": {"targets": [{"backend": "sim"}]}}},
    }


@pytest.fixture
def issuer() -> Iterator[ScriptedIssuer]:
    with Provider() as provider:
        made = ScriptedIssuer(provider)
        made.publish(signer())
        yield made


def token(issuer: ScriptedIssuer, **changes: Any) -> str:
    now = int(SystemClock().now())
    said: dict[str, Any] = {"iat": now, "exp": now + 600, **changes}
    return issuer.token(signer(), **said).decode()


def chat(gateway: Gateway, bearer: str) -> tuple[int, dict[str, Any]]:
    body = json.dumps({"model": "sim/chat", "messages": [{"role": "user", "content": "hello"}]}).encode()
    headers = {"authorization": f"Bearer {bearer}", "content-type": "application/json"}
    request = urllib.request.Request(f"{gateway.url}/v1/inference/chat", body, headers)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - loopback
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def refusal(gateway: Gateway, bearer: str) -> tuple[int, str]:
    status, answer = chat(gateway, bearer)
    return status, answer["error"]["code"]


def test_a_token_signs_in_and_its_user_is_in_the_ledger(issuer: ScriptedIssuer, tmp_path: Path) -> None:
    with Gateway(config(issuer), tmp_path) as gateway:
        may = {"realm_access": {"roles": ["llm-user", "uma"]}}
        assert refusal(gateway, token(issuer)) == (403, "AUTHZ_PERMISSION_DENIED")
        assert chat(gateway, token(issuer, **may))[0] == 200
        assert chat(gateway, token(issuer, sub="eve", name="Eve", **may))[0] == 200
        users = {row["user_id"] for row in gateway.usage(2)}
        assert len(users) == 2
        assert {row["key_id"] for row in gateway.rows("usage")} == {None}
        assert issuer.asked == 1
        assert refusal(gateway, token(issuer, exp=1)) == (401, "SESSION_EXPIRED")
        assert refusal(gateway, token(issuer, aud="other")) == (401, "AUTH_TOKEN_INVALID")
        assert refusal(gateway, token(issuer)[:-4] + "AAAA") == (401, "AUTH_TOKEN_INVALID")
        assert gateway.stop() == 0
        assert gateway.strays() == []


def test_without_its_issuer_a_token_has_to_wait_and_the_gateway_is_ready(
    issuer: ScriptedIssuer, tmp_path: Path
) -> None:
    issuer.away()
    with Gateway(config(issuer), tmp_path) as gateway:
        status, answer = chat(gateway, token(issuer))
        assert (status, answer["error"]["code"]) == (503, "AUTH_BACKEND_UNAVAILABLE")
        assert 1 <= answer["error"]["retry_after"] <= 10
        assert gateway.stop() == 0
    assert [line["issuer"] for line in gateway.lines() if line["event"] == "issuer_unavailable"] == ["sso"]
