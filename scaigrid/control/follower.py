"""Keeps a worker's state and snapshot at the deployment's epoch, and makes changes to it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import structlog

from scaigrid.clock import Clock
from scaigrid.config.snapshot import Current, Principal, Snapshot
from scaigrid.control.state import State
from scaigrid.control.store import Change, ControlStore
from scaigrid.errors import GatewayError

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
"""The floor: a change is seen after so long even where nobody tells of it."""
_USES_EVERY = 30
"""Polls between two writings of when keys were used."""


class Control:
    """The control plane of one worker: the state that it reads, and the way to change it.

    `adopt` is told of each new snapshot before it is put in force: budgets that are new have to be counted first.
    """

    def __init__(
        self,
        store: ControlStore,
        compiled: Callable[[State], Snapshot],
        current: Current,
        clock: Clock,
        adopt: Callable[[Snapshot], Awaitable[None]],
    ) -> None:
        self._store = store
        self._compiled = compiled
        self._current = current
        self._clock = clock
        self._adopt = adopt
        self._state: State | None = None
        self._turn = asyncio.Lock()
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._used: dict[str, float] = {}
        self._writing: dict[str, float] = {}
        self._failing = False
        self.config_hash: str | None = None
        self.rebuild_seconds = 0.0
        """How long the snapshot in force took to make."""
        self.changed_at = 0.0
        """When the snapshot in force was put in force, in seconds since the epoch."""

    @property
    def state(self) -> State:
        """What this worker knows. Raises LookupError before `open`."""
        if self._state is None:
            raise LookupError("the state has not been read yet")
        return self._state

    @property
    def store(self) -> ControlStore:
        return self._store

    async def open(self) -> None:
        """Reads everything and puts it in force. Raises GatewayError(STORE_UNAVAILABLE)."""
        await self._put_in_force(await self._store.load())

    def follow(self) -> None:
        """Begins to look for changes."""
        self._tasks = [
            asyncio.create_task(self._follow(), name="control-follower"),
            asyncio.create_task(self._store.listen(self.wake), name="control-listener"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(GatewayError):
            await self.write_uses()

    def wake(self) -> None:
        """Somebody has told of a change: look now."""
        self._woken.set()

    async def refresh(self) -> State:
        """The state as the database has it now, in force in this worker. Raises GatewayError(STORE_UNAVAILABLE)."""
        async with self._turn:
            known = self.state
            state = await self._store.advance(known)
            if state is not known:
                await self._put_in_force(state)
            return state

    @asynccontextmanager
    async def change(self) -> AsyncGenerator[Change]:
        """One change; it is in force in this worker when the block is left, and nothing has changed where it raises."""
        async with self._turn:
            async with self._store.change(self._state) as change:
                yield change
            if self._state is None or change.state.epoch != self._state.epoch:
                await self._put_in_force(change.state)

    def seen(self, principal: Principal) -> None:
        """A key was used."""
        if principal.key is not None:
            self._used[principal.key.id] = self._clock.now()

    @property
    def uses(self) -> Mapping[str, float]:
        """When keys were used that is not written yet, by id, in seconds since the epoch."""
        return self._writing | self._used

    async def _put_in_force(self, state: State) -> None:
        # In a thread, for ten thousand tenants take longer than a stream may wait.
        began = self._clock.monotonic()
        snapshot = await asyncio.to_thread(self._compiled, state)
        self.rebuild_seconds = self._clock.monotonic() - began
        await self._adopt(snapshot)
        self._state = state
        self._current.snapshot = snapshot
        self.config_hash = await self._store.config_hash()
        self.changed_at = self._clock.now()

    async def _follow(self) -> None:
        polls = 0
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)
            self._woken.clear()
            polls += 1
            try:
                await self.refresh()
                if polls % _USES_EVERY == 0:
                    await self.write_uses()
            except GatewayError as error:
                self._fails(str(error.__cause__ or error))
            except Exception as error:  # noqa: BLE001 - the old snapshot goes on serving, whatever the new one has
                self._fails(f"{type(error).__name__}: {error}")
            else:
                if self._failing:
                    _log.info("control_plane_resumed", epoch=self.state.epoch)
                self._failing = False

    def _fails(self, why: str) -> None:
        if not self._failing:
            _log.warning("control_plane_stalled", error=why)
        self._failing = True

    async def write_uses(self) -> None:
        """Keeps when keys were used. Raises GatewayError(STORE_UNAVAILABLE), and forgets nothing."""
        if self._used:
            self._writing, self._used = self._used, {}
            try:
                await self._store.used(self._writing)
            except GatewayError:
                self._used = self._writing | self._used
                raise
            finally:
                self._writing = {}
