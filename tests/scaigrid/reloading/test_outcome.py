"""What came of reading a file again."""

import msgspec
import pytest

from scaigrid.control.plan import Plan, Step
from scaigrid.reloading.outcome import Outcome, Reloaded


@pytest.mark.parametrize(
    ("outcome", "in_force"),
    [("applied", True), ("unchanged", True), ("refused", False), ("invalid", False), ("failed", False)],
)
def test_two_of_five_are_in_force(outcome: Outcome, in_force: bool) -> None:
    assert Reloaded(outcome=outcome).in_force is in_force


def test_it_goes_over_a_wire() -> None:
    step = Step(kind="user", id="user_1", name="ann", reason="in use")
    one = Reloaded(outcome="refused", plan=Plan(refused=(step,)), restart_needed=("log.level",))
    assert msgspec.json.decode(msgspec.json.encode(one), type=Reloaded) == one
