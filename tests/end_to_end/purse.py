"""One user with a hard budget of so many requests, and callers who want them all: for stores that come and go."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import TracebackType
from typing import Any, Final, Self

import httpx

from tests.harness.behaviours import answer, completion
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, UNLIMITED, chat, http_client, secret
from tests.harness.provider import Endpoint
from tests.harness.valkey import Valkey

REQUESTS: Final = 200
"""What the budget has."""
AT_ONCE: Final = 4
"""Callers."""


def config(endpoint: Endpoint, url: str, **more: Any) -> dict[str, Any]:
    endpoint.always(answer(completion()))
    return {
        "server": {"workers": 2},
        "store": {"type": "valkey", "url": url, "timeout_seconds": 1},
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": {"ann": {"limits": UNLIMITED}},
        "keys": {"ann": {"user": "ann", "key": secret("ann"), "limits": UNLIMITED}},
        "providers": {"p": {"type": "openai", "base_url": endpoint.url, "api_key": "provider-key"}},
        "backends": {"b": {"provider": "p", "model": "m"}},
        "models": {"m": {"unpriced": "free", "route": {"targets": [{"backend": "b"}]}}},
        "budgets": {"purse": {"scope": "user", "of": "ann", "period": "total", "request_limit": REQUESTS}},
        **more,
    }


def ask(gateway: Gateway) -> httpx.Response:
    with http_client(gateway, secret("ann")) as client:
        return client.post(CHAT_URL["native"], json=chat("m"))


class Callers:
    """Some who call without a pause, as a context; `answers` is what they got."""

    def __init__(self, gateway: Gateway) -> None:
        self.answers: list[httpx.Response] = []
        self._gateway = gateway
        self._over = Event()
        self._pool = ThreadPoolExecutor(AT_ONCE)

    def __enter__(self) -> Self:
        self._running = [self._pool.submit(self._call) for _ in range(AT_ONCE)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        for one in self._running:
            one.result(timeout=PATIENCE)
        self._pool.shutdown()

    def _call(self) -> None:
        with http_client(self._gateway, secret("ann")) as client:
            while not self._over.is_set():
                self.answers.append(client.post(CHAT_URL["native"], json=chat("m")))

    @property
    def codes(self) -> Counter[int]:
        return Counter(got.status_code for got in list(self.answers))

    @property
    def admitted(self) -> list[httpx.Response]:
        return [got for got in list(self.answers) if got.status_code == 200]

    def come_to(self, admitted: int) -> None:
        eventually(lambda: len(self.admitted) >= admitted or self.codes[500] > 5, f"{admitted} calls are answered")
        assert len(self.admitted) >= admitted, self.answers[-1].text

    def until_used_up(self) -> None:
        """Returns once each of them has been told that nothing is left."""
        eventually(lambda: self.codes[429] >= 2 * AT_ONCE, "the budget is used up")


def spent(store: Valkey) -> tuple[int, int]:
    """What a store holds of the budget: spent, and reserved."""
    (key,) = [key for key in store.keys("*b:*") if "requests" in key]
    return int(store.command("HGET", key, "s")), int(store.command("HGET", key, "r"))


def accounted(store: Valkey, admitted: int, *, changes: int) -> bool:
    """Whether it holds all that was admitted for spent, and whether what it holds back of the rest can be explained.

    A call whose end only an old server has heard of stays reserved until it could not have lasted longer, also where
    the ledger has told of it by then: at each change of server, those are at the most the calls that were under way.
    Nothing is given out while both together make the limit, so what is left over is never given out twice.
    """
    counted, reserved = spent(store)
    return counted == admitted and admitted + reserved >= REQUESTS and reserved <= changes * AT_ONCE
