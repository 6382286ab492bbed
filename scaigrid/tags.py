"""Tags that a caller puts on a call by a header, beside those in its body: `X-ScaiGrid-Tags: team=blue,project=x`.

Names and values are written as in an address (RFC 3986): what is no plain character as the percent codes of its UTF-8
bytes, a comma, an equals sign and a percent sign among them. They are bounded as `metadata` is.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from scaigrid.asgi import Scope
from scaigrid.errors import Code, Detail, GatewayError

HEADER: Final = b"x-scaigrid-tags"
NAME: Final = "X-ScaiGrid-Tags"
MOST: Final = 16
LONGEST_NAME: Final = 64
LONGEST_VALUE: Final = 512


def tags_of(scope: Scope, known: Mapping[str, str]) -> Mapping[str, str]:
    """The tags of the header together with those that are `known` already, which win.

    Raises VALIDATION_ERROR for a header that cannot be read, or that makes them too many.
    """
    text = b",".join([value for name, value in scope["headers"] if name == HEADER])
    tags: dict[str, str] = {}
    for pair in text.split(b","):
        if not pair.strip():
            continue
        name, equals, value = pair.partition(b"=")
        read = _read(name, LONGEST_NAME)
        if not equals or not read:
            raise _invalid("must be of the form name=value,name=value")
        if read in tags:
            raise _invalid("names a tag twice")
        tags[read] = _read(value, LONGEST_VALUE)
    together = {**tags, **known}
    if len(together) > MOST:
        raise _invalid(f"must have at most {MOST} tags, together with those of metadata")
    return together


def _read(text: bytes, longest: int) -> str:
    try:
        read = unquote_to_bytes(text.strip()).decode()
    except UnicodeDecodeError:
        raise _invalid("must be UTF-8 behind its percent codes") from None
    if len(read) > longest or "\0" in read:
        raise _invalid(f"must have names of 1 to {LONGEST_NAME} and values of up to {LONGEST_VALUE} characters")
    return read


def _invalid(message: str) -> GatewayError:
    return GatewayError(Code.VALIDATION_ERROR, details=(Detail(NAME, message),))
