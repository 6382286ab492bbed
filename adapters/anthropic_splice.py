"""The call of a client of the Anthropic protocol, for a provider of it: its own bytes, but for what is permitted.

Permitted are (contract, section 6): the model's name, the output bound, the model's defaults where the caller said
nothing, and the model's system prompt. With none due, the body goes on as the very object that came in. Two things
that only this gateway understands are taken out besides: the caller's `provider_options`, of which Anthropic's become
members, and thinking that a provider of another kind wants back, which Anthropic would refuse.
"""

from typing import Final
from urllib.parse import quote

import msgspec

from adapters import anthropic_encode, asked
from adapters.anthropic_turns import PROVIDER
from adapters.asked import NEVER_DEFAULTED, OUTPUT_FIELDS, invalid
from adapters.wire import ABSENT, encoded, given, places
from scaigrid import splice
from scaigrid.adapter import Header, Outgoing, Target
from scaigrid.call import Call
from scaigrid.types import Chat, Tool

FOREIGN: Final = b'"scaigrid.'
"""How signatures begin that stand for what another provider wants back (see `scaigrid.dialects.anthropic_thinking`)."""
_OWN_WORDS: Final = frozenset(
    {
        "cache_control",
        "container",
        "context_management",
        "inference_geo",
        "mcp_servers",
        "metadata",
        "output_config",
        "service_tier",
        "speed",
        "stop_sequences",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)
"""Defaults that go on as the operator wrote them; all others are the words of other dialects, and translated."""
_SAMPLING: Final = frozenset({"temperature", "top_k", "top_p"})
_WITHOUT_SAMPLING: Final = "2026-10-21"
"""The first version of the API that refuses them."""
_SAFE: Final = "%/?:@!$&'()*+,;=-._~"
_options: Final = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]])
_list: Final = msgspec.json.Decoder(list[msgspec.Raw])


class _Turn(msgspec.Struct):
    content: msgspec.Raw = ABSENT


class _Block(msgspec.Struct):
    type: str = ""
    signature: str = ""


_turn: Final = msgspec.json.Decoder(_Turn)
_block: Final = msgspec.json.Decoder(_Block)


def address(call: Call, target: Target, path: str) -> str:
    """Where the call goes, with the query that its client sent (`?beta=true`)."""
    query = quote(call.query, safe=_SAFE)
    return f"{target.base_url}{path}?{query}" if query else target.base_url + path


def headers(call: Call, target: Target) -> tuple[Header, ...]:
    """The provider's headers with the client's word for the version, and its betas beside the operator's."""
    if not call.headers:
        return target.headers
    made = dict(target.headers)
    betas = made.get("anthropic-beta", "").split(",")
    for name, value in call.headers:
        if name == "anthropic-beta":
            betas += value.split(",")
        else:
            made[name] = value
    if wanted := list(dict.fromkeys(beta for one in betas if (beta := one.strip()))):
        made["anthropic-beta"] = ",".join(wanted)
    return tuple(made.items())


def spliced(call: Call, model: str, outgoing: Outgoing) -> bytes:
    """The body for a provider that knows the model as `model`. Raises VALIDATION_ERROR, UNSUPPORTED_BY_MODEL."""
    body, members = call.body, call.members
    due: dict[str, bytes] = {}
    if model != call.model:
        due["model"] = msgspec.json.encode(model)
    bound = outgoing.max_output
    if call.operation == "chat" and bound is not None and bytes(members.get("max_tokens", b"")) != b"%d" % bound:
        due["max_tokens"] = b"%d" % bound
    if outgoing.defaults:
        due |= _defaults(call, model, outgoing)
    if "provider_options" in members:
        due |= _own_options(members["provider_options"])
        body = splice.remove(body, places(body, members), "provider_options")
        members = {name: raw for name, raw in members.items() if name != "provider_options"}
    if outgoing.system_prompt is not None:
        due["system"] = _system(outgoing.system_prompt, members.get("system"))
    if FOREIGN in body and (messages := _sound(bytes(members["messages"]))) is not None:
        due["messages"] = messages
    if not due:
        return body
    try:
        return splice.replace(body, places(body, members), due)
    except splice.DuplicateKey as twice:
        raise invalid(str(twice), "is given more than once") from None


