"""The events, in the order of the table. An event is one file here, and one line."""

from typing import Final

from tests.chaos.event import Event
from tests.chaos.events import (
    bodies,
    database,
    disk,
    kill,
    overload,
    reload,
    rolling,
    slow_reader,
    store,
    terminate,
)

EVENTS: Final = (
    Event(
        "reload",
        "swapped whole; a bad file keeps the old one, names line and key, counts in a metric; no failed call",
        reload.show,
    ),
    Event(
        "terminate",
        "readiness false first, no new work, streams finish up to a deadline, then an error in their dialect; exit 0",
        terminate.show,
    ),
    Event("rolling", "two instances restarted under load: no failed call", rolling.show),
    Event("database", "warm keys go on, ledger in the journal, control plane 503; recovers alone", database.show),
    Event("store", "as each limit declared, at once; one log line per change of state", store.show),
    Event("disk", "refuses new billed work and says why; recovers alone", disk.show),
    Event("overload", "bounded per worker and per backend, excess OVERLOADED at once, memory bounded", overload.show),
    Event("slow-reader", "backpressure up to a bound, then cut; others unaffected", slow_reader.show),
    Event("bodies", "413 before reading on; depth and size bounds; a stable 4xx, never a 500", bodies.show),
    Event("kill", "one of three: only its own open calls end, none looks whole, the ledger balances", kill.show),
)
