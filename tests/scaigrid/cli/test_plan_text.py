"""A plan for people, and for programs."""

import json
from io import StringIO

from scaigrid.cli.paint import Paint
from scaigrid.cli.plan_text import counts, plan_lines, plan_object
from scaigrid.control.plan import Field, Plan, Step

STEP = Step(kind="api_key", id="apikey_1", name="app\x1b")
PLAN = Plan(
    create=(STEP,),
    change=(
        Step(kind="model", id="model_1", name="a/b", fields=(Field("system_prompt", None, "x" * 500),)),
        Step(kind="tenant", id="tenant_1", name="t", fields=(Field("limits.requests_per_minute", "default", 5),)),
    ),
    refused=(Step(kind="user", id="user_1", name="u", reason="in use by\nothers"),),
    unchanged=4,
)
PLAIN = Paint(StringIO())


def test_each_step_has_a_line_and_each_change_one_below_it() -> None:
    lines = list(plan_lines(PLAN, PLAIN))
    assert lines[0] == "+ API key app\\x1b apikey_1"
    assert lines[1] == "~ model a/b model_1"
    assert lines[2].startswith('    system_prompt: null -> "xxx')
    assert lines[2].endswith("xxx...")
    assert len(lines[2]) < 220
    assert lines[4] == '    limits.requests_per_minute: "default" -> 5'
    assert lines[5] == "! user u user_1: in use by\\nothers"


def test_what_only_the_file_knows_of_is_told() -> None:
    (line,) = plan_lines(Plan(absent=(STEP,)), PLAIN)
    assert line.endswith("apikey_1: known to the file, and deleted over the API")


def test_steps_are_counted() -> None:
    assert counts(PLAN) == "1 to create, 2 to change, 1 refused; 4 unchanged"
    assert counts(Plan(create=(STEP,), delete=(STEP,)), done=True) == "1 created, 1 deleted; 0 unchanged"
    assert counts(Plan(unchanged=3)) == "nothing to change; 3 unchanged"


def test_programs_get_one_object_with_every_step() -> None:
    found = json.loads(plan_object(PLAN, applied=False))
    assert set(found) == {"create", "change", "delete", "refused", "unchanged", "applied"}
    assert found["change"][1]["fields"] == [{"field": "limits.requests_per_minute", "before": "default", "after": 5}]
    assert found["refused"] == [{"kind": "user", "id": "user_1", "name": "u", "reason": "in use by\nothers"}]
    assert "absent" in json.loads(plan_object(Plan(absent=(STEP,))))
