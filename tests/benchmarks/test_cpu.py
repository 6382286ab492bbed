import os

import pytest

from benchmarks.cpu import Process, busy_seconds, parse_busy, parse_process, pinned_to, tree, tree_seconds
from benchmarks.errors import RigError

STAT = "{pid} ({name}) S {parent} 7 7 0 -1 4194560 9 8 0 0 {user} {system} {of_children} 0 20 0 1 0 100 1000 10"


@pytest.mark.parametrize("name", ["nginx", "a b", "tricky) R 1 2 (", "((", ")"])
def test_the_name_of_a_process_may_hold_anything(name: str) -> None:
    line = STAT.format(pid=42, name=name, parent=7, user=100, system=20, of_children="3 4")
    assert parse_process(line) == Process(42, 7, 127)


def test_a_tree_is_a_process_and_everything_below_it() -> None:
    processes = [
        Process(4, 3, 8),
        Process(1, 0, 1),
        Process(3, 2, 4),
        Process(2, 1, 2),
        Process(9, 1, 64),
        Process(5, 2, 16),
    ]
    assert {process.pid for process in tree(2, processes)} == {2, 3, 4, 5}
    assert sum(process.ticks for process in tree(2, processes)) == 30


def test_a_process_that_has_ended_has_no_tree() -> None:
    assert tree(7, [Process(1, 0, 1)]) == []
    with pytest.raises(RigError, match="has ended"):
        tree_seconds(2**22 + 1)


def test_this_process_is_in_its_own_tree() -> None:
    used = sum(os.times()[:2])
    assert tree_seconds(os.getpid()) >= used - 0.05


def test_a_core_is_busy_with_everything_but_waiting() -> None:
    text = "cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 10 1 5 1000 500 2 3 4 0 0\ncpu1 1 0 1 7 0 0 0 0 0 0\n"
    assert parse_busy(text, 0) == 25
    assert parse_busy(text, 1) == 2
    with pytest.raises(RigError, match="no core 2"):
        parse_busy(text, 2)


def test_the_machine_knows_its_cores() -> None:
    assert busy_seconds(min(os.sched_getaffinity(0))) >= 0


def _fail_on(core: int) -> None:
    raise RigError("as it should" if os.sched_getaffinity(0) == {core} else "not pinned")


def test_pinning_ends_where_it_should() -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(RigError, match="as it should"), pinned_to(min(before)):
        _fail_on(min(before))
    assert os.sched_getaffinity(0) == before
