"""One gateway for many tests: each test has a lane of its own, with a user, a key, backends and models nobody else has.

So no test sees another one's counters, breakers or rows, and a gateway is started once for a whole module.
"""

from collections.abc import Mapping
from typing import Any, Final

import httpx
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI

from scaigrid.ids import declared_id
from tests.harness.eventually import PATIENCE
from tests.harness.gateway import Gateway, Row
from tests.harness.provider import Endpoint, Provider

PRICES: Final = {"input": 3, "output": 15}
"""What users pay for a lane's models, per million tokens."""
COST: Final = {"input": 1, "output": 5}
"""What a lane's providers charge."""
UNLIMITED: Final = {"requests_per_minute": None}
LIMITED: Final = {"context_window": 100_000, "max_output_tokens": 1_000, "prices": PRICES}
HASTY: Final = {"connect": 5, "first_byte": 0.25, "idle": 0.25, "total": 20}
IN_A_HURRY: Final = {"connect": 5, "first_byte": 20, "idle": 20, "total": 0.25}

CHAT_URL: Final = {"openai": "/oai/v1/chat/completions", "native": "/v1/inference/chat"}
EMBED_URL: Final = {"openai": "/oai/v1/embeddings", "native": "/v1/inference/embed"}


def secret(name: str) -> str:
    """A key in the gateway's own form, made from a name."""
    return f"sgk_{name}_".ljust(44, "0")


class Lane:
    """One test's part of a gateway.

    Models, each by its last word: `openai` and `anthropic` have one backend of that type, `two` an OpenAI one and
    then another, `mixed` an OpenAI one and then an Anthropic one, `hasty` is `two` with short deadlines, `hurried` has
    little time in all, `drained` and `drained-anthropic` are read on when a client leaves, `free` costs nothing,
    `unpriced` and `disabled` answer nobody, `embed` makes vectors.
    """

    def __init__(self, name: str, provider: Provider) -> None:
        self.name = name
        self.key = secret(name)
        self.provider_key = f"pk-{name}-not-to-be-seen"
        self.openai = provider.at(f"/{name}-first/v1")
        self.second = provider.at(f"/{name}-second/v1")
        self.anthropic = provider.at(f"/{name}-anthropic/v1")
        self._gateway: Gateway | None = None
        self._clients: list[OpenAI | Anthropic | httpx.Client] = []

    # -- before the gateway runs -------------------------------------------------------------------------------------

    def declare(self, config: dict[str, Any]) -> None:
        """Adds the lane to a configuration."""
        name = self.name
        config["partners"] = {"default": {"limits": UNLIMITED}}
        config.setdefault("tenants", {})["default"] = {"limits": UNLIMITED}
        sections = ("users", "keys", "providers", "backends", "models")
        users, keys, providers, backends, models = (config.setdefault(section, {}) for section in sections)
        users[name] = {"email": f"{name}@example.test", "limits": UNLIMITED}
        keys[name] = {"user": name, "key": self.key, "limits": UNLIMITED}
        for word, kind, endpoint in self._endpoints():
            backend = f"{name}-{word}"
            providers[backend] = {"type": kind, "base_url": endpoint.url, "api_key": self.provider_key}
            backends[backend] = {"provider": backend, "model": "upstream-model", "cost": COST}
        for word, model in self._models().items():
            models[f"{name}/{word}"] = model

    def _endpoints(self) -> list[tuple[str, str, Endpoint]]:
        return [
            ("first", "openai", self.openai),
            ("second", "openai", self.second),
            ("anthropic", "anthropic", self.anthropic),
        ]

    def _models(self) -> dict[str, dict[str, Any]]:
        return {
            "openai": {**LIMITED, "route": self._route("first")},
            "anthropic": {**LIMITED, "route": self._route("anthropic")},
            "two": {**LIMITED, "route": self._route("first", "second")},
            "mixed": {**LIMITED, "route": self._route("first", "anthropic")},
            "hasty": {**LIMITED, "route": {**self._route("first", "second"), "deadlines": HASTY}},
            "hurried": {**LIMITED, "route": {**self._route("first"), "deadlines": IN_A_HURRY}},
            "drained": {**LIMITED, "on_disconnect": "drain", "route": self._route("first")},
            "drained-anthropic": {**LIMITED, "on_disconnect": "drain", "route": self._route("anthropic")},
            "free": {"unpriced": "free", "max_output_tokens": 1_000, "route": self._route("first")},
            "unpriced": {"unpriced": "refuse", "max_output_tokens": 1_000, "route": self._route("first")},
            "disabled": {**LIMITED, "status": "disabled", "route": self._route("first")},
            "embed": {"modality": "embedding", "prices": {"input": 3}, "route": self._route("first")},
        }

    def _route(self, *words: str) -> dict[str, Any]:
        targets = [{"backend": f"{self.name}-{word}", "priority": place} for place, word in enumerate(words)]
        return {"targets": targets}

    # -- while it runs -----------------------------------------------------------------------------------------------

    def join(self, gateway: Gateway) -> "Lane":
        self._gateway = gateway
        return self

    @property
    def gateway(self) -> Gateway:
        assert self._gateway is not None
        return self._gateway

    @property
    def user_id(self) -> str:
        return declared_id("user", self.name)

    def model(self, word: str) -> str:
        return f"{self.name}/{word}"

    def backend(self, word: str) -> str:
        return f"{self.name}-{word}"

    def backend_id(self, word: str) -> str:
        return declared_id("be", self.backend(word))

    def client(self, key: str | None = None) -> httpx.Client:
        """A client without an SDK; closed with the lane, as every synchronous one."""
        client = http_client(self.gateway, key or self.key)
        self._clients.append(client)
        return client

    def sdk(self, *, retries: int = 0) -> OpenAI:
        """OpenAI's own client, unpatched."""
        url = f"{self.gateway.url}/oai/v1"
        client = OpenAI(api_key=self.key, base_url=url, max_retries=retries, timeout=PATIENCE)
        self._clients.append(client)
        return client

    def async_sdk(self, *, retries: int = 0) -> AsyncOpenAI:
        url = f"{self.gateway.url}/oai/v1"
        return AsyncOpenAI(api_key=self.key, base_url=url, max_retries=retries, timeout=PATIENCE)

    def anthropic_sdk(self, *, retries: int = 0) -> Anthropic:
        """Anthropic's own client, unpatched."""
        url = f"{self.gateway.url}/anthropic"
        client = Anthropic(api_key=self.key, base_url=url, max_retries=retries, timeout=PATIENCE)
        self._clients.append(client)
        return client

    def async_anthropic_sdk(self, *, retries: int = 0) -> AsyncAnthropic:
        url = f"{self.gateway.url}/anthropic"
        return AsyncAnthropic(api_key=self.key, base_url=url, max_retries=retries, timeout=PATIENCE)

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def usage(self, count: int, **equal: object) -> list[Row]:
        """The lane's usage rows, awaited, oldest first."""
        return self.gateway.usage(count, user_id=self.user_id, **equal)

    def audit(self, count: int, **equal: object) -> list[Row]:
        """The lane's audit rows, awaited, oldest first."""
        return self.gateway.audit(count, actor_id=self.user_id, **equal)


