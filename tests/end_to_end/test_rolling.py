"""Two gateways on one database and one store are restarted, one after the other, under load: no call notices."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any, Final

import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.harness import behaviours, databases
from tests.harness.balancer import Balancer
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import Lane
from tests.harness.ports import free_port
from tests.harness.provider import Conversation, Provider
from tests.harness.valkey import shared

WORDS: Final = ("It ", "rains ", "on ", "the ", "plain ", "again.")
BETWEEN: Final = 0.03
"""Seconds between two words of a stream, so that there are always some in their middle."""
QUESTION: Final[list[Any]] = [{"role": "user", "content": "Hello?"}]


async def provides(conversation: Conversation) -> None:
    """A stream that takes its time, or a plain answer."""
    if not conversation.request.json.get("stream"):
        await behaviours.answer(behaviours.completion("".join(WORDS)))(conversation)
        return
    await conversation.head(200, [*behaviours.EVENTS, ("transfer-encoding", "chunked")])
    for frame in behaviours.openai_frames(*WORDS):
        await conversation.chunk(frame)
        await asyncio.sleep(BETWEEN)
    await conversation.end()


class Load:
    """Unpatched SDKs that repeat nothing, one call after the other, until they are told to stop."""

    def __init__(self, url: str, lane: Lane) -> None:
        self.answered: list[str] = []
        """Request ids of whole answers."""
        self.failed: list[str] = []
        self._over = Event()
        key, model, most = lane.key, lane.model("openai"), 50
        openai = OpenAI(api_key=key, base_url=f"{url}/oai/v1", max_retries=0, timeout=PATIENCE)
        anthropic = Anthropic(api_key=key, base_url=f"{url}/anthropic", max_retries=0, timeout=PATIENCE)

        def plain() -> tuple[str, str]:
            got = openai.chat.completions.with_raw_response.create(model=model, messages=QUESTION, max_tokens=most)
            return got.headers["x-request-id"], str(got.parse().choices[0].message.content)

        def streamed() -> tuple[str, str]:
            got = openai.chat.completions.with_raw_response.create(
                model=model, messages=QUESTION, max_tokens=most, stream=True
            )
            choices = [choice for chunk in got.parse() for choice in chunk.choices]
            assert choices[-1].finish_reason == "stop"
            return got.headers["x-request-id"], "".join(choice.delta.content or "" for choice in choices)

        def messages() -> tuple[str, str]:
            with anthropic.messages.stream(model=model, messages=QUESTION, max_tokens=most) as got:
                text = got.get_final_text()
                return got.response.headers["x-request-id"], text

        kinds = (plain, plain, streamed, streamed, messages)
        self._clients = (openai, anthropic)
        self._pool = ThreadPoolExecutor(len(kinds))
        self._running = [self._pool.submit(self._calls, kind) for kind in kinds]

    def _calls(self, kind: Callable[[], tuple[str, str]]) -> None:
        while not self._over.is_set():
            try:
                request_id, text = kind()
                assert text == "".join(WORDS)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a call that failed
                self.failed.append(f"{kind.__name__}: {error!r}")
            else:
                self.answered.append(request_id)

    def goes_on(self, answers: int = 40) -> None:
        so_far = len(self.answered)
        eventually(lambda: len(self.answered) >= so_far + answers or self.failed, f"{answers} more answers")

    def stop(self) -> None:
        self._over.set()
        for one in self._running:
            one.result(PATIENCE)
        self._pool.shutdown()
        for client in self._clients:
            client.close()


@pytest.fixture
def lane(provider: Provider) -> Lane:
    lane = Lane("rolled", provider)
    lane.openai.always(provides)
    return lane


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    url = databases.fresh("postgres", tmp_path)
    yield url
    databases.drop(url)


def config(lane: Lane, database: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        # Ten probes of the balancer, for the machine may be busy with other things
        "server": {"port": free_port(), "drain_seconds": 1.0, "shutdown_seconds": 20},
        "database": {"url": database, "encryption_key": "the same one for both, and long enough"},
        "store": {"type": "valkey", "url": shared().url, "prefix": "rolled", "timeout_seconds": 2},
    }
    lane.declare(made)
    return made


def test_two_gateways_that_are_restarted_in_turn_fail_no_call(lane: Lane, database: str, tmp_path: Path) -> None:
    with (
        Gateway(config(lane, database), tmp_path / "one") as one,
        Gateway(config(lane, database), tmp_path / "two") as two,
    ):
        both = (one, two)
        ports = frozenset(gateway.port for gateway in both)
        with Balancer([one.port, two.port]) as balancer:
            eventually(lambda: balancer.ready == ports, "both are ready")
            load = Load(balancer.url, lane)
            try:
                for gateway in both:
                    load.goes_on()
                    assert gateway.stop() == 0
                    load.goes_on()
                    gateway.start()
                    eventually(lambda: balancer.ready == ports, "both are ready again")
                load.goes_on()
            finally:
                load.stop()
            assert load.failed == []
            assert balancer.refused == 0
        assert [gateway.stop() for gateway in both] == [0, 0]
        for gateway in both:
            assert "calls_cut" not in {line["event"] for line in gateway.lines()}
    rows = databases.execute(database, "SELECT request_id, outcome, tokens_out FROM usage")
    assert Counter(row["request_id"] for row in rows) == Counter(load.answered)
    assert {(row["outcome"], row["tokens_out"]) for row in rows} == {("ok", 3)}
