"""What was applied, or why nothing was: for people, or as the one JSON object that programs read."""

from argparse import Namespace
from typing import TextIO

from scaigrid.cli.paint import Paint
from scaigrid.cli.plan_text import counts, plan_lines, plan_object
from scaigrid.control.apply import Applied
from scaigrid.control.plan import Plan


def report(done: Applied, given: Namespace, out: TextIO) -> None:
    """`given` has `json` and `no_color`."""
    if given.json:
        print(plan_object(done.plan, applied=True, seq=done.seq, sealed_anew=done.sealed_anew), file=out)
        return
    for line in plan_lines(done.plan, Paint(out, never=given.no_color)):
        print(line, file=out)
    if done.seq is None:
        print(f"Nothing to change: {done.plan.unchanged} resources are as declared.", file=out)
    else:
        print(f"Applied, entry {done.seq} of the history: {counts(done.plan, done=True)}.", file=out)
    if done.sealed_anew:
        print(f"Encrypted anew with the first key: {done.sealed_anew} rows.", file=out)


def report_refused(plan: Plan, given: Namespace, out: TextIO) -> None:
    """Nothing was done; `given` as above."""
    if given.json:
        print(plan_object(plan, applied=False), file=out)
        return
    for line in plan_lines(plan, Paint(out, never=given.no_color)):
        print(line, file=out)
    print(f"Nothing was applied: {counts(plan)}.", file=out)
