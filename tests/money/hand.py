"""One of several processes that take from the same budget in a Valkey: it plays a script, line by line, from its input.

Each line is a JSON list of steps that run at the same time; the answer is a line too: what became of each of them.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Literal

import msgspec

from scaigrid.clock import SystemClock
from scaigrid.config.schema import Store
from scaigrid.limiter import Bucket, Take
from scaigrid.secrets import Secret
from scaigrid.stores.valkey import ValkeyLimiter

How = Literal["settle", "release", "leave"]
TIMEOUT = 5.0


class Step(msgspec.Struct, frozen=True):
    """Takes `amount` of every budget named, and if it is let: settles to `used`, releases, or never comes back."""

    budgets: tuple[str, ...]
    amount: int
    how: How
    used: int = 0
    pause: int = 0
    """Turns of the loop between the two."""


class Script(msgspec.Struct, frozen=True):
    limits: dict[str, int]
    """By budget."""
    steps: tuple[Step, ...]


class Outcome(msgspec.Struct, frozen=True):
    """Whether a step was let in."""

    taken: bool


_script = msgspec.json.Decoder(Script).decode


def bucket(name: str, limit: int) -> Bucket:
    return Bucket(key=f"budget:{name}:cost:0", level="user", kind="cost", limit=limit, fund=True, name=name)


def limiter_at(url: str) -> ValkeyLimiter:
    return ValkeyLimiter(Store(type="valkey", url=Secret(url), timeout_seconds=TIMEOUT), SystemClock())


async def played(limiter: ValkeyLimiter, script: Script) -> list[Outcome]:
    """All steps at the same time."""
    buckets = {name: bucket(name, limit) for name, limit in script.limits.items()}

    async def play(step: Step) -> Outcome:
        takes = [Take(buckets[name], step.amount) for name in step.budgets]
        decision = await limiter.acquire(takes)
        if decision.lease is None:
            return Outcome(taken=False)
        for _ in range(step.pause):
            await asyncio.sleep(0)
        if step.how == "settle":
            await limiter.settle(decision.lease, {take.bucket.key: step.used for take in takes})
        elif step.how == "release":
            await limiter.release(decision.lease)
        return Outcome(taken=True)

    return await asyncio.gather(*map(play, script.steps))


async def main(url: str) -> None:
    limiter = limiter_at(url)
    await limiter.preset({})
    reader, encode = asyncio.StreamReader(limit=2**24), msgspec.json.encode
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _say(b"ready\n")
    while line := await reader.readline():
        outcomes: Sequence[Outcome] = await played(limiter, _script(line))
        # What has ended has been heard of once something said behind it has been answered.
        await limiter.spent([])
        _say(encode(outcomes) + b"\n")
    await limiter.aclose()


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
