"""A client who leaves is billed once, wherever it leaves: a stream is cut after each of its events, by both policies.

The stream is a recorded one where there are recordings (SCAIGRID_RECORDINGS), else a written one.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec

from tests.harness import recordings
from tests.harness.behaviours import stream
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway
from tests.harness.provider import Conversation, Gate, Seen
from tests.money import site
from tests.money.callers import Leaver
from tests.money.fact import Found, Room
from tests.money.orders import Order, named
from tests.money.till import frames_of

POLICIES: Final = ("cancel", "drain")
_PURSE: Final = "leaver"
_FEW: Final = 6
_MOST: Final = 60
"""Events of a recorded stream: one that is not much longer than what is cut here."""


class Cut(msgspec.Struct, kw_only=True):
    """One stream that was left after so many events, and the rows of it."""

    policy: str
    index: int
    rows: list[dict[str, Any]]
    provider_left: bool
    """The gateway closed the provider's connection before the answer was over."""


class Left(msgspec.Struct, kw_only=True):
    cuts: list[Cut]
    whole: dict[str, Any]
    """The row of the same stream when it is read to its end."""
    usage_index: int
    """The event after which the usage is known."""
    spent: int
    ledger: int


def judged(seen: Left) -> Found:
    found = Found(lost_rows=0, double_rows=0, unsettled=int(seen.spent != seen.ledger))
    whole = seen.whole
    for cut in seen.cuts:
        name = f"{cut.policy} at event {cut.index}"
        found.lost_rows = (found.lost_rows or 0) + (not cut.rows)
        found.double_rows = (found.double_rows or 0) + max(0, len(cut.rows) - 1)
        found.expect(len(cut.rows) == 1, f"{name}: {len(cut.rows)} rows")
        for row in cut.rows:
            told = f"{row['outcome']}, {row['usage_source']}, {row['cost']}"
            found.expect(row["outcome"] in ("client_closed", "ok"), f"{name}: {told}")
            if cut.policy == "drain" or cut.index > seen.usage_index:
                found.expect(row["cost"] == whole["cost"], f"{name}: {told} instead of {whole['cost']}")
            else:
                found.expect(row["usage_source"] in ("counted", "estimated"), f"{name}: {told}")
                found.expect(row["cost"] > 0, f"{name}: {told}")
        if cut.policy == "cancel" and cut.index <= seen.usage_index:
            found.expect(cut.provider_left, f"{name}: the provider's connection was left open")
        if cut.policy == "drain":
            found.expect(not cut.provider_left, f"{name}: the answer was not read to its end")
            found.expect(all(row["usage_source"] == "provider" for row in cut.rows), f"{name}: not by the provider")
    found.expect(seen.spent == seen.ledger, f"the counters have {seen.spent}, the ledger {seen.ledger}")
    return found


def show(room: Room) -> Found:
    source, frames = _frames()
    places = range(len(frames)) if room.size != "small" else range(0, len(frames), max(1, len(frames) // _FEW))
    usage_index = next(place for place, frame in enumerate(frames) if b'"usage":{' in frame.replace(b" ", b""))
    till = _Cutting(frames)
    endpoint = room.provider.at("/disconnect/v1").always(till)
    with Gateway(_config(endpoint.url), room.place("disconnect")) as gateway:
        whole_order = _order("m-cancel")
        with Leaver(gateway.port) as client:
            client.ask(whole_order)
            client.to_the_end()
        ids = {policy: {place: _order(f"m-{policy}") for place in places} for policy in POLICIES}
        # Those that are drained leave first: when the others have been noticed, these have been too.
        for policy in reversed(POLICIES):
            for place, order in ids[policy].items():
                till.cuts[order.id] = (place, Gate())
                with Leaver(gateway.port) as client:
                    client.ask(order)
                    assert till.cuts[order.id][1].reached.wait(PATIENCE)
        for order in ids["cancel"].values():
            eventually(partial(_left, till, order), "the provider is left")
        for order in ids["drain"].values():
            till.cuts[order.id][1].open()
        expected = 1 + sum(map(len, ids.values()))
        database = site.database_of(gateway)
        eventually(lambda: len(site.rows(database)) >= expected, f"{expected} rows", seconds=10)
        ledger = sum(row["cost"] for row in site.rows(database))
        with suppress(AssertionError):
            eventually(lambda: site.spent(gateway)[_PURSE, "cost"] == ledger, "all is settled", seconds=5)
        spent = site.spent(gateway)[_PURSE, "cost"]
        gateway.stop()
        rows = site.rows(database)
    by_id: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_id.setdefault(row["request_id"], []).append(row)
    cuts = [
        Cut(policy=policy, index=place, rows=by_id.get(order.id, []), provider_left=_left(till, order))
        for policy, orders in ids.items()
        for place, order in orders.items()
    ]
    (whole,) = by_id[whole_order.id]
    for policy in POLICIES:
        costs = [row["cost"] for cut in cuts if cut.policy == policy for row in cut.rows]
        sources = sorted({row["usage_source"] for cut in cuts if cut.policy == policy for row in cut.rows})
        room.say(
            f"{policy:6} {source}, cut at {len(costs)} of {len(frames)} events: {min(costs, default=0)} to "
            f"{max(costs, default=0)} nano-units, whole {whole['cost']}; counted by {', '.join(sources)}"
        )
    return judged(Left(cuts=cuts, whole=whole, usage_index=usage_index, spent=spent, ledger=ledger))


class _Cutting:
    """The provider: sends the same stream to everybody, and stops for a while where one of them is to leave."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        self.cuts: dict[str, tuple[int, Gate]] = {}
        """By request id: after how many events, and what keeps the rest back."""
        self.seen: dict[str, Seen] = {}
        self._frames = frames

    async def __call__(self, conversation: Conversation) -> None:
        id_ = conversation.request.header("x-request-id") or ""
        self.seen[id_] = conversation.request
        place, gate = self.cuts.get(id_, (0, None))
        held = () if gate is None else (gate,)
        await stream(*self._frames[:place], *held, *self._frames[place:])(conversation)


def _left(till: _Cutting, order: Order) -> bool:
    return till.seen[order.id].left.is_set()


def _config(url: str) -> dict[str, Any]:
    made = site.config(url, {_PURSE: {}}, budgets={_PURSE: site.budget("user", _PURSE, cost_limit=1000)})
    plain = {**made["models"]["m"], "context_window": 100_000, "max_output_tokens": 10_000}
    made["models"] = {f"m-{policy}": {**plain, "on_disconnect": policy} for policy in POLICIES}
    return made


def _order(model: str) -> Order:
    return Order(
        id=named(_PURSE), purse=_PURSE, tokens_in=90, tokens_out=30, bound=100, stream=True, pieces=12, model=model
    )


def _frames() -> tuple[str, list[bytes]]:
    """The events, and where they are from: the shortest recorded stream that is long enough and says its usage."""
    written = frames_of(_order("m"))
    if recordings.folder() is None:
        return "a written stream", written
    found = [
        (len(frames), str(one), frames)
        for one in recordings.exchanges("api.openai.com", "/chat/completions")
        if one.status == 200 and b"data: [DONE]" in one.response_body and b'"prompt_tokens"' in one.response_body
        for frames in [[frame + b"\n\n" for frame in one.response_body.split(b"\n\n") if frame.strip()]]
        if _FEW <= len(frames) <= _MOST
    ]
    return ("a recorded stream", min(found)[2]) if found else ("a written stream", written)
