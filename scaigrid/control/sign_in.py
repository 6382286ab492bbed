"""What a verified token says -> the caller: a user who is known here, or one that the issuer vouches for."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Protocol, cast

import msgspec

from scaigrid import roles
from scaigrid.config.identity import Identity
from scaigrid.config.snapshot import Principal
from scaigrid.config.terms import RoleName
from scaigrid.control import documents as docs
from scaigrid.control.state import State
from scaigrid.errors import Code, GatewayError
from scaigrid.identity import Claims
from scaigrid.ids import declared_id

_MOST = 10_000
"""Callers that are kept ready; those beyond are made again."""
_DEFAULT = "default"


class Made(Protocol):
    def __call__(self, user_id: str, user: docs.User, extra_groups: Iterable[str] = ()) -> Principal: ...


class SignIn:
    """Answers the Principal of some Claims.

    Raises AUTH_TOKEN_INVALID for who is not known, where the issuer's `users` are the declared ones, and for a tenant
    that does not exist.
    """

    def __init__(self, state: State, identity: Identity, of_user: Callable[[str], Principal], made: Made) -> None:
        self._state = state
        self._identity = identity
        self._of_user = of_user
        self._made = made
        self._known: dict[Claims, Principal] = {}

    def __call__(self, claims: Claims) -> Principal:
        # A token that is renewed says the same with another end.
        lasting = msgspec.structs.replace(claims, expires_at=0.0)
        principal = self._known.get(lasting)
        if principal is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            principal = self._known[lasting] = self._principal(claims)
        return principal

    def _principal(self, claims: Claims) -> Principal:
        user_id = self._declared(claims)
        if user_id is None:
            if self._identity.issuers[claims.issuer].users == "declared":
                raise GatewayError(Code.AUTH_TOKEN_INVALID, "The token's user is not known here.")
            return self._vouched_for(claims)
        user = self._state.document(docs.User, user_id)
        tenant = self._state.document(docs.Tenant, user.tenant_id)
        if user.disabled or (claims.tenant is not None and claims.tenant != tenant.name):
            raise GatewayError(Code.AUTH_TOKEN_INVALID, "The token's user is not let in.")
        if not claims.roles and not claims.groups:
            return self._of_user(user_id)
        return self._with_claims(user_id, user, claims)

    def _declared(self, claims: Claims) -> str | None:
        found = self._by_external_id.get(f"{claims.issuer}|{claims.subject}")
        if found is None and claims.email is not None:
            # An address may stand in several tenants; then it does not say who is meant.
            users = [
                user
                for user in self._by_email.get(claims.email.lower(), ())
                if claims.tenant is None or self._tenant_name(user) == claims.tenant
            ]
            found = users[0] if len(users) == 1 else None
        return found

    def _vouched_for(self, claims: Claims) -> Principal:
        tenant = self._state.named("tenant", claims.tenant or _DEFAULT)
        if tenant is None:
            raise GatewayError(Code.AUTH_TOKEN_INVALID, "The token's tenant is not known here.")
        subject = f"{claims.issuer}|{claims.subject}"
        user = docs.User(
            name=claims.name or claims.email or claims.subject, tenant_id=tenant.id, email=claims.email, roles=()
        )
        return self._with_claims(declared_id("user", subject), user, claims)

    def _with_claims(self, user_id: str, user: docs.User, claims: Claims) -> Principal:
        published = [role for role in claims.roles if role in roles.ROLES]
        custom = (self._state.named("role", role, user.tenant_id) for role in claims.roles if role not in roles.ROLES)
        groups = {
            id_
            for id_, group in self._state.documents(docs.Group)
            if group.tenant_id == user.tenant_id and group.external_name in claims.groups
        }
        held = msgspec.structs.replace(
            user,
            roles=tuple(dict.fromkeys([*user.roles, *cast("list[RoleName]", published)])),
            custom_role_ids=(*user.custom_role_ids, *(role.id for role in custom if role is not None)),
        )
        return self._made(user_id, held, groups)

    def _tenant_name(self, user_id: str) -> str:
        user = self._state.document(docs.User, user_id)
        return self._state.document(docs.Tenant, user.tenant_id).name

    @cached_property
    def _by_external_id(self) -> Mapping[str, str]:
        return {user.external_id: id_ for id_, user in self._state.documents(docs.User) if user.external_id}

    @cached_property
    def _by_email(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for id_, user in self._state.documents(docs.User):
            if user.email:
                found.setdefault(user.email.lower(), []).append(id_)
        return found
