"""A plan for people, line by line; and as the one JSON object that programs read."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from scaigrid.cli.paint import Colour, Paint, harmless
from scaigrid.control.kinds import KINDS
from scaigrid.control.plan import Plan, Step

_MOST = 160
"""Characters of a value."""


def plan_lines(plan: Plan, paint: Paint) -> Iterator[str]:
    """Every step, and what each changes."""
    yield from _steps("+", "green", plan.create, paint)
    yield from _steps("~", "yellow", plan.change, paint)
    yield from _steps("-", "red", plan.delete, paint)
    yield from _steps("?", "dim", plan.absent, paint, "known to the file, and deleted over the API")
    yield from _steps("!", "red", plan.refused, paint)


def counts(plan: Plan, *, done: bool = False) -> str:
    """`2 to create, 1 to delete; 5 unchanged`; what is done, as done."""
    kinds = ((plan.create, "create"), (plan.change, "change"), (plan.delete, "delete"))
    told = [f"{len(steps)} {verb + 'd' if done else 'to ' + verb}" for steps, verb in kinds if steps]
    told += [f"{len(plan.refused)} refused"] if plan.refused else []
    return f"{', '.join(told) or 'nothing to change'}; {plan.unchanged} unchanged"


def plan_object(plan: Plan, **more: Any) -> str:
    """`create`, `change`, `delete` and `refused`, each a list of steps; `absent` where there are any."""
    steps: dict[str, Any] = {name: getattr(plan, name) for name in plan.__struct_fields__}
    if not plan.absent:
        del steps["absent"]
    return msgspec.json.encode({**steps, **more}).decode()


def _steps(sign: str, colour: Colour, steps: Sequence[Step], paint: Paint, note: str = "") -> Iterator[str]:
    for step in steps:
        line = f"{sign} {KINDS[step.kind].title} {harmless(step.name)}"
        reason = harmless(step.reason or note)
        yield f"{paint(colour, line)} {paint('dim', step.id)}{': ' + reason if reason else ''}"
        for field in step.fields:
            yield f"    {harmless(field.field)}: {_value(field.before)} -> {_value(field.after)}"


def _value(value: object) -> str:
    text = harmless(msgspec.json.encode(value).decode())
    return text if len(text) <= _MOST else text[:_MOST] + "..."
