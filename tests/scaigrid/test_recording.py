"""What one attempt leaves in the journal. When it does so is shown in test_sending and test_hedging."""

import pytest

from scaigrid.call import Call
from scaigrid.config.snapshot import Model
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Attempt
from scaigrid.ledger.records import Begun, Settling, UsageRow
from scaigrid.recording import Recording
from tests.scaigrid.scene import Scene


def recording(scene: Scene, *, shared: bool = False) -> Recording:
    exchange = scene.exchange
    call, model = exchange.call, exchange.model
    assert isinstance(call, Call)
    assert isinstance(model, Model)
    attempt = Attempt(backend=exchange.candidates[0], number=1, id="usage_1", started=exchange.started)
    return Recording(scene.parts.services, exchange, attempt, call, model, shared=shared)


async def test_it_says_once_more_with_its_row_what_it_said_when_it_began() -> None:
    scene = Scene()
    one = recording(scene)
    one.begun()
    one.served(None, None, complete=True)
    begun, row = scene.parts.kept.records
    assert isinstance(begun, Begun)
    assert isinstance(row, UsageRow)
    assert (begun.id, row.id, row.outcome, row.serving) == ("usage_1", "usage_1", "ok", True)


async def test_what_has_its_row_does_not_begin_any_more() -> None:
    scene = Scene()
    one = recording(scene)
    one.failed(GatewayError(Code.BACKEND_ERROR))
    one.begun()
    assert (one.done, [type(record) for record in scene.parts.kept.records]) == (True, [UsageRow])


async def test_only_an_answer_settles_a_lease() -> None:
    scene = Scene()
    scene.exchange.lease = "epoch-1"
    recording(scene, shared=True).failed(GatewayError(Code.BACKEND_ERROR))
    recording(scene, shared=True).overtaken()
    recording(scene, shared=True).served(None, None, complete=True)
    assert [type(record) for record in scene.parts.kept.records] == [UsageRow, UsageRow, Settling]


async def test_an_answer_has_to_be_recorded_and_an_overtaken_copy_does_not() -> None:
    scene = Scene()
    scene.parts.kept.full = True
    one = recording(scene)
    one.begun()
    recording(scene).overtaken()
    with pytest.raises(GatewayError) as caught:
        one.served(None, None, complete=True)
    assert caught.value.code is Code.STORE_UNAVAILABLE
