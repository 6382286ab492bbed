"""What a token whose signature was verified says: whether it is good now and here, and for whom."""

from collections.abc import Mapping
from typing import Any, Final, cast

from scaigrid.config.identity import Issuer
from scaigrid.errors import Code, GatewayError
from scaigrid.identity import Claims
from scaigrid.oidc.token import invalid

_LATEST: Final = 253_402_300_800
"""The end of the year 9999, which is as far as dates go."""
_LONGEST: Final = 255
"""Characters of a subject (OpenID Connect Core 1.0, section 2), and of any other text that is taken from a token."""


def check(payload: Mapping[str, Any], issuer: Issuer, now: float) -> None:
    """Whether the token is meant for this gateway (RFC 7519, section 4.1), and good at `now` (seconds since the epoch).

    Raises AUTH_TOKEN_INVALID, and SESSION_EXPIRED for one that was good once.
    """
    audience: object = payload.get("aud")
    if not any(one in issuer.audience for one in (_list(audience) or [audience])):
        raise invalid("its audience is not this gateway")
    for claim in ("nbf", "iat"):
        if claim in payload and _seconds(payload, claim) > now + issuer.leeway_seconds:
            raise invalid("it is of the future")
    if _seconds(payload, "exp") + issuer.leeway_seconds <= now:
        raise GatewayError(Code.SESSION_EXPIRED, "The token has expired.")


def read_claims(payload: Mapping[str, Any], name: str, issuer: Issuer) -> Claims:
    """Who the token is for, by the mapping of the issuer called `name`. Raises AUTH_TOKEN_INVALID."""
    names = issuer.claims
    subject = _text(payload, names.user)
    if subject is None:
        raise invalid("the claim that names the user is missing or no text")
    tenant = issuer.tenant
    if names.tenant is not None:
        tenant = _text(payload, names.tenant)
        if tenant is None:
            # Never the default: who has no tenant over there must not get one of ours.
            raise invalid("the claim that names the tenant is missing or no text")
    given = (issuer.roles[value] for value in _words(payload, names.roles) if value in issuer.roles)
    return Claims(
        issuer=name,
        subject=subject,
        email=_email(payload, issuer),
        name=_text(payload, names.name),
        tenant=tenant,
        roles=tuple(dict.fromkeys((*issuer.default_roles, *given))),
        groups=tuple(dict.fromkeys(_words(payload, names.groups))),
        expires_at=_seconds(payload, "exp"),
    )


def _seconds(payload: Mapping[str, Any], claim: str) -> float:
    """A NumericDate (RFC 7519, section 2)."""
    value = payload.get(claim)
    # A bool is an int in Python, and not in JSON.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST:
        raise invalid(f"`{claim}` is missing or no time")
    return float(value)


def _email(payload: Mapping[str, Any], issuer: Issuer) -> str | None:
    claim = issuer.claims.email_verified
    if claim is not None:
        verified = _found(payload, claim)
        # Some issuers send the text (Amazon Cognito does, for one).
        if verified is not True and verified != "true":
            return None
    email = _text(payload, issuer.claims.email)
    return email if email is not None and "@" in email else None


def _text(payload: Mapping[str, Any], claim: str | None) -> str | None:
    value = None if claim is None else _found(payload, claim)
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isprintable() else None


def _words(payload: Mapping[str, Any], claim: str | None) -> list[str]:
    """A list of texts, or the words of one (as in `scope`, RFC 8693, section 4.2)."""
    value = None if claim is None else _found(payload, claim)
    words = value.split() if isinstance(value, str) else _list(value)
    return [word for word in words if isinstance(word, str) and 0 < len(word) <= _LONGEST and word.isprintable()]


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _found(within: object, path: str) -> object:
    """What stands at a path. A name may have dots itself (`https://acme.test/roles`), so the whole of it goes first."""
    if not isinstance(within, dict):
        return None
    known = cast("dict[str, object]", within)
    if path in known:
        return known[path]
    for end in (place for place, letter in enumerate(path) if letter == "."):
        if path[:end] in known and (found := _found(known[path[:end]], path[end + 1 :])) is not None:
            return found
    return None
