"""What of a passed call is this gateway's own word, and no provider of the OpenAI protocol knows: it goes no further.

Those are `provider_options`, of which the provider's own settings become members; the `provider_state` of earlier
answers; and items of reasoning that hold what a provider of another protocol wants back. OpenAI refuses a member that
it does not know, and reasoning that it has not encrypted. A custom endpoint is sent all of it: it may be such a
gateway itself.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from adapters import openai_encode, openai_responses_encode
from adapters.asked import invalid, unsupported
from adapters.endpoints import CHAT, CUSTOM, RESPONSES
from adapters.wire import given, places
from scaigrid import splice
from scaigrid.adapter import Outgoing
from scaigrid.call import Call

FOREIGN: Final = b'"scaigrid.'
"""How `encrypted_content` begins that stands for what another provider wants back."""
_OPTIONS: Final = "provider_options"
_STATE: Final = "provider_state"
_RESERVED: Final[Mapping[str, frozenset[str]]] = {
    CHAT: openai_encode.RESERVED,
    RESPONSES: openai_responses_encode.RESERVED,
}
"""The surfaces that have `provider_options`, and what those may not set."""


class _Item(msgspec.Struct):
    type: Any = None
    encrypted_content: Any = None


_list: Final = msgspec.json.Decoder(list[msgspec.Raw])
_item: Final = msgspec.json.Decoder(_Item)
_options: Final = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]])


def purged(call: Call, provider: str) -> Call:
    """The call without what is ours; the very same where there is nothing of it. Raises VALIDATION_ERROR."""
    if provider == CUSTOM.name:
        return call
    body, members = call.body, call.members
    has_options = call.surface in _RESERVED and _OPTIONS in members
    due = _own_options(call, provider) if has_options else {}
    try:
        if call.surface == CHAT and b'"provider_state"' in body:
            due |= _changed("messages", members, _without_state)
        elif call.surface != CHAT and FOREIGN in body:
            due |= _changed("input", members, _without_foreign)
        if not due and not has_options:
            return call
        if has_options:
            body = splice.remove(body, places(body, members), _OPTIONS)
            members = {name: raw for name, raw in members.items() if name != _OPTIONS}
        body = splice.replace(body, places(body, members), due)
    except splice.DuplicateKey as twice:
        raise invalid(str(twice), "is given more than once") from None
    return msgspec.structs.replace(call, body=body, members=splice.members(body))


def defaulted(outgoing: Outgoing, provider: str) -> Outgoing:
    """`outgoing` with the provider's own part of a default for `provider_options` as defaults for members.

    Raises UNSUPPORTED_BY_MODEL where that default is no such object: it is the operator's to mend.
    """
    raw = outgoing.defaults.get(_OPTIONS)
    if raw is None:
        return outgoing
    try:
        own = _options.decode(raw).get(provider, {})
    except msgspec.DecodeError:
        raise unsupported(f"default_params.{_OPTIONS}") from None
    others = {name: value for name, value in outgoing.defaults.items() if name != _OPTIONS}
    return msgspec.structs.replace(outgoing, defaults={**own, **others})


def _own_options(call: Call, provider: str) -> dict[str, bytes]:
    raw = call.members[_OPTIONS]
    try:
        own = _options.decode(raw).get(provider, {}) if given(raw) else {}
    except msgspec.DecodeError:
        raise invalid(_OPTIONS, "must be an object of objects") from None
    for name in own:
        if name in _RESERVED[call.surface]:
            raise invalid(f"{_OPTIONS}.{provider}.{name}", "is set by the gateway")
    return {name: bytes(value) for name, value in own.items()}


def _changed(
    name: str, members: Mapping[str, msgspec.Raw], change: Callable[[bytes], bytes | None]
) -> dict[str, bytes]:
    """The list `name` with each of its entries changed, or left out; nothing where all of them stay as they are."""
    raw = members.get(name)
    if raw is None or bytes(raw)[:1] != b"[":
        return {}
    entries = [bytes(entry) for entry in _list.decode(raw)]
    kept = [changed for entry in entries if (changed := change(entry)) is not None]
    return {} if kept == entries else {name: b"[%b]" % b",".join(kept)}


def _without_state(message: bytes) -> bytes | None:
    if not message.startswith(b"{"):
        return message
    members = splice.members(message)
    return splice.remove(message, places(message, members), _STATE) if _STATE in members else message


def _without_foreign(item: bytes) -> bytes | None:
    """None for an item of reasoning that the provider has not made."""
    if FOREIGN not in item or not item.startswith(b"{"):
        return item
    try:
        said = _item.decode(item)
    except msgspec.DecodeError:
        # Whatever it is, the provider will say.
        return item
    sealed = said.encrypted_content
    is_foreign = said.type == "reasoning" and isinstance(sealed, str) and sealed.startswith(FOREIGN[1:].decode())
    return None if is_foreign else item
