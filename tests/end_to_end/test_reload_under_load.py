"""The configuration file changes again and again while calls run: none of them fails, whatever is in the file."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from tests.harness import behaviours
from tests.harness.behaviours import answer, stream
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, Lane, chat, http_client
from tests.harness.provider import Provider

Start = Callable[..., Gateway]


@pytest.fixture
def own(provider: Provider) -> Lane:
    lane = Lane("reloaded", provider)
    plain, streamed = answer(behaviours.completion()), stream(*behaviours.openai_frames("It ", "rains."))

    async def both(conversation: Any) -> None:
        await (streamed if conversation.request.json.get("stream") else plain)(conversation)

    lane.openai.always(both)
    return lane


class Load:
    """Plain and streamed calls without a pause; what each was answered that was not whole."""

    def __init__(self, gateway: Gateway, lane: Lane) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self._over = Event()
        self._pool = ThreadPoolExecutor(4)
        self._running = [self._pool.submit(self._call, gateway, lane, streamed=n % 2 == 1) for n in range(4)]

    def _call(self, gateway: Gateway, lane: Lane, *, streamed: bool) -> None:
        with http_client(gateway, lane.key) as client:
            while not self._over.is_set():
                got = client.post(CHAT_URL["openai"], json=chat(lane.model("openai"), stream=streamed))
                if got.status_code != 200 or (streamed and not got.text.endswith("data: [DONE]\n\n")):
                    self.failed.append(got.text)
                self.answered += 1

    def goes_on(self) -> None:
        so_far = self.answered
        eventually(lambda: self.answered >= so_far + 20, "it goes on")

    def stop(self) -> None:
        self._over.set()
        for one in self._running:
            one.result(PATIENCE)
        self._pool.shutdown()


@pytest.fixture
def gateway(start: Start, own: Lane) -> Gateway:
    made: dict[str, Any] = {}
    own.declare(made)
    return start(made)


def reloads(gateway: Gateway, outcome: str) -> float:
    return gateway.metrics().value("scaigrid_config_reloads", outcome=outcome)


def test_no_call_fails_while_the_file_changes_for_the_better_and_for_the_worse(gateway: Gateway, own: Lane) -> None:
    good = json.loads(gateway.file.read_text())
    assert reloads(gateway, "applied") == reloads(gateway, "invalid") == 0

    def save(text: str) -> None:
        draft = gateway.file.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(gateway.file)

    load = Load(gateway, own)
    try:
        load.goes_on()
        # For the better: another user, and a key that is in force then
        good["users"]["new"] = {}
        good["keys"]["new"] = {"user": "new", "key": "sgk_new_".ljust(44, "0")}
        save(json.dumps(good, indent=1))
        eventually(lambda: reloads(gateway, "applied") == 1, "it is applied")
        # For the worse: not a word of it counts
        lost = {"unpriced": "free", "route": {"targets": [{"backend": "nobody"}]}}
        bad = {**good, "models": {**good["models"], "m": lost}}
        save(json.dumps(bad, indent=1))
        eventually(lambda: reloads(gateway, "invalid") == 1, "it is refused")
        load.goes_on()
        save(json.dumps(good, indent=1)[:-20])
        eventually(lambda: reloads(gateway, "invalid") == 2, "half a file is refused")
        load.goes_on()
    finally:
        load.stop()
    assert load.failed == []
    told = [line for line in gateway.lines() if line["event"] == "config_not_reloaded"]
    assert [line["outcome"] for line in told] == ["invalid", "invalid"]
    assert any("models.m.route.targets" in error for error in told[0]["errors"]), told[0]
    assert all(error.startswith(f"{gateway.file}:") for line in told for error in line["errors"])
    with http_client(gateway, "sgk_new_".ljust(44, "0")) as client:
        assert client.get("/v1/models").status_code == 200
