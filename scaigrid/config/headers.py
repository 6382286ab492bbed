"""Which headers an operator may have sent to a provider, besides the gateway's own."""

import re

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-request-id",
    }
)
"""What the gateway and its HTTP client say themselves, once."""


def header_fault(name: str, value: str) -> str | None:
    """Why a header cannot be set (RFC 9110, section 5), None where it can. The value is not quoted: it may be a key."""
    if not _NAME.fullmatch(name) or name.lower() in _OURS:
        return "not a header that can be set here"
    if not value.isprintable() or not value.isascii():
        return "a header's value is one line of ASCII text"
    return None
