"""The call of a client of OpenAI's Responses API, for a provider of it: its own bytes, but for what is permitted.

Permitted are (contract, section 6): the model's name, the output bound, the model's defaults where the caller said
nothing, and the model's system prompt, which goes ahead of the caller's instructions. The name of a stored answer,
which the gateway made, becomes the provider's own.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from adapters.asked import NEVER_DEFAULTED, invalid, unsupported
from adapters.wire import encoded, given, places
from scaigrid import splice
from scaigrid.adapter import Outgoing
from scaigrid.call import Call

CREATE: Final = "openai/responses"
SIZE: Final = "openai/input_tokens"
_ABOUT: Final[Mapping[str, tuple[str, str]]] = {
    "openai/responses/retrieve": ("GET", ""),
    "openai/responses/delete": ("DELETE", ""),
    "openai/responses/cancel": ("POST", "/cancel"),
    "openai/responses/input_items": ("GET", "/input_items"),
}
"""What is asked about a stored answer: the method, and the path behind its name."""
SURFACES: Final = frozenset({CREATE, SIZE, *_ABOUT})
"""What who speaks this API speaks."""
JOIN: Final = "\n\n"
"""Between the model's prompt and the caller's instructions."""

_OUTPUT_FIELD: Final = "max_output_tokens"
_BOUNDS: Final = frozenset({_OUTPUT_FIELD, "max_tokens", "max_completion_tokens"})
_NEVER: Final = NEVER_DEFAULTED | {"background", "conversation", "previous_response_id", "prompt"}
_OF_CHAT: Final = frozenset(
    {"frequency_penalty", "logit_bias", "logprobs", "presence_penalty", "response_format", "seed", "stop", "top_k"}
)
"""Defaults with a word in chat completions and none here."""
_text: Final = msgspec.json.Decoder(str)


def spliced(call: Call, model: str, outgoing: Outgoing) -> tuple[str, str, bytes]:
    """Method, path and body for a provider that speaks `call.surface` and knows the model as `model`.

    Raises VALIDATION_ERROR for a member that is given twice, UNSUPPORTED_BY_MODEL for a default that this API lacks.
    """
    about = _ABOUT.get(call.surface)
    if about is not None:
        method, behind = about
        query = f"?{call.query}" if call.query else ""
        return method, f"/responses/{quote(outgoing.held or '', safe='')}{behind}{query}", b""
    members = call.members
    due: dict[str, bytes] = {}
    if model != call.model:
        due["model"] = msgspec.json.encode(model)
    if call.held is not None:
        if outgoing.held is None:
            raise invalid("previous_response_id", "names nothing that is kept for your tenant")
        due["previous_response_id"] = msgspec.json.encode(outgoing.held)
    if outgoing.system_prompt is not None:
        due["instructions"] = _instructions(members.get("instructions"), outgoing.system_prompt)
    if call.surface == CREATE:
        _bound(call, outgoing, due)
        _defaults(call, outgoing, due)
    path = "/responses" if call.surface == CREATE else "/responses/input_tokens"
    return "POST", path, _replaced(call, due)


def _bound(call: Call, outgoing: Outgoing, due: dict[str, bytes]) -> None:
    if outgoing.max_output is not None:
        bound = b"%d" % outgoing.max_output
        if bytes(call.members.get(_OUTPUT_FIELD, b"")) != bound:
            due[_OUTPUT_FIELD] = bound


def _defaults(call: Call, outgoing: Outgoing, due: dict[str, bytes]) -> None:
    for given_name, raw in outgoing.defaults.items():
        if given_name in _OF_CHAT:
            raise unsupported(f"default_params.{given_name}")
        name, value = _OUTPUT_FIELD if given_name in _BOUNDS else given_name, bytes(raw)
        if name == "reasoning_effort":
            name, value = "reasoning", b'{"effort":%b}' % value
        if name not in call.members and name not in due and name not in _NEVER:
            due[name] = value


def _instructions(said: msgspec.Raw | None, prompt: str) -> bytes:
    """The model's prompt, ahead of what the caller said."""
    if said is None or not given(said):
        return encoded(prompt)
    try:
        return encoded(prompt + JOIN + _text.decode(said))
    except msgspec.ValidationError:
        raise invalid("instructions", "must be a string") from None


def _replaced(call: Call, due: Mapping[str, bytes]) -> bytes:
    if not due:
        return call.body
    try:
        return splice.replace(call.body, places(call.body, call.members), due)
    except splice.DuplicateKey as twice:
        raise invalid(str(twice), "is given more than once") from None
