"""The call of a client of the OpenAI protocol, for a provider of it: its own bytes, but for what is permitted.

Permitted are (contract, section 6): the model's name, the output bound, the model's defaults where the caller said
nothing, the model's system prompt, and the request for usage at the end of a stream. With none due, the body goes on
as the very object that came in.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from adapters.asked import NEVER_DEFAULTED, OUTPUT_FIELDS, invalid
from adapters.wire import encoded, given, places
from scaigrid import splice
from scaigrid.adapter import Outgoing
from scaigrid.call import Call

_WITH_USAGE: Final = b'{"include_usage":true}'


def spliced(call: Call, model: str, output_field: str, outgoing: Outgoing) -> bytes:
    """The body for a provider that knows the model as `model`.

    The output bound goes where the caller gave its own, else into `output_field`. Raises VALIDATION_ERROR for a member
    that is given twice: the gateway would govern by one and the provider obey the other.
    """
    members = call.members
    due: dict[str, bytes] = {}
    if model != call.model:
        due["model"] = msgspec.json.encode(model)
    if call.operation == "chat":
        _chat(call, output_field, outgoing, due)
    for name, raw in outgoing.defaults.items():
        if name not in members and name not in due and name not in NEVER_DEFAULTED and not _bounded(name, call, due):
            due[name] = bytes(raw)
    return _replaced(call.body, members, due, "") if due else call.body


def _chat(call: Call, output_field: str, outgoing: Outgoing, due: dict[str, bytes]) -> None:
    members = call.members
    if outgoing.max_output is not None:
        field = call.output_field or output_field
        bound = b"%d" % outgoing.max_output
        if bytes(members.get(field, b"")) != bound:
            due[field] = bound
    if outgoing.system_prompt is not None:
        prompt = encoded({"role": "system", "content": outgoing.system_prompt})
        messages = bytes(members["messages"])[1:].lstrip()
        due["messages"] = b"[" + prompt + (b"" if messages == b"]" else b",") + messages
    if call.stream and not call.wants_usage:
        options = members.get("stream_options")
        due["stream_options"] = _asking(bytes(options)) if options is not None and given(options) else _WITH_USAGE


def _asking(options: bytes) -> bytes:
    """The caller's stream options with `include_usage` set."""
    return _replaced(options, splice.members(options), {"include_usage": b"true"}, "stream_options.")


def _replaced(text: bytes, members: Mapping[str, msgspec.Raw], due: dict[str, bytes], where: str) -> bytes:
    try:
        return splice.replace(text, places(text, members), due)
    except splice.DuplicateKey as twice:
        raise invalid(f"{where}{twice}", "is given more than once") from None


def _bounded(name: str, call: Call, due: dict[str, bytes]) -> bool:
    """Whether `name` would bound the output a second time, beside the caller's bound or the gateway's."""
    return name in OUTPUT_FIELDS and (call.max_output is not None or not OUTPUT_FIELDS.isdisjoint(due))
