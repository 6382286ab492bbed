"""The way to a primary that may be another one tomorrow: sentinels are asked which it is.

What they answer is asked of the server itself as well, as clients of sentinels should
(https://valkey.io/topics/sentinel-clients/): one of them may not have heard of the latest change.
"""

import ssl
from typing import Final, cast

from scaigrid.stores.address import Address, Sentinels
from scaigrid.stores.wire import Away, Refused, Wire, connect

_ASK: Final = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME")


class BySentinel:
    """Asks one sentinel after the other, the one that knew it last first."""

    def __init__(self, place: Sentinels, patience: float, tls: ssl.SSLContext | None) -> None:
        self._place = place
        self._patience = patience
        self._tls = tls
        self._sentinels = list(place.sentinels)

    async def connect(self) -> Wire:
        """A wire to the present primary. Raises Away, with what is the matter with each."""
        reasons: list[str] = []
        tried: set[tuple[str, int]] = set()
        for sentinel in tuple(self._sentinels):
            try:
                found = await self._ask(sentinel)
                if found in tried:
                    continue
                tried.add(found)
                wire = await self._primary(self._place.server.at(*found))
            except (Away, Refused) as error:
                reasons.append(f"{sentinel}: {error}")
                continue
            self._sentinels.remove(sentinel)
            self._sentinels.insert(0, sentinel)
            return wire
        raise Away("; ".join(reasons))

    async def _ask(self, sentinel: Address) -> tuple[str, int]:
        wire = await connect(sentinel, self._patience, self._tls)
        try:
            found = cast("list[bytes] | None", await wire.call(*_ASK, self._place.name))
        finally:
            wire.close("it has answered")
        if not found:
            raise Away(f"it knows no primary called {self._place.name}")
        return found[0].decode(), int(found[1])

    async def _primary(self, server: Address) -> Wire:
        try:
            wire = await connect(server, self._patience, self._tls)
        except (Away, Refused) as error:
            raise Away(f"the primary {server} cannot be reached: {error}") from error
        try:
            role = cast("list[bytes]", await wire.call("ROLE"))[0]
            if role != b"master":
                raise Away(f"{server} should be the primary and says that it is not")
        except BaseException:
            wire.close("it was not to be used")
            raise
        return wire
