"""What callers do all day, drawn by chance: plain, streamed, refused, failing over, leaving, and now and then large."""

import http.client
import json
import random
from collections import Counter
from contextlib import closing
from threading import Event, Lock, Thread
from typing import Any, Final, Self

from scaigrid.clock import SystemClock
from tests.harness.behaviours import answer, completion, openai_error, openai_frames, stream
from tests.harness.eventually import PATIENCE
from tests.harness.lanes import CHAT_URL, UNLIMITED, chat, secret
from tests.harness.ports import LOOPBACK
from tests.harness.provider import Conversation, Provider

KINDS: Final = {"plain": 40, "streamed": 25, "large": 5, "refused": 10, "failing over": 10, "leaving": 10}
"""How often each is drawn."""
LARGE: Final = 150_000
"""Bytes."""
_PIECES: Final = 20
_REFUSALS: Final = (401, 403, 404, 415, 422, 429)
_clock = SystemClock()


def config(provider: Provider) -> dict[str, Any]:
    """A gateway with a backend that fails now and then, and another one that never does."""
    text = ["words "] * _PIECES
    plain, streamed = answer(completion("words " * _PIECES)), stream(*openai_frames(*text))
    broken = answer(openai_error("It went wrong."), status=500)

    async def behave(conversation: Conversation) -> None:
        asked = conversation.request.json
        if asked["model"] == "flaky":
            await broken(conversation)
        else:
            await (streamed if asked.get("stream") else plain)(conversation)
        # A month of requests would be kept otherwise.
        endpoint.requests.clear()

    endpoint = provider.at("/soak/v1").always(behave)
    # Tried each time: a breaker that is open would spare the failing call.
    flaky = {"provider": "p", "model": "flaky", "breaker": {"failures": 10_000}}
    targets = [{"backend": "flaky", "priority": 0}, {"backend": "b", "priority": 1}]
    bounds = {"context_window": 100_000, "max_output_tokens": 1000, "prices": {"input": 1, "output": 2}}
    return {
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": {"ann": {"limits": UNLIMITED}, "poor": {"limits": {"requests_per_minute": 1}}},
        "keys": {name: {"user": name, "key": secret(name), "limits": UNLIMITED} for name in ("ann", "poor")},
        "providers": {"p": {"type": "openai", "base_url": endpoint.url, "api_key": "provider-key"}},
        "backends": {"b": {"provider": "p", "model": "m"}, "flaky": flaky},
        "models": {
            "m": {**bounds, "route": {"targets": [{"backend": "b"}]}},
            "two": {**bounds, "route": {"targets": targets}},
        },
        "budgets": {"ann": {"scope": "user", "of": "ann", "period": "total", "cost_limit": 1_000_000}},
    }


class Callers:
    """So many of them, together at a bounded rate. As a context they call; in the end they have stopped."""

    def __init__(self, port: int, *, callers: int, rate: float) -> None:
        """`rate` is in calls a second, over all of them."""
        self.calls: Counter[str] = Counter()
        self.failures: list[str] = []
        """Calls that were answered otherwise than they had to be."""
        self._port = port
        self._pause = callers / rate
        self._over = Event()
        self._lock = Lock()
        self._threads = [Thread(target=self._run, args=(seed,), daemon=True) for seed in range(callers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _run(self, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311  # no secret depends on it
        while not self._over.is_set():
            began = _clock.monotonic()
            (kind,) = chance.choices(list(KINDS), list(KINDS.values()))
            try:
                wrong = self._call(kind, chance)
            except (OSError, http.client.HTTPException) as error:
                wrong = f"{type(error).__name__}: {error}"
            with self._lock:
                self.calls[kind] += 1
                if wrong:
                    self.failures.append(f"{kind}: {wrong}"[:300])
            self._over.wait(max(0.0, began + self._pause - _clock.monotonic()))

    def _call(self, kind: str, chance: random.Random) -> str:
        """What was wrong with it; nothing where it went as it has to."""
        path = chance.choice(list(CHAT_URL.values()))
        key, body = "ann", chat("m", stream=kind == "streamed")
        match kind:
            case "failing over":
                body = chat("two", stream=chance.random() < 0.5)
            case "large":
                body = chat("m", "x" * LARGE)
            case "refused":
                key, body = chance.choice([("poor", chat("m")), ("nobody", body), ("ann", chat("none")), ("ann", {})])
            case "leaving":
                body = chat("m", stream=chance.random() < 0.7)
            case _:
                pass
        with closing(http.client.HTTPConnection(LOOPBACK, self._port, timeout=PATIENCE)) as connection:
            headers = {"authorization": f"Bearer {secret(key)}", "content-type": "application/json"}
            connection.request("POST", path, json.dumps(body), headers)
            if kind == "leaving":
                if chance.random() < 0.5:
                    connection.getresponse().read(10)
                return ""
            response = connection.getresponse()
            got = response.read()
        if kind == "refused":
            # Whoever is poor has one call a minute.
            return "" if response.status in _REFUSALS or key == "poor" else f"{response.status}"
        whole = b"[DONE]" in got if body.get("stream") else b"words" in got
        return "" if response.status == 200 and whole else f"{response.status} {got[-200:]!r}"
