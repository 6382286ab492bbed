"""What an attempt leaves in the journal: word that it lasts, and its row, with which its call is billed."""

from contextlib import suppress

from scaigrid.adapter import Pipe
from scaigrid.admission import used_of
from scaigrid.billing import begun_row, bill, overtaken_row, usage_row
from scaigrid.call import Call
from scaigrid.config.snapshot import Model
from scaigrid.errors import GatewayError
from scaigrid.exchange import Attempt, Exchange
from scaigrid.ledger.records import Begun, Settling
from scaigrid.middleware import Services


class Recording:
    """One attempt's."""

    __slots__ = ("_attempt", "_call", "_exchange", "_model", "_services", "_shared", "done")

    def __init__(
        self, services: Services, exchange: Exchange, attempt: Attempt, call: Call, model: Model, *, shared: bool
    ) -> None:
        """`shared`: the counters outlive this worker, so a row also says how its lease is settled."""
        self.done = False
        """It has its row."""
        self._services = services
        self._exchange = exchange
        self._attempt = attempt
        self._call = call
        self._model = model
        self._shared = shared

    def begun(self) -> None:
        """Leaves word that there is this attempt, in case nothing else will be heard of it."""
        if self.done:
            # What lasts is a client who takes his time to read the rest.
            return
        row = begun_row(self._services.clock, self._exchange, self._attempt, call=self._call, model=self._model)
        # A journal that cannot be written says so by itself, and to the call when it has something to bill.
        with suppress(GatewayError):
            self._services.recorder.append(Begun(row))

    def served(self, failure: GatewayError | None, pipe: Pipe | None, *, complete: bool) -> None:
        """Bills it and writes its row. Raises STORE_UNAVAILABLE where that cannot be kept.

        Whoever leaves, or is cut off, has had what was made until then; the provider bills that too. `complete`: the
        provider's answer came to its end.
        """
        exchange, attempt = self._exchange, self._attempt
        exchange.served = True
        bill(exchange, self._model, attempt.backend, pipe, complete=complete)
        if exchange.overrun:
            self._services.telemetry.overruns.labels(attempt.backend.id).inc()
        self._keep(failure, served=True)

    def failed(self, failure: GatewayError) -> None:
        """Writes its row; nobody is billed. Raises STORE_UNAVAILABLE."""
        self._keep(failure, served=False)

    def overtaken(self) -> None:
        """Likewise, of one that was cut off because another copy of the call answered first."""
        self.done = True
        row = overtaken_row(self._services.clock, self._exchange, self._attempt, call=self._call, model=self._model)
        # Whoever gets the other answer does not go without it because this cannot be kept: nothing is billed for it.
        with suppress(GatewayError):
            self._services.recorder.append(row)

    def _keep(self, failure: GatewayError | None, *, served: bool) -> None:
        self.done = True
        exchange, attempt, services = self._exchange, self._attempt, self._services
        row = usage_row(services.clock, exchange, attempt, failure, call=self._call, model=self._model, served=served)
        lease = exchange.lease if self._shared and served else None
        services.recorder.append(row if lease is None else Settling(row, lease, used_of(exchange)))
