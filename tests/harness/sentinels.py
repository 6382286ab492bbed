"""Real sentinels over a real primary and its replica, all on loopback: to see a failover as it is."""

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from tests.harness.eventually import eventually
from tests.harness.ports import LOOPBACK
from tests.harness.valkey import Valkey

NAME: Final = "counters"
_DOWN_AFTER: Final = 500
"""Milliseconds of silence after which a sentinel holds the primary for gone; a deployment has some thousands."""
_COUNT: Final = 3


class Sentinel(Valkey):
    """One that watches a primary. What it learns it keeps in its own file, from one start to the next.

    It is told of its replica and of the other sentinels, which it would learn by itself within some seconds.
    """

    def __init__(self, number: int, *, password: str | None = None) -> None:
        super().__init__(password=password)
        self.id = f"{number:040x}"
        self._sentinel_password = password

    def watch(
        self, primary: Valkey, replica: Valkey, sentinels: "Sequence[Sentinel]", password: str | None = None
    ) -> None:
        """Before its start. `password` is that of the servers."""
        lines = (
            f"sentinel myid {self.id}",
            f"port {self.port}",
            f"bind {LOOPBACK}",
            f"unixsocket {self.socket}",
            f"dir {self.directory}",
            f"sentinel monitor {NAME} {LOOPBACK} {primary.port} 2",
            f"sentinel down-after-milliseconds {NAME} {_DOWN_AFTER}",
            f"sentinel failover-timeout {NAME} 3000",
            *([f"sentinel auth-pass {NAME} {password}"] if password else []),
            f"sentinel known-replica {NAME} {LOOPBACK} {replica.port}",
            *(
                f"sentinel known-sentinel {NAME} {LOOPBACK} {other.port} {other.id}"
                for other in sentinels
                if other is not self
            ),
            *(
                [f"requirepass {self._sentinel_password}", f"sentinel sentinel-pass {self._sentinel_password}"]
                if self._sentinel_password
                else []
            ),
        )
        (self.directory / "sentinel.conf").write_text("\n".join(lines) + "\n")

    def _options(self) -> list[str]:
        return [str(self.directory / "sentinel.conf"), "--sentinel"]

    @property
    def primary(self) -> int:
        """The port of the server that it holds for the primary."""
        return int(self.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])

    @property
    def ready(self) -> bool:
        """It knows the replica and both of the others, so a failover can begin."""
        told = self.command("SENTINEL", "MASTER", NAME)
        says = dict(zip(told[::2], told[1::2], strict=True))
        return (says[b"num-slaves"], says[b"num-other-sentinels"], says[b"flags"]) == (b"1", b"2", b"master")


class Watched:
    """A primary, its replica and three sentinels, as a context; whatever is left of them is ended with it."""

    def __init__(self, *, password: str | None = None, sentinel_password: str | None = None) -> None:
        # Without the delay in which a primary waits for more replicas
        settings = {"repl_diskless_sync_delay": "0", **({"masterauth": password} if password else {})}
        self.primary = Valkey(password=password, **settings)
        self.replica = Valkey(password=password, replicaof=f"{LOOPBACK} {self.primary.port}", **settings)
        self.sentinels = [Sentinel(number, password=sentinel_password) for number in range(1, _COUNT + 1)]
        for sentinel in self.sentinels:
            sentinel.watch(self.primary, self.replica, self.sentinels, password)
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as running:
            for server in (self.primary, self.replica, *self.sentinels):
                running.enter_context(server)
            eventually(lambda: b"master_link_status:up" in self.replica.command("INFO", "replication"), "it follows")
            eventually(lambda: all(sentinel.ready for sentinel in self.sentinels), "the sentinels know each other")
            self._running = running.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def hosts(self) -> str:
        """Of the sentinels, as a URL names them."""
        return ",".join(f"{LOOPBACK}:{sentinel.port}" for sentinel in self.sentinels)

    def url_with(self, password: str | None = None) -> str:
        return f"valkey+sentinel://{f':{password}@' if password else ''}{self.hosts}/{NAME}"

    def promoted(self) -> None:
        """Returns once all sentinels hold the replica for the primary."""
        eventually(lambda: {each.primary for each in self.sentinels} == {self.replica.port}, "the replica is promoted")