def _defaults(call: Call, model: str, outgoing: Outgoing) -> dict[str, bytes]:
    """The defaults for what the caller left out, as members."""
    found: dict[str, bytes] = {}
    others: dict[str, msgspec.Raw] = {}
    for name, raw in outgoing.defaults.items():
        if name in _SAMPLING and _version(call) >= _WITHOUT_SAMPLING and name not in call.members:
            if name not in outgoing.dropped:
                raise asked.unsupported(name)
        elif name in _OWN_WORDS:
            found[name] = bytes(raw)
        elif name not in OUTPUT_FIELDS and name not in NEVER_DEFAULTED:
            others[name] = raw
    if others:
        # A tool, so that what the defaults say about tools has something to refer to.
        tools = (Tool(name="any"),) if "tools" in call.members else ()
        silent = Chat(messages=(), tools=tools, max_tokens=call.max_output)
        meant = asked.defaulted(call, silent, Outgoing(defaults=others, dropped=outgoing.dropped))
        said = anthropic_encode.settings(meant, model)
        found = {name: encoded(value) for name, value in said.items() if name != "tools"} | found
    counted = call.operation == "count_tokens"
    return {
        name: value
        for name, value in found.items()
        if name not in call.members and (not counted or name in anthropic_encode.COUNTED)
    }


def _version(call: Call) -> str:
    return next((value for name, value in call.headers if name == "anthropic-version"), "")


def _own_options(raw: msgspec.Raw) -> dict[str, bytes]:
    try:
        options = _options.decode(raw).get(PROVIDER, {}) if given(raw) else {}
    except msgspec.DecodeError:
        raise invalid("provider_options", "must be an object of objects") from None
    for name in options:
        if name in anthropic_encode.RESERVED:
            raise invalid(f"provider_options.{PROVIDER}.{name}", "is set by the gateway")
    return {name: bytes(value) for name, value in options.items()}


def _system(prompt: str, theirs: msgspec.Raw | None) -> bytes:
    """The operator's prompt, and behind it the caller's."""
    said = b"" if theirs is None else bytes(theirs)
    if said in (b"", b"null", b'""') or (said[:1] == b"[" and not said[1:-1].strip()):
        return encoded(prompt)
    block = encoded({"type": "text", "text": prompt})
    if said[:1] == b'"':
        return b'[%b,{"type":"text","text":%b}]' % (block, said)
    return b"[%b,%b" % (block, said[1:].lstrip())


def _sound(messages: bytes) -> bytes | None:
    """The messages without thinking of another provider's, None where there is none of it."""
    kept: list[bytes] = []
    changed = False
    for message in _list.decode(messages):
        text = bytes(message)
        if FOREIGN in text and (content := _content(text)) is not None:
            changed = True
            if not content:
                continue
            members = splice.members(text)
            text = splice.replace(text, places(text, members), {"content": b"[%b]" % b",".join(content)})
        kept.append(text)
    return b"[%b]" % b",".join(kept) if changed else None


def _content(message: bytes) -> list[bytes] | None:
    """The blocks that remain, None where all do."""
    try:
        blocks = _list.decode(_turn.decode(message).content)
        kept = [bytes(block) for block in blocks if not _is_foreign(bytes(block))]
    except msgspec.DecodeError:
        # Whatever it is, the provider will say.
        return None
    return kept if len(kept) < len(blocks) else None


def _is_foreign(block: bytes) -> bool:
    if FOREIGN not in block:
        return False
    said = _block.decode(block)
    return said.type == "thinking" and said.signature.startswith(FOREIGN[1:].decode())
