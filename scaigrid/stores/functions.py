"""Libraries of functions that a Valkey keeps for its callers, each under a name that is made from its text.

So two releases that count differently share a server without a word, one that has not changed finds its functions
where they are, and nobody ever replaces what somebody else is calling.
"""

import hashlib
from importlib.resources import files
from typing import Final, NamedTuple

from scaigrid.stores.wire import Away, Refused, Wire


class Library(NamedTuple):
    """A function is called `<name>_<function>`."""

    name: str
    text: str
    """For FUNCTION LOAD."""

    async def load(self, wire: Wire) -> None:
        """Has the server keep it, if it does not already. Raises Away for a server that takes no functions."""
        try:
            await wire.call("FUNCTION", "LOAD", self.text)
        except Refused as error:
            if "already exists" not in str(error):
                raise Away(f"it does not take functions, as Valkey 7.2 and later do: {error}") from error


def library(package: str, *parts: str) -> Library:
    """Of the files in the package's folder `lua`, in the order in which each uses what came before."""
    folder = files(package) / "lua"
    text = "\n".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in parts)
    name = f"scaigrid_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return Library(name, f"#!lua name={name}\n" + text.replace("@name@", name))


COUNTERS: Final = library("scaigrid.stores", "windows", "funds", "steps")
"""What limits and budgets are counted with."""
