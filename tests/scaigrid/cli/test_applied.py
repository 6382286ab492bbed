"""What was applied, or why nothing was."""

import json
from argparse import Namespace
from io import StringIO

from scaigrid.cli.applied import report, report_refused
from scaigrid.control.apply import Applied
from scaigrid.control.plan import Plan, Step

STEP = Step(kind="user", id="user_1", name="ann", reason="")
PEOPLE, PROGRAMS = Namespace(json=False, no_color=True), Namespace(json=True, no_color=True)


def told(done: Applied, given: Namespace) -> str:
    out = StringIO()
    report(done, given, out)
    return out.getvalue()


def test_people_are_told_each_step_and_the_entry() -> None:
    done = Applied(plan=Plan(create=(STEP,), unchanged=2), seq=4)
    assert told(done, PEOPLE) == "+ user ann user_1\nApplied, entry 4 of the history: 1 created; 2 unchanged.\n"


def test_people_are_told_that_there_was_nothing_to_do() -> None:
    done = Applied(plan=Plan(unchanged=2), sealed_anew=3)
    assert told(done, PEOPLE) == (
        "Nothing to change: 2 resources are as declared.\nEncrypted anew with the first key: 3 rows.\n"
    )


def test_programs_get_one_object() -> None:
    found = json.loads(told(Applied(plan=Plan(create=(STEP,)), seq=4, sealed_anew=1), PROGRAMS))
    assert (found["applied"], found["seq"], found["sealed_anew"], len(found["create"])) == (True, 4, 1, 1)


def test_what_was_refused_is_told_with_its_reason() -> None:
    plan = Plan(create=(STEP,), refused=(Step(kind="user", id="user_2", name="bob", reason="in use"),))
    out = StringIO()
    report_refused(plan, PEOPLE, out)
    assert out.getvalue().splitlines()[1:] == [
        "! user bob user_2: in use",
        "Nothing was applied: 1 to create, 1 refused; 0 unchanged.",
    ]
    out = StringIO()
    report_refused(plan, PROGRAMS, out)
    assert json.loads(out.getvalue())["applied"] is False
