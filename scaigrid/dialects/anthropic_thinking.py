"""The signatures of thinking blocks, so that what any provider wants back survives a client that knows Anthropic's.

A client of this dialect sends thinking back with its signature, and takes neither for anything but text. What Anthropic
signed stays as it is. What another provider wants back goes into the same place, as the provider state of that one
piece behind a prefix that no signature of Anthropic's has (base64 has no dot).
"""

from typing import Final

import msgspec

from scaigrid import provider_state
from scaigrid.errors import Detail, GatewayError
from scaigrid.types import ReasoningPart

PREFIX: Final = "scaigrid."
OWN: Final = "anthropic"
"""The provider whose signatures are as the dialect has them."""


def signature(part: ReasoningPart) -> str:
    """What stands as the signature beside the text of `part`, which it need not repeat; empty for nothing."""
    if part.provider == OWN and part.signs == "reasoning" and part.redacted is None:
        return part.signature or ""
    state = provider_state.encode([msgspec.structs.replace(part, text="")])
    return "" if state is None else PREFIX + state


def parts(thinking: str, signed: str | None, path: str, faults: list[Detail]) -> tuple[ReasoningPart, ...]:
    """What a thinking block says; a signature that begins like ours and is none is a fault."""
    if not signed:
        return (ReasoningPart(text=thinking),) if thinking else ()
    if not signed.startswith(PREFIX):
        return (ReasoningPart(text=thinking, signature=signed, provider=OWN),)
    try:
        found = provider_state.decode(signed[len(PREFIX) :], f"{path}.signature")
    except GatewayError as error:
        faults.extend(error.details)
        return ()
    if not thinking or not found:
        return found
    if found[0].signs != "reasoning":
        return (ReasoningPart(text=thinking), *found)
    return (msgspec.structs.replace(found[0], text=thinking), *found[1:])
