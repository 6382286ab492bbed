"""An issuer is asked seldom and by one at a time; its keys serve while it is away, and not for ever."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from scaigrid.config.identity import Issuer
from scaigrid.errors import Code, GatewayError
from scaigrid.log import REQUEST_ID
from scaigrid.oidc.fetch import IssuerUnavailable
from scaigrid.oidc.keys import KeySet
from scaigrid.oidc.source import KeySource
from tests.harness.clock import StillClock
from tests.harness.issuer import Signer, key_set, signer

REFRESH, REFETCH, STALE = 300.0, 10.0, 14_400.0


class Away:
    """Stands for an issuer that does not answer."""


class Scene:
    """A source, its clock, and an issuer that answers when the test lets it."""

    def __init__(self, **rules: Any) -> None:
        self.clock = StillClock()
        self.asked = 0
        self.answers: Signer | bytes | type[Away] = signer()
        self.gate = asyncio.Event()
        self.gate.set()
        given = msgspec.convert({"issuer": "https://issuer.test", "audience": ["us"], **rules}, Issuer)
        self.source = KeySource("acme", given, self._fetch, self.clock)

    async def _fetch(self) -> bytes:
        self.asked += 1
        await self.gate.wait()
        if isinstance(self.answers, bytes):
            return self.answers
        if isinstance(self.answers, Signer):
            return key_set(self.answers)
        raise IssuerUnavailable("away")

    def hold(self) -> None:
        """From now on the issuer keeps everybody waiting."""
        self.gate = asyncio.Event()

    async def settle(self) -> None:
        """Until what runs in the background has come as far as it can."""
        for _ in range(5):
            await asyncio.sleep(0)

    async def has(self, kid: str) -> bool:
        return (await self.source.current()).find(kid, "ES256") is not None

    async def refused(self) -> GatewayError:
        with pytest.raises(GatewayError) as caught:
            await self.source.current()
        assert caught.value.code is Code.AUTH_BACKEND_UNAVAILABLE
        return caught.value

    async def newer(self, keys: KeySet) -> KeySet | None:
        return await self.source.newer(keys)


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


async def test_nobody_is_asked_before_somebody_wants_to_know() -> None:
    scene = Scene()
    await scene.settle()
    assert scene.asked == 0
    assert await scene.has("one")
    assert scene.asked == 1


async def test_those_who_come_together_share_one_question() -> None:
    scene = Scene()
    scene.hold()
    waiting = [asyncio.create_task(scene.has("one")) for _ in range(50)]
    await scene.settle()
    scene.gate.set()
    assert await asyncio.gather(*waiting) == [True] * 50
    assert scene.asked == 1


async def test_who_leaves_does_not_take_the_question_along() -> None:
    scene = Scene()
    scene.hold()
    first, second = (asyncio.create_task(scene.has("one")) for _ in range(2))
    await scene.settle()
    first.cancel()
    await scene.settle()
    assert first.cancelled()
    scene.gate.set()
    assert await second
    assert scene.asked == 1


async def test_young_keys_serve_without_a_question() -> None:
    scene = Scene()
    assert await scene.has("one")
    scene.clock.advance(REFRESH / 2 - 0.1)
    assert await scene.has("one")
    await scene.settle()
    assert scene.asked == 1


async def test_half_old_ones_serve_while_new_ones_come() -> None:
    scene = Scene()
    assert await scene.has("one")
    scene.clock.advance(REFRESH / 2)
    scene.answers = signer("two")
    scene.hold()
    assert await scene.has("one"), "nobody waits"
    assert await scene.has("one")
    await scene.settle()
    assert scene.asked == 2
    scene.gate.set()
    await scene.settle()
    assert await scene.has("two")
    assert not await scene.has("one")
    assert scene.asked == 2


@pytest.mark.parametrize("idle", [REFRESH, 10 * REFRESH, 2 * STALE])
async def test_a_withdrawn_key_opens_nothing_after_the_refresh_time_however_seldom_requests_come(idle: float) -> None:
    scene = Scene()
    assert await scene.has("one")
    scene.answers = signer("two")
    scene.clock.advance(idle)
    assert not await scene.has("one")
    assert scene.asked == 2


async def test_the_age_of_keys_counts_from_the_question() -> None:
    """An answer may be on its way for long; what it says is what was true when it was asked for."""
    scene = Scene()
    scene.hold()
    asking = asyncio.create_task(scene.has("one"))
    await scene.settle()
    scene.clock.advance(REFRESH)
    scene.answers = signer("one")
    scene.gate.set()
    assert await asking
    assert await scene.has("one")
    assert scene.asked == 2


async def test_without_any_keys_everybody_is_told_to_come_later(logged: list[Any]) -> None:
    scene = Scene()
    scene.answers = Away
    assert (await scene.refused()).retry_after == REFETCH
    scene.clock.advance(3.5)
    assert (await scene.refused()).retry_after == 7
    assert scene.asked == 1, "and the issuer is left alone for a while"
    scene.clock.advance(6.5)
    scene.answers = signer()
    assert await scene.has("one")
    assert scene.asked == 2
    assert [(line["event"], line["log_level"]) for line in logged] == [
        ("issuer_unavailable", "warning"),
        ("issuer_keys", "info"),
    ]


async def test_the_pause_after_a_failure_counts_from_its_end() -> None:
    """An issuer that takes its time to fail is not asked all the time."""
    scene = Scene()
    scene.answers = Away
    scene.hold()
    asking = asyncio.create_task(scene.refused())
    await scene.settle()
    scene.clock.advance(REFETCH + 1)
    scene.gate.set()
    assert (await asking).retry_after == REFETCH
    await scene.refused()
    assert scene.asked == 1


async def test_keys_at_hand_serve_while_the_issuer_is_away_up_to_a_bound(logged: list[Any]) -> None:
    scene = Scene()
    assert await scene.has("one")
    scene.answers = Away
    scene.clock.advance(REFRESH)
    assert await scene.has("one"), "whoever finds out serves on too"
    scene.clock.advance(STALE - REFRESH - 0.1)
    assert await scene.has("one")
    await scene.settle()
    scene.clock.advance(0.1)
    await scene.refused()
    assert [line["event"] for line in logged] == ["issuer_keys", "issuer_unavailable"], "one line a change"
    scene.clock.advance(REFETCH)
    scene.answers = signer("two")
    assert await scene.has("two")
    assert [line["event"] for line in logged][2:] == ["issuer_keys"]


async def test_nobody_waits_for_an_issuer_that_is_known_to_be_away() -> None:
    scene = Scene()
    assert await scene.has("one")
    scene.answers = Away
    scene.clock.advance(REFRESH)
    assert await scene.has("one")
    scene.hold()
    scene.clock.advance(REFETCH)
    assert await scene.has("one"), "it is asked, and this does not wait"
    await scene.settle()
    assert scene.asked == 3
    scene.answers = signer("two")
    scene.gate.set()
    await scene.settle()
    assert await scene.has("two")


async def test_an_issuer_that_is_away_is_asked_once_in_a_while() -> None:
    scene = Scene()
    assert await scene.has("one")
    scene.answers = Away
    scene.clock.advance(REFRESH)
    for _ in range(100):
        assert await scene.has("one")
        await scene.settle()
        scene.clock.advance(1)
    assert scene.asked == 1 + 10


@pytest.mark.parametrize("rubbish", [b"", b"<html>oops</html>", b"{}", b'{"keys":5}', b"[" * 100_000])
async def test_rubbish_is_no_answer(rubbish: bytes, logged: list[Any]) -> None:
    scene = Scene()
    assert await scene.has("one")
    scene.answers = rubbish
    scene.clock.advance(REFRESH)
    assert await scene.has("one")
    assert logged[-1]["reason"] == "its key set is none"


async def test_an_empty_set_is_an_answer_that_withdraws_every_key() -> None:
    scene = Scene()
    assert await scene.has("one")
    scene.answers = b'{"keys":[]}'
    scene.clock.advance(REFRESH)
    assert not await scene.has("one")


# -- what the keys at hand cannot judge ------------------------------------------------------------------------------


async def test_a_new_key_is_found_at_once() -> None:
    scene = Scene()
    keys = await scene.source.current()
    scene.answers = signer("two")
    scene.clock.advance(REFETCH)
    found = await scene.newer(keys)
    assert found is not None
    assert found.find("two", "ES256") is not None
    assert await scene.newer(keys) is found, "whoever saw the old ones is shown the new ones without a question"
    assert scene.asked == 2


async def test_a_flood_of_made_up_keys_asks_once_in_a_while() -> None:
    scene = Scene()
    for second in range(60):
        for _ in range(100):
            keys = await scene.source.current()
            found = await scene.newer(keys)
            assert found is None or found.find("made-up", "ES256") is None
        assert scene.asked == 1 + second // 10
        scene.clock.advance(1)


async def test_a_flood_of_them_at_once_shares_one_question() -> None:
    scene = Scene()
    keys = await scene.source.current()
    scene.clock.advance(REFETCH)
    scene.hold()
    waiting = [asyncio.create_task(scene.newer(keys)) for _ in range(100)]
    await scene.settle()
    assert await scene.has("one"), "those with a key that is known go on"
    scene.gate.set()
    assert len(set(await asyncio.gather(*waiting))) == 1
    assert scene.asked == 2


async def test_while_the_issuer_is_away_nobody_can_say_that_a_key_is_made_up() -> None:
    scene = Scene()
    keys = await scene.source.current()
    scene.answers = Away
    scene.clock.advance(REFETCH)
    for _ in range(3):
        with pytest.raises(GatewayError) as caught:
            await scene.newer(keys)
        assert caught.value.code is Code.AUTH_BACKEND_UNAVAILABLE
        assert caught.value.retry_after == REFETCH
    assert scene.asked == 2
    assert await scene.has("one")


# -- its end ---------------------------------------------------------------------------------------------------------


async def test_closing_ends_the_question_under_way() -> None:
    scene = Scene()
    scene.hold()
    asking = asyncio.create_task(scene.has("one"))
    await scene.settle()
    await scene.source.aclose()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_closing_what_never_asked_is_no_error() -> None:
    await Scene().source.aclose()


async def test_a_question_logs_for_nobody_in_particular(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    seen: list[str | None] = []

    async def fetch() -> bytes:
        seen.append(REQUEST_ID.get())
        return key_set(signer())

    monkeypatch.setattr(scene.source, "_fetch", fetch)
    REQUEST_ID.set("req_of_somebody")
    assert await scene.has("one")
    assert seen == [None]
