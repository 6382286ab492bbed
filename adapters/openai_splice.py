"""The call of a client of the OpenAI protocol, for a provider of it: its own bytes, but for what is permitted.

Permitted are (contract, section 6): the model's name, the output bound, the model's defaults where the caller said
nothing, the model's system prompt, and the request for usage at the end of a stream; for a provider that has another
name for a member, that name (ADR 13). With none due, the body goes on as the very object that came in.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from adapters.asked import NEVER_DEFAULTED, OUTPUT_FIELDS, invalid, unsupported
from adapters.endpoints import COMPLETIONS, Endpoint
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
    due = _due(call, model, output_field, outgoing, stream_usage=True)
    return _replaced(call.body, call.members, due, "") if due else call.body


def spliced_for(row: Endpoint, call: Call, model: str, outgoing: Outgoing) -> bytes:
    """The body for a provider of the protocol, with its own names for members. Raises as `spliced` does."""
    if not row.renamed and row.stream_usage:
        return spliced(call, model, row.output_field, outgoing)
    due = _due(call, model, row.output_field, outgoing, stream_usage=row.stream_usage)
    gone = [name for name in row.renamed if name in call.members]
    for name, own in row.renamed.items():
        _rename(call, name, own, due)
    if not row.stream_usage and "stream_options" in call.members:
        gone.append("stream_options")
    if not due and not gone:
        return call.body
    kept = {name: raw for name, raw in call.members.items() if name not in gone}
    return _replaced(_without(call, gone), kept, due, "")


def _rename(call: Call, name: str, own: str, due: dict[str, bytes]) -> None:
    """Puts what is said under `name` where the provider looks for it. Raises VALIDATION_ERROR where both are said."""
    said, theirs = call.members.get(name), call.members.get(own)
    if given(said) and given(theirs):
        raise invalid(name, f"cannot be given together with {own}")
    value = due.pop(name, None)
    if given(theirs):
        # A default of the model's, in another word than the caller's own.
        return
    if value is None and said is not None:
        value = bytes(said)
    if value is not None:
        due[own] = value


def _due(call: Call, model: str, output_field: str, outgoing: Outgoing, *, stream_usage: bool) -> dict[str, bytes]:
    members = call.members
    due: dict[str, bytes] = {}
    if model != call.model:
        due["model"] = msgspec.json.encode(model)
    if call.operation == "chat":
        # Legacy completions know one name for the bound, at every provider.
        _bound(call, "max_tokens" if call.surface == COMPLETIONS else output_field, outgoing, due)
        _prompt(call, outgoing, due)
        if call.stream and not call.wants_usage and stream_usage:
            options = members.get("stream_options")
            due["stream_options"] = _asking(bytes(options)) if options is not None and given(options) else _WITH_USAGE
    for name, raw in outgoing.defaults.items():
        if name not in members and name not in due and name not in NEVER_DEFAULTED and not _bounded(name, call, due):
            due[name] = bytes(raw)
    return due


def _bound(call: Call, output_field: str, outgoing: Outgoing, due: dict[str, bytes]) -> None:
    if outgoing.max_output is not None:
        field = call.output_field or output_field
        bound = b"%d" % outgoing.max_output
        if bytes(call.members.get(field, b"")) != bound:
            due[field] = bound


def _prompt(call: Call, outgoing: Outgoing, due: dict[str, bytes]) -> None:
    """The model's system prompt: a first message, or, where a completion has none, what its one prompt begins with."""
    if outgoing.system_prompt is None:
        return
    if call.surface == COMPLETIONS:
        prompt = msgspec.json.decode(call.members["prompt"])
        if not isinstance(prompt, str):
            raise unsupported("prompt")
        due["prompt"] = encoded(f"{outgoing.system_prompt}\n\n{prompt}")
        return
    message = encoded({"role": "system", "content": outgoing.system_prompt})
    messages = bytes(call.members["messages"])[1:].lstrip()
    due["messages"] = b"[" + message + (b"" if messages == b"]" else b",") + messages


def _without(call: Call, names: list[str]) -> bytes:
    """The caller's body without the members of these names."""
    text, members = call.body, dict(call.members)
    try:
        for name in names:
            text = splice.remove(text, places(text, members), name)
            del members[name]
    except splice.DuplicateKey as twice:
        raise invalid(str(twice), "is given more than once") from None
    return text


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
