"""Where a caller is: the address at the other end of the connection, or the one that trusted proxies tell of."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LONGEST = 64
"""Characters of an address, its port and its zone included."""


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks in CIDR notation; an address alone is a network of one. Raises ValueError with what is wrong."""
    return tuple(ip_network(text) for text in texts)


def address(text: str) -> Address | None:
    """An address as people and proxies write it: with or without a port, an IPv6 one with or without brackets.

    An IPv4 address in the clothes of IPv6 (`::ffff:192.0.2.1`), as a socket for both has it, is the IPv4 one. None for
    anything else (`unknown`, a host's name).
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    if text.startswith("["):
        text, closed, port = text[1:].partition("]")
        if not closed or (port and not (port[0] == ":" and port[1:].isdecimal())):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not port.isdecimal():
            return None
    try:
        # What stands behind a % is the name of an interface of the machine that wrote it.
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped if isinstance(found, IPv6Address) else None) or found


def within(found: Address | None, networks: Iterable[Network]) -> bool:
    """Whether an address is in one of the networks; one that is not known is in none."""
    return found is not None and any(found in network for network in networks)


def caller(peer: Address | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> Address | None:
    """Where a request comes from; None where that cannot be known.

    `forwarded` are the values of its X-Forwarded-For headers. Each proxy writes at the right end where it had the
    request from, so the words of trusted ones are followed from there to the first address that is not one of them.
    What stands to its left is the caller's own word, and is not looked at. A proxy that says nothing is the caller.
    """
    found = peer
    for entry in reversed([entry for value in forwarded for entry in value.split(",")]):
        if not within(found, trusted):
            break
        found = address(entry)
    return found
