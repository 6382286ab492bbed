"""From an empty gateway to an answer, over the API alone; then another provider answers, and nobody notices."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.harness.behaviours import answer, anthropic_message, completion
from tests.harness.eventually import PATIENCE
from tests.harness.gateway import Gateway
from tests.harness.lanes import code_of, http_client, secret
from tests.harness.provider import Provider

UNLIMITED: dict[str, Any] = {"requests_per_minute": None}
CONFIG: dict[str, Any] = {
    "partners": {"default": {"limits": UNLIMITED}},
    "tenants": {"default": {"limits": UNLIMITED}},
    "users": {"root": {"roles": ["super_admin"], "limits": UNLIMITED}},
    "keys": {"root": {"user": "root", "key": secret("root"), "limits": UNLIMITED}},
}
"""Somebody who may do everything, and nothing to do it with."""
CREDENTIAL = "pk-of-the-provider-not-to-be-seen"
OTHER_CREDENTIAL = "pk-of-the-other-one-not-to-be-seen"
COST = {"input": "1", "output": "5"}
PRICES = {"input": "3", "output": "15"}


class Caller:
    """Somebody with a key."""

    def __init__(self, gateway: Gateway, key: str) -> None:
        self._gateway = gateway
        self.key = key
        self.http = http_client(gateway, key)

    def make(self, path: str, acting_on: str | None = None, **body: Any) -> dict[str, Any]:
        """What a POST has made, in the tenant that is acted on."""
        headers = {} if acting_on is None else {"x-scaigrid-tenant": acting_on}
        made = self.http.post(path, json=body, headers=headers)
        assert made.status_code == 201, made.text
        data: dict[str, Any] = made.json()["data"]
        return data

    def change(self, path: str, **patch: Any) -> dict[str, Any]:
        changed = self.http.patch(path, json=patch)
        assert changed.status_code == 200, changed.text
        data: dict[str, Any] = changed.json()["data"]
        return data

    def refused(self, method: str, path: str, **body: Any) -> tuple[int, str]:
        """Status and code."""
        refusal = self.http.request(method, path, json=body or None)
        return refusal.status_code, code_of(refusal.json())

    def says(self, model: str) -> str:
        """What the model answers to the OpenAI SDK."""
        url = f"{self._gateway.url}/oai/v1"
        with openai.OpenAI(api_key=self.key, base_url=url, max_retries=0, timeout=PATIENCE) as client:
            got = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello?"}])
        assert got.model == model
        return got.choices[0].message.content or ""


Start = Callable[..., Gateway]


@pytest.fixture
def gateway(start: Start) -> Gateway:
    return start(CONFIG)


@pytest.fixture
def root(gateway: Gateway) -> Iterator[Caller]:
    caller = Caller(gateway, secret("root"))
    yield caller
    caller.http.close()


@pytest.fixture
def somebody(gateway: Gateway, root: Caller) -> Iterator[Callable[..., Caller]]:
    """A new user with a key, both made over the API by somebody who may."""
    callers: list[Caller] = []

    def made(name: str, *, by: Caller = root, acting_on: str | None = None, **more: Any) -> Caller:
        user = by.make("/v1/users", acting_on, name=name, limits=UNLIMITED, **more)
        key = by.make("/v1/api-keys", acting_on, name=name, assigned_user_id=user["id"], limits=UNLIMITED)
        callers.append(Caller(gateway, key["key"]))
        return callers[-1]

    yield made
    for caller in callers:
        caller.http.close()


def test_a_model_is_put_together_over_the_api_and_moved_to_another_provider_under_its_users(
    gateway: Gateway, root: Caller, somebody: Callable[..., Caller], provider: Provider
) -> None:
    first = provider.at("/routing-first/v1").then(answer({"data": [{"id": "one-large", "owned_by": "one"}]}))
    second = provider.at("/routing-second/v1").then(answer({"data": [{"id": "two-large"}], "has_more": False}))
    ann = somebody("ann")
    assert ann.http.get("/v1/models").json()["data"]["items"] == []

    one = root.make("/v1/providers", name="one", type="custom", base_url=first.url, api_key=CREDENTIAL)
    (offered,) = root.http.post(f"/v1/providers/{one['id']}/discover").json()["data"]["items"]
    assert (offered["model"], offered["owned_by"], offered["already_used_by"]) == ("one-large", "one", [])
    assert first.seen().header("authorization") == f"Bearer {CREDENTIAL}"
    backend = root.make("/v1/backends", name="one", provider_id=one["id"], model=offered["model"], cost=COST)
    assert backend["uri"] == "custom:one-large"
    root.make("/v1/models", slug="acme/chat", max_output_tokens=100, prices=PRICES)
    with pytest.raises(openai.InternalServerError) as nowhere:
        ann.says("acme/chat")
    assert (nowhere.value.status_code, nowhere.value.code) == (503, "MODEL_UNAVAILABLE")
    assert "no route" in nowhere.value.message
    route = root.make("/v1/routes", model="acme/chat", targets=[{"backend_id": backend["id"]}])

    first.then(answer(completion("I am the first.")))
    assert ann.says("acme/chat") == "I am the first."
    call = first.seen()
    assert (call.json["model"], call.header("authorization")) == ("one-large", f"Bearer {CREDENTIAL}")
    (row,) = gateway.usage(1)
    assert (row["model"], row["backend_id"]) == ("acme/chat", backend["id"])

    two = root.make("/v1/providers", name="two", type="anthropic", base_url=second.url, api_key=OTHER_CREDENTIAL)
    (offered,) = root.http.post(f"/v1/providers/{two['id']}/discover").json()["data"]["items"]
    other = root.make("/v1/backends", name="two", provider_id=two["id"], model=offered["model"], cost=COST)
    assert second.seen().header("x-api-key") == OTHER_CREDENTIAL
    root.change(f"/v1/routes/{route['id']}", targets=[{"backend_id": other["id"]}])
    second.then(answer(anthropic_message("I am the second.")))
    assert ann.says("acme/chat") == "I am the second."
    assert second.seen().json["model"] == "two-large"
    assert (first.unused, second.unused) == (0, 0)

    for path, code in (
        (f"/v1/providers/{two['id']}", "PROVIDER_HAS_BACKENDS"),
        (f"/v1/backends/{other['id']}", "CONFLICT"),
        ("/v1/models/acme%2Fchat", "MODEL_HAS_BACKENDS"),
    ):
        assert root.refused("DELETE", path) == (409, code)
    for path in (
        f"/v1/routes/{route['id']}",
        "/v1/models/acme/chat",
        f"/v1/backends/{other['id']}",
        f"/v1/providers/{two['id']}",
    ):
        assert root.http.delete(path).status_code == 204
    with pytest.raises(openai.NotFoundError) as gone:
        ann.says("acme/chat")
    assert gone.value.code == "MODEL_NOT_FOUND"
    # What was known of the backend's health is forgotten with it.
    known = list(gateway.metrics().labels("scaigrid_backend_inflight_requests"))
    assert known == [{"backend_id": backend["id"]}]

    kept = gateway.stdout + gateway.stderr + str(gateway.rows("audit")) + str(gateway.rows("resources"))
    assert not [each for each in (CREDENTIAL, OTHER_CREDENTIAL) if each in kept]


def test_a_tenants_administrator_answers_its_users_over_a_backend_that_was_granted(
    root: Caller, somebody: Callable[..., Caller], provider: Provider
) -> None:
    endpoint = provider.at("/routing-granted/v1").then(answer(completion("For you alone.")))
    tenant = root.make("/v1/tenants", slug="initech", limits=UNLIMITED)
    admin = somebody("admin", acting_on="initech", roles=["tenant_admin"])
    peter = somebody("peter", by=admin)
    stranger = somebody("stranger")
    one = root.make("/v1/providers", name="one", type="custom", base_url=endpoint.url)
    backend = root.make("/v1/backends", name="one", provider_id=one["id"], model="m", cost=COST)
    own = admin.make("/v1/models", slug="tenant/initech/helper", max_output_tokens=100, prices=PRICES)
    route: dict[str, Any] = {"model": own["slug"], "targets": [{"backend_id": backend["id"]}]}
    assert admin.refused("POST", "/v1/routes", **route) == (404, "BACKEND_NOT_FOUND")
    assert admin.http.get("/v1/backends").json()["data"]["items"] == []

    root.change(f"/v1/backends/{backend['id']}", granted_to=[tenant["id"]])
    (seen,) = admin.http.get("/v1/backends").json()["data"]["items"]
    assert (seen["id"], "cost" in seen) == (backend["id"], False)
    routed = admin.make("/v1/routes", **route)
    assert peter.says("tenant/initech/helper") == "For you alone."
    with pytest.raises(openai.NotFoundError) as hidden:
        stranger.says("tenant/initech/helper")
    assert hidden.value.code == "MODEL_NOT_FOUND"
    assert root.refused("PATCH", f"/v1/backends/{backend['id']}", granted_to=[]) == (409, "CONFLICT")
    assert admin.http.delete(f"/v1/routes/{routed['id']}").status_code == 204
    assert root.change(f"/v1/backends/{backend['id']}", granted_to=[])["granted_to"] == []


def test_a_model_is_for_those_alone_to_whom_it_is_granted(
    root: Caller, somebody: Callable[..., Caller], provider: Provider
) -> None:
    endpoint = provider.at("/routing-secret/v1").then(answer(completion("Welcome.")))
    ann, bob = somebody("ann"), somebody("bob")
    one = root.make("/v1/providers", name="one", type="custom", base_url=endpoint.url)
    backend = root.make("/v1/backends", name="one", provider_id=one["id"], model="m")
    model = root.make("/v1/models", slug="secret", access="granted", unpriced="free")
    root.make("/v1/routes", model="secret", targets=[{"backend_id": backend["id"]}])
    group = root.make("/v1/model-groups", name="secrets", scope="global", models=["secret"])
    ann_id = ann.http.get("/v1/me").json()["data"]["user"]["id"]
    grant = root.make("/v1/model-access", subject_type="user", subject_id=ann_id, model_group_id=group["id"])
    assert ann.says("secret") == "Welcome."
    with pytest.raises(openai.NotFoundError):
        bob.says("secret")
    assert root.refused("DELETE", f"/v1/models/{model['id']}")[0] == 409
    assert root.http.delete(f"/v1/model-access/{grant['id']}").status_code == 204
    with pytest.raises(openai.NotFoundError):
        ann.says("secret")


def test_what_runs_is_told_to_those_who_run_it(root: Caller, somebody: Callable[..., Caller], gateway: Gateway) -> None:
    admin = somebody("admin", roles=["tenant_admin"])
    found = root.http.get("/health/detailed")
    assert (found.status_code, found.json()["status"]) == (200, "ok")
    assert found.json()["pid"] == gateway.worker
    assert found.json()["database"]["kind"] == "sqlite"
    assert found.json()["epoch"] == found.json()["database"]["epoch"] > 0
    assert admin.refused("GET", "/health/detailed") == (403, "AUTHZ_PERMISSION_DENIED")
    with httpx.Client(base_url=gateway.url) as nobody:
        assert nobody.get("/health/detailed").status_code == 401
