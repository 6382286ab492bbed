"""Unpatched clients of one gateway that has a provider of each type behind it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import anthropic
import openai

from tests.harness.eventually import PATIENCE
from tests.harness.gateway import Gateway
from tests.harness.lanes import UNLIMITED, secret
from tests.harness.provider import Endpoint, Seen
from tests.harness.tongue import Said, Tongue
from tests.harness.tongues import TONGUES


class Running(NamedTuple):
    """One gateway with its clients, and what stands behind it."""

    openai: Any
    """OpenAI's own client. Untyped: what is sent is put together of plain dicts."""
    anthropic: Any
    """Anthropic's own, likewise."""
    endpoints: Mapping[str, Endpoint]


class Clients:
    """The clients of one gateway, and one type of provider behind it."""

    def __init__(self, running: Running, name: str, tongue: Tongue) -> None:
        self.name = name
        self.tongue = tongue
        self.endpoint = running.endpoints[name]
        self.model = f"strict/{name}"
        self.lenient = f"lenient/{name}"
        self.openai = running.openai
        self.anthropic = running.anthropic

    def said(self, *answers: Said) -> None:
        """The provider's next answers."""
        self.endpoint.then(*(self.tongue.says(one) for one in answers))

    def thinking(self, said: Said) -> Said:
        """The same with a thought ahead, where the provider tells any."""
        thought = "Hmm." if self.tongue.thinks else ""
        return Said(texts=said.texts, calls=said.calls, thought=thought)

    @property
    def last(self) -> Seen:
        return self.endpoint.requests[-1]


def config(endpoints: dict[str, Endpoint]) -> dict[str, Any]:
    def model(name: str, **more: Any) -> dict[str, Any]:
        return {"unpriced": "free", "max_output_tokens": 10_000, "route": {"targets": [{"backend": name}]}, **more}

    backends = {name: tongue.model for name, tongue in TONGUES.items()} | {"simulator": "echo"}
    providers: dict[str, Any] = {
        name: {"type": tongue.type, "base_url": endpoints[name].url, **tongue.settings}
        for name, tongue in TONGUES.items()
    }
    return {
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": {"ann": {"limits": UNLIMITED}},
        "keys": {"ann": {"user": "ann", "key": secret("ann"), "limits": UNLIMITED}},
        "providers": {**providers, "simulator": {"type": "simulator"}},
        "backends": {name: {"provider": name, "model": model} for name, model in backends.items()},
        "models": {
            **{f"strict/{name}": model(name) for name in backends},
            **{f"lenient/{name}": model(name, on_unsupported="drop_with_header") for name in backends},
        },
    }


@contextmanager
def opened(gateway: Gateway, endpoints: Mapping[str, Endpoint]) -> Generator[Running]:
    """The clients of a gateway that runs; they do not retry."""
    more: dict[str, Any] = {"api_key": secret("ann"), "max_retries": 0, "timeout": PATIENCE}
    with (
        openai.OpenAI(base_url=f"{gateway.url}/oai/v1", **more) as ours,
        anthropic.Anthropic(base_url=f"{gateway.url}/anthropic", **more) as theirs,
    ):
        yield Running(ours, theirs, endpoints)
