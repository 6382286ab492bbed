"""What is wrong with a provider's connection, by its adapter: address, headers, options and credentials.

The file and the API ask the same, so that what the one takes the other takes too.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import msgspec
from msgspec.inspect import type_info

from scaigrid.adapter import Adapter, Options
from scaigrid.config.headers import header_fault
from scaigrid.control.stored import STORED
from scaigrid.credentials import SCHEMES
from scaigrid.credentials.scheme import Scheme, complete, names
from scaigrid.dialects.faults import examine
from scaigrid.secrets import Secret

Path = tuple[str, ...]
Fault = tuple[Path, str]


class Connection(Protocol):
    """What an entry of the file and a document say alike of a provider."""

    @property
    def type(self) -> str: ...

    @property
    def base_url(self) -> str | None: ...

    @property
    def api_key(self) -> Secret | None: ...

    @property
    def headers(self) -> Mapping[str, Secret]: ...

    @property
    def options(self) -> Mapping[str, Any]: ...

    @property
    def credentials(self) -> Mapping[str, Secret]: ...


def connection_faults(given: Connection, adapter: Adapter) -> Iterator[Fault]:
    """Every fault, by its path in the provider's own fields; no value of a credential is in it."""
    options = list(_options(given.options, adapter.options))
    yield from options
    if not options and adapter.transport == "http" and address_of(given, adapter) is None:
        yield ("base_url",), f"is required: a provider of type {given.type} has no public address"
    for name, value in given.headers.items():
        fault = header_fault(name, value.reveal())
        if fault is not None:
            yield ("headers", name), fault
    yield from _credentials(given, adapter)
    if given.credentials and adapter.signed is not None and not options:
        chosen = options_of(given, adapter)
        for name in SCHEMES[adapter.signed].needs:
            if getattr(chosen, name, None) is None:
                yield ("options", name), "is required: calls are signed for it"


def options_of(given: Connection, adapter: Adapter) -> Options:
    """The provider's options, which have no faults, as its adapter takes them."""
    return msgspec.convert(given.options, adapter.options)


def address_of(given: Connection, adapter: Adapter) -> str | None:
    """Where its calls go, without a slash at the end; None where it has no address."""
    address = given.base_url or adapter.base_url(options_of(given, adapter))
    return None if address is None else address.rstrip("/")


def _options(given: Mapping[str, Any], wanted: type[Options]) -> Iterator[Fault]:
    known = [field.encode_name for field in msgspec.structs.fields(wanted)]
    # What is looked through loses what is unknown.
    faults = examine(dict(given), type_info(wanted)).faults
    for fault in faults:
        name, rest = _first(fault.field, (*given, *known))
        if name in known:
            yield ("options", name), f"{rest}: {fault.message}" if rest else fault.message
        else:
            hint = f"known: {', '.join(known)}" if known else "a provider of this type has none"
            yield ("options", name), f"is not a known option ({hint})"
    if not faults:
        try:
            msgspec.convert(given, wanted)
        except msgspec.ValidationError as error:
            yield ("options",), str(error).partition(" - at `$")[0]


def _first(field: str, names: tuple[str, ...]) -> tuple[str, str]:
    """The option that a path begins with, and the rest of the path."""
    for name in names:
        if field == name or field.startswith((f"{name}.", f"{name}[")):
            return name, field.removeprefix(name).lstrip(".")
    return field, ""


def _credentials(given: Connection, adapter: Adapter) -> Iterator[Fault]:
    credentials = given.credentials
    if not credentials:
        return
    scheme = None if adapter.signed is None else SCHEMES[adapter.signed]
    if scheme is None:
        yield ("credentials",), f"a provider of type {given.type} has none: it takes an api_key"
        return
    if given.api_key is not None:
        yield ("credentials",), "give either these or an api_key"
    wrong = list(complete(credentials, scheme)) or list(_values(credentials, scheme))
    yield from ((("credentials", name) if name else ("credentials",), reason) for name, reason in wrong)


def _values(credentials: Mapping[str, Secret], scheme: type[Scheme]) -> Iterator[tuple[str, str]]:
    """Faults of values, where they are known: not of those that the database is asked to keep."""
    if not any(value.reveal().startswith(STORED) for value in credentials.values()):
        yield from scheme.faults(credentials)


def credential_names(adapter: Adapter) -> tuple[str, ...]:
    """The credentials that a provider of this type takes instead of an `api_key`; none for most."""
    return () if adapter.signed is None else names(SCHEMES[adapter.signed])
