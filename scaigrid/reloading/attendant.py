"""The thread beside the one that keeps the workers: it answers `scaigrid reload` and looks at the file."""

import os
import select
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec
import structlog

from scaigrid.clock import Clock
from scaigrid.reloading.channel import Channel
from scaigrid.reloading.outcome import Outcome, Reloaded
from scaigrid.reloading.watch import Watch

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5
"""Between two looks at the file; a change is taken when it has been there for two."""
AGAIN_SECONDS = 10.0
"""Between two attempts at a change that could not be applied although nothing is wrong with it."""
_STOP_SECONDS = 5.0
_MOST_ERRORS = 20


class Attendant:
    """As a context it works while the block runs, and closes the channel in the end.

    `watch` is None where nobody wants the file watched.
    """

    def __init__(
        self,
        reload: Callable[[str], Reloaded],
        channel: Channel,
        watch: Watch | None,
        clock: Clock,
        tally: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        """`tally` counts what came of it."""
        self._reload = reload
        self._tally = tally
        self._channel = channel
        self._watch = watch
        self._clock = clock
        self._not_before = 0.0
        # A pipe, for the thread waits in select: an Event could not wake it.
        self._told, self._tell = os.pipe()
        self._thread = threading.Thread(target=self._work, name="attendant", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not closed alone: the workers have been given copies of it.
        os.write(self._tell, b".")
        os.close(self._tell)
        # Should it be at work still, it is a daemon: what it applies is all applied or nothing.
        self._thread.join(_STOP_SECONDS)
        self._channel.close()

    def _work(self) -> None:
        listener = self._channel.listener
        waiting: list[int | socket.socket] = [self._told] if listener is None else [self._told, listener]
        while True:
            ready, _, _ = select.select(waiting, [], [], LOOK_SECONDS)
            if self._told in ready:
                os.close(self._told)
                return
            try:
                if ready:
                    self._answer()
                self.look()
            except Exception as error:  # noqa: BLE001 - the gateway serves on, and the next change is to be seen
                _log.error("config_reload_failed", cause="unexpected", errors=[f"{type(error).__name__}: {error}"])

    def _answer(self) -> None:
        question = self._channel.take()
        if question is None:
            return
        if question.text != b"reload":
            question.answer(msgspec.json.encode(Reloaded(outcome="failed", errors=("not a question that I know",))))
            return
        question.answer(msgspec.json.encode(self.reload("reload")))

    def look(self) -> None:
        """Takes a change of the file, where there is one."""
        now = self._clock.monotonic()
        if self._watch is None or now < self._not_before:
            return
        if self._watch.changed() is not None:
            done = self.reload("watch")
            if done.outcome == "failed":
                self._not_before = now + AGAIN_SECONDS
                self._watch.again()

    def reload(self, cause: str) -> Reloaded:
        """Reads the file again, and tells the log what came of it."""
        if self._watch is not None and cause != "watch":
            self._watch.note()
        try:
            done = self._reload(cause)
        except Exception:
            self._tally("failed")
            raise
        self._tally(done.outcome)
        _tell(done, cause)
        return done


def _tell(done: Reloaded, cause: str) -> None:
    told: dict[str, object] = {"cause": cause, "outcome": done.outcome}
    if done.plan is not None:
        steps = {"created": done.plan.create, "changed": done.plan.change, "deleted": done.plan.delete}
        told |= {name: len(found) for name, found in steps.items()}
        if done.plan.refused:
            told["refused"] = [f"{step.kind} {step.name}: {step.reason}" for step in done.plan.refused[:_MOST_ERRORS]]
    if done.errors:
        told["errors"] = list(done.errors[:_MOST_ERRORS])
    if done.restart_needed:
        told["restart_needed"] = list(done.restart_needed)
    if done.in_force:
        _log.info("config_reloaded", **told)
    else:
        _log.warning("config_not_reloaded", **told)
