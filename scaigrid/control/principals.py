"""Who calls, made from the state when they first come: by the digest of a key, or by what a token says."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from ipaddress import ip_network

import msgspec

from scaigrid.config.identity import Identity
from scaigrid.config.snapshot import Fund, Party, Principal
from scaigrid.config.terms import Limits
from scaigrid.control import documents as docs
from scaigrid.control.buckets import request_takes, token_buckets
from scaigrid.control.sign_in import SignIn
from scaigrid.control.standing import Standings
from scaigrid.control.state import State
from scaigrid.control.visibility import Visibility
from scaigrid.errors import Level
from scaigrid.identity import Claims
from scaigrid.ids import declared_id
from scaigrid.roles import WIDTH, Reach


class Principals(Mapping[bytes, Principal]):
    """By SHA-256 of a key. What was made once is kept: all callers of a user share what is the user's."""

    def __init__(self, state: State, funds: Mapping[str, Sequence[Fund]]) -> None:
        """`funds` by the id of their subject."""
        self._state = state
        self._funds = funds
        self._standings = Standings(state)
        self._made: dict[bytes, Principal] = {}
        self._users: dict[str, Principal] = {}
        self._visibility = Visibility(state)

    def __getitem__(self, digest: bytes) -> Principal:
        principal = self._made.get(digest)
        if principal is None:
            key_id = self._keys[digest]
            principal = self._made[digest] = self._of_key(digest, key_id, self._state.document(docs.ApiKey, key_id))
        return principal

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def sign_in(self, identity: Identity) -> Callable[[Claims], Principal]:
        """What lets the holders of tokens in."""
        return SignIn(self._state, identity, self.of_user, self.of_document)

    def of_user(self, user_id: str) -> Principal:
        """A user without a key."""
        principal = self._users.get(user_id)
        if principal is None:
            principal = self.of_document(user_id, self._state.document(docs.User, user_id))
            self._users[user_id] = principal
        return principal

    def anonymous(self) -> Principal:
        """The first tenant's, with no permission at all."""
        tenant = next(iter(self._state.all("tenant")), None)
        if tenant is None:
            nobody = Party(declared_id("tenant", "default"), "default", "default")
            partner = Party(declared_id("partner", "default"), "default", "default")
            return Principal(partner=partner, tenant=nobody, user=_party(declared_id("user", "anonymous"), "anonymous"))
        user = docs.User(name="anonymous", tenant_id=tenant, roles=())
        return self.of_document(declared_id("user", "anonymous"), user)

    def of_document(
        self, user_id: str, user: docs.User, extra_groups: Iterable[str] = (), within: Reach = "platform"
    ) -> Principal:
        """A user as a document says it, and as the groups say that it is in (`extra_groups`: by id).

        Roles that reach farther than `within` do not count.
        """
        state = self._state
        tenant = state.document(docs.Tenant, user.tenant_id)
        partner = state.document(docs.Partner, tenant.partner_id)
        parties: dict[Level, Party] = {
            "user": _party(user_id, user.name, user.display_name),
            "tenant": _party(user.tenant_id, tenant.name, tenant.display_name),
            "partner": _party(tenant.partner_id, partner.name, partner.display_name),
        }
        limits: dict[Level, Limits] = {"user": user.limits, "tenant": tenant.limits, "partner": partner.limits}
        groups = tuple(dict.fromkeys((*self._standings.groups.get(user_id, ()), *extra_groups)))
        standing = self._standings.of_document(user, groups, within)
        subjects = frozenset((user_id, user.tenant_id, tenant.partner_id, *groups))
        return Principal(
            partner=parties["partner"],
            tenant=parties["tenant"],
            user=parties["user"],
            email=user.email,
            roles=standing.roles,
            permissions=standing.permissions,
            reach=standing.reach,
            suspended=tenant.suspended or partner.suspended,
            subjects=subjects,
            groups=groups,
            keeps_bodies=tenant.keep_bodies,
            hidden=frozenset() if standing.reach == "platform" else self._visibility.hidden(subjects),
            windows=tuple(
                take for level, party in parties.items() for take in request_takes(level, party.id, limits[level])
            ),
            token_windows=tuple(
                bucket for level, party in parties.items() for bucket in token_buckets(level, party.id, limits[level])
            ),
            funds=tuple(self._funds_of((user_id, *groups, user.tenant_id, tenant.partner_id))),
        )

    def _of_key(self, digest: bytes, key_id: str, key: docs.ApiKey) -> Principal:
        principal = self.of_user(key.user_id)
        if key.reach is not None and WIDTH[principal.reach] > WIDTH[key.reach]:
            principal = self.of_document(key.user_id, self._state.document(docs.User, key.user_id), within=key.reach)
        party = _party(key_id, key.name)
        ends = [moment.timestamp() for moment in (key.expires_at,) if moment is not None]
        if digest.hex() != key.sha256 and key.previous_until is not None:
            ends.append(key.previous_until.timestamp())
        return msgspec.structs.replace(
            principal,
            key=party,
            expires_at=min(ends, default=None),
            scopes=None if key.scopes is None else frozenset(key.scopes),
            models=None if key.models is None else frozenset(key.models),
            addresses=None if key.addresses is None else tuple(ip_network(text) for text in key.addresses),
            windows=(*request_takes("key", key_id, key.limits), *principal.windows),
            token_windows=(*token_buckets("key", key_id, key.limits), *principal.token_windows),
            funds=(*self._funds_of((key_id,)), *principal.funds),
        )

    def _funds_of(self, ids: Iterable[str]) -> Iterable[Fund]:
        # A model's slug could be anybody's id.
        return (fund for id_ in ids for fund in self._funds.get(id_, ()) if fund.level != "model")

    # -- indexes, each made at its first use -------------------------------------------------------------------------

    @cached_property
    def _keys(self) -> Mapping[bytes, str]:
        found: dict[bytes, str] = {}
        disabled = {id_ for id_, user in self._state.documents(docs.User) if user.disabled}
        for id_, key in self._state.documents(docs.ApiKey):
            if key.revoked or key.user_id in disabled:
                continue
            if key.previous_sha256 is not None:
                found[bytes.fromhex(key.previous_sha256)] = id_
            found[bytes.fromhex(key.sha256)] = id_
        return found


def _party(id_: str, name: str, display_name: str | None = None) -> Party:
    return Party(id_, name, display_name or name)