STRANGERS: Final = ("expired", "suspended", "viewer", "confined", "elsewhere", "barred", "poor")
"""Users who are refused, each for one reason, whatever they ask; `secret` of the name is the key."""


def declare_strangers(config: dict[str, Any], model: str) -> None:
    """Adds them to a configuration; `model` is the only one that `confined` may use."""
    config["tenants"]["closed"] = {"suspended": True}
    for name in STRANGERS:
        config["users"][name] = {}
        config["keys"][name] = {"user": name, "key": secret(name)}
    config["users"]["suspended"]["tenant"] = "closed"
    config["users"]["viewer"]["roles"] = ["tenant_viewer"]
    config["keys"]["expired"]["expires_at"] = "2020-01-01T00:00:00Z"
    config["keys"]["confined"]["models"] = [model]
    config["keys"]["elsewhere"]["addresses"] = ["192.0.2.0/24"]
    config["keys"]["barred"]["limits"] = {"requests_per_minute": 0}
    config["budgets"] = {"nothing": {"scope": "user", "of": "poor", "period": "total", "request_limit": 0}}


def http_client(gateway: Gateway, key: str | None = None) -> httpx.Client:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return httpx.Client(base_url=gateway.url, headers=headers, timeout=PATIENCE, trust_env=False)


def chat(model: str, text: str = "Hello?", **more: Any) -> dict[str, Any]:
    """The body of a chat call, the same in both dialects."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def code_of(body: Mapping[str, Any]) -> str:
    """The error code of an answer in either dialect."""
    code: str = body["error"]["code"]
    return code


def id_of(body: Mapping[str, Any]) -> str:
    """The request id in the body of an error, in either dialect."""
    found: str = body["meta"]["request_id"] if "meta" in body else body["error"]["request_id"]
    return found
