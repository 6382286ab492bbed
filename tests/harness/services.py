"""Services of which every part is in memory, for a link or a forwarder that stands alone in a test."""

from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from prometheus_client import generate_latest

from adapters import ADAPTERS
from scaigrid.config import references, schema
from scaigrid.config.snapshot import Current, Model, Principal
from scaigrid.control.compile import compile_snapshot
from scaigrid.dialects import DIALECTS
from scaigrid.errors import Code, GatewayError
from scaigrid.gates import Gates
from scaigrid.health import Health
from scaigrid.ledger.records import AuditRow, Record, Settling, UsageRow
from scaigrid.log import LineSink
from scaigrid.middleware import Services
from scaigrid.secrets import decode_secret
from scaigrid.stores.memory import MemoryLimiter
from scaigrid.telemetry import Telemetry
from tests.harness.clock import StillClock
from tests.harness.gateway import Metrics

_UTC: Final = ZoneInfo("UTC")
"""Read from the disk here, where no loop runs: budgets are then compiled from what is at hand."""

KEY: Final = "sgk_ann_".ljust(44, "0")
"""The key of the user `ann`."""
BEARER: Final = {"authorization": f"Bearer {KEY}"}
PROVIDER_KEY: Final = "pk-of-the-provider-not-to-be-seen"
MODEL: Final[Mapping[str, Any]] = {
    "prices": {"input": 3, "output": 15},
    "context_window": 100_000,
    "max_output_tokens": 1_000,
    "route": {"targets": [{"backend": "one"}, {"backend": "two", "priority": 1}]},
}
"""`acme/chat`: a request's input token costs 3,000 nano-units, an output token 15,000."""
_SECTIONS: Final[Mapping[str, Any]] = {
    "users": {"ann": {"email": "ann@example.test"}},
    "keys": {"ann": {"user": "ann", "key": KEY}},
    "providers": {"up": {"type": "openai", "base_url": "http://provider.invalid/v1", "api_key": PROVIDER_KEY}},
    "backends": {
        "one": {"provider": "up", "model": "upstream-one", "cost": {"input": 1, "output": 5}},
        "two": {"provider": "up", "model": "upstream-two", "cost": {"input": 2, "output": 10}},
    },
    "models": {"acme/chat": MODEL},
}


def config(**sections: Any) -> schema.Config:
    """One user, one key, one model on two backends; `sections` replace whole ones. It could be loaded, or it fails."""
    made = msgspec.convert({**_SECTIONS, **sections}, schema.Config, dec_hook=decode_secret)
    assert list(references.check(made, ADAPTERS)) == []
    return made


class Kept:
    """A recorder that keeps its records where a test can see them, until it is told that its disk is full."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.full = False
        self.known_full = False
        """Something has found out already."""

    def check(self) -> None:
        if self.known_full:
            raise GatewayError(Code.STORE_UNAVAILABLE)

    def append(self, record: Record) -> None:
        if self.full:
            raise GatewayError(Code.STORE_UNAVAILABLE)
        self.records.append(record)

    @property
    def usage(self) -> list[UsageRow]:
        records = [record.row if isinstance(record, Settling) else record for record in self.records]
        return [record for record in records if isinstance(record, UsageRow)]

    @property
    def audit(self) -> list[AuditRow]:
        return [record for record in self.records if isinstance(record, AuditRow)]


class Written(LineSink):
    """A sink that only remembers."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.raw: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.raw.append(line)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.raw]


class Parts:
    """The services, and each of their parts where a test wants to look at it or to move it."""

    def __init__(self, **sections: Any) -> None:
        """`sections` of the configuration, as the file has them."""
        self.clock = StillClock()
        self.limiter = MemoryLimiter(self.clock)
        self.kept = Kept()
        self.written = Written()
        self.telemetry = Telemetry()
        self.health = Health(self.telemetry)
        self.gates = Gates(self.telemetry)
        self.snapshot = compile_snapshot(config(**sections), ADAPTERS)
        self.services = Services(
            clock=self.clock,
            current=Current(self.snapshot),
            dialects=DIALECTS,
            limiter=self.limiter,
            health=self.health,
            gates=self.gates,
            recorder=self.kept,
            telemetry=self.telemetry,
            lines=self.written,
        )

    @property
    def principal(self) -> Principal:
        """The holder of the first key."""
        return next(iter(self.snapshot.keys.values()))

    @property
    def model(self) -> Model:
        """The first model."""
        return next(iter(self.snapshot.models.values()))

    @property
    def metrics(self) -> Metrics:
        return Metrics(generate_latest(self.telemetry.registry).decode())

    async def taken(self) -> list[tuple[int, int]]:
        """What the limiter holds of each limit and budget of the first key: spent, and reserved."""
        now = self.clock.now()
        buckets = [take.bucket for take in (*self.principal.windows, *self.model.windows)]
        buckets += [*self.principal.token_windows, *self.model.token_windows]
        buckets += [fund.at(now) for fund in (*self.principal.funds, *self.model.funds)]
        return list((await self.limiter.spent(buckets)).values())
