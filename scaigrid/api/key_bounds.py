"""What a key may hand on: no key that it makes, opens or changes can do more than it can itself.

A key that may do little is given to those who are trusted with little; if it could make one that may do more, the
little would be everything. So scopes, models, addresses and the end of a key lie within those of the key that asks, and
one with a budget or request limits of its own, which a second key would not count against, makes none at all.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network

import msgspec

from scaigrid.api.authority import Authority
from scaigrid.api.view import View
from scaigrid.config.terms import Limits
from scaigrid.control import documents as docs
from scaigrid.errors import Code, Detail, GatewayError

_MORE = "The API key that you ask with may do less than that, and can give no more than it has."


class KeyBounds:
    """Those of the caller for the keys of one user. The caller may have a token instead of a key, and then has none."""

    def __init__(self, view: View, user_id: str) -> None:
        self._principal = principal = view.principal
        self._own_key = None if principal.key is None else view.state.get("api_key", principal.key.id)
        self._scopes = principal.scopes
        if user_id != principal.user.id:
            # Who manages others without being their administrator gives nothing that it lacks, later on neither.
            self._scopes = Authority(view).most

    def inherited(self, key: docs.ApiKey) -> docs.ApiKey:
        """A key that is to be made, with the caller's bounds where it has none of its own."""
        principal = self._principal
        given: docs.ApiKey = key
        if self._scopes is not None and given.scopes is None:
            given = msgspec.structs.replace(given, scopes=tuple(sorted(self._scopes)))
        if principal.models is not None and given.models is None:
            given = msgspec.structs.replace(given, models=tuple(sorted(principal.models)))
        if principal.addresses is not None and given.addresses is None:
            given = msgspec.structs.replace(given, addresses=tuple(map(str, principal.addresses)))
        if principal.key is not None and principal.expires_at is not None and given.expires_at is None:
            given = msgspec.structs.replace(given, expires_at=datetime.fromtimestamp(principal.expires_at, UTC))
        return given

    def may_make(self, key: docs.ApiKey) -> None:
        """Raises AUTH_INSUFFICIENT_SCOPE where a key that is to be made could do more."""
        _refuse((*self._capped(), *self._wider(key)))

    def may_open(self, key_id: str, key: docs.ApiKey) -> None:
        """Raises AUTH_INSUFFICIENT_SCOPE where a key that gets a new text, which the caller learns, can do more."""
        capped = () if self._own_key is not None and self._own_key.id == key_id else self._capped()
        _refuse((*capped, *self._wider(key)))

    def may_become(self, was: docs.ApiKey, becomes: docs.ApiKey) -> None:
        """Raises AUTH_INSUFFICIENT_SCOPE where a key would have something that it had not, and that goes beyond."""
        changed = {name for name in was.__struct_fields__ if getattr(was, name) != getattr(becomes, name)}
        _refuse(tuple(fault for fault in (*self._capped(), *self._wider(becomes)) if fault.field in changed))

    def _wider(self, key: docs.ApiKey) -> Iterator[Detail]:
        principal, scopes = self._principal, self._scopes
        if scopes is not None and (key.scopes is None or not scopes.issuperset(key.scopes)):
            yield Detail("scopes", f"must be among {', '.join(sorted(scopes)) or 'none'}")
        if principal.models is not None and (key.models is None or not principal.models.issuperset(key.models)):
            yield Detail("models", f"must be among {', '.join(sorted(principal.models)) or 'none'}")
        networks = principal.addresses
        if networks is not None and (
            key.addresses is None or not all(_lies_in(text, networks) for text in key.addresses)
        ):
            yield Detail("addresses", f"must lie in {', '.join(map(str, networks)) or 'none'}")
        ends = None if self._own_key is None else principal.expires_at
        if ends is not None and (key.expires_at is None or key.expires_at.timestamp() > ends):
            yield Detail("expires_at", "must not be later than that of the key that asks")

    def _capped(self) -> Iterator[Detail]:
        """A fault for each cap of the asking key."""
        if self._own_key is None or not isinstance(self._own_key.document, docs.ApiKey):
            return
        if self._principal.may("accounting:manage_budgets"):
            # Who sets the limits and budgets of keys could lift its own.
            return
        if self._own_key.document.budget is not None:
            yield Detail("budget", "the key that asks has one, against which another key would not count")
        if self._own_key.document.limits != Limits():
            yield Detail("limits", "the key that asks has some, against which another key would not count")


def _refuse(found: tuple[Detail, ...]) -> None:
    if found:
        raise GatewayError(Code.AUTH_INSUFFICIENT_SCOPE, _MORE, details=found)


def _lies_in(text: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    inner = ip_network(text)
    for outer in networks:
        # Only of one version can the one lie in the other.
        if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network) and inner.subnet_of(outer):
            return True
        if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network) and inner.subnet_of(outer):
            return True
    return False
