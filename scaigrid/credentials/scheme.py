"""What a scheme is: the credentials that it takes, what is wrong with some, and a signer of calls made from them."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol

import msgspec

from scaigrid.adapter import UpstreamRequest
from scaigrid.clock import Clock
from scaigrid.secrets import Secret

Credentials = Mapping[str, Secret]
Fault = tuple[str, str]
"""The name of a credential, empty for all of them together, and what is wrong with it; never its value."""


class Fetch(Protocol):
    """One question to who gives out tokens."""

    async def __call__(self, request: UpstreamRequest) -> tuple[int, bytes]:
        """The status and the whole body of the answer. Raises NoToken."""
        ...


class NoToken(Exception):
    """No token came; the text is for the log, and no credential is in it."""


class Taken(msgspec.Struct, frozen=True):
    """One set of credentials that a scheme works with."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


class Scheme(Protocol):
    """Makes one signer for each provider. It is a `scaigrid.adapter.Signer`."""

    takes: ClassVar[tuple[Taken, ...]]
    """The sets of credentials that it works with: one of them has to be given."""
    needs: ClassVar[tuple[str, ...]]
    """The provider's options without which nothing can be signed."""

    def __init__(self, credentials: Credentials, options: Any, clock: Clock, fetch: Fetch) -> None:
        """`credentials` have no faults; `options` are the provider's, of its adapter's own type."""
        ...

    @classmethod
    def faults(cls, credentials: Credentials) -> Iterator[Fault]:
        """What is wrong with the values of a set that is complete."""
        ...

    async def signed(self, request: UpstreamRequest) -> UpstreamRequest:
        """As `Signer` has it."""
        ...


def names(scheme: type[Scheme]) -> tuple[str, ...]:
    """Every name of a credential that the scheme takes, each once."""
    return tuple(dict.fromkeys(name for taken in scheme.takes for name in (*taken.required, *taken.optional)))


def complete(given: Mapping[str, object], scheme: type[Scheme]) -> Iterator[Fault]:
    """What is wrong with the names of the credentials that are given."""
    known = names(scheme)
    strange = [name for name in given if name not in known]
    yield from ((name, f"is not a known credential (known: {', '.join(known)})") for name in strange)
    sets = [taken for taken in scheme.takes if any(name in given for name in taken.required)]
    if strange:
        return
    if not sets:
        ways = " or ".join(" and ".join(taken.required) for taken in scheme.takes)
        yield "", f"give {ways}"
    elif len(sets) > 1:
        yield "", f"give one of {', '.join(taken.required[0] for taken in sets)}, not all of them"
    else:
        (taken,) = sets
        yield from ((name, "is required with the others") for name in taken.required if name not in given)
        allowed = (*taken.required, *taken.optional)
        yield from ((name, f"has no place beside {taken.required[0]}") for name in given if name not in allowed)
