"""What came of reading the file again: the answer to who asked for it."""

from typing import Literal

import msgspec

from scaigrid.control.plan import Plan

Outcome = Literal["applied", "unchanged", "refused", "invalid", "failed"]


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """`applied` and `unchanged` are in force; after the other three everything is as it was."""

    outcome: Outcome
    plan: Plan | None = None
    """What was done, or what was refused. None where it did not come to a plan."""
    errors: tuple[str, ...] = ()
    """What is wrong with the file, one error each, or why it could not be applied."""
    restart_needed: tuple[str, ...] = ()
    """Settings that differ from those that the gateway was started with, dotted: they wait for the next start."""

    @property
    def in_force(self) -> bool:
        return self.outcome in ("applied", "unchanged")
