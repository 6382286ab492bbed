"""The list of models as those give it who speak the OpenAI protocol: `GET /models`.

OpenAI itself says a name and an owner. Others add how much a model takes, each in a word of its own: `context_length`
and `top_provider.max_completion_tokens` (OpenRouter, Together), `context_window` and `max_completion_tokens` (Groq),
`max_context_length` (Mistral), `max_model_len` (vLLM), or one for each who serves it (Hugging Face). Together gives the
list itself, with no object around it.
"""

from typing import Any, Final

import msgspec

from adapters.wire import broken, decoded, is_list, is_object
from scaigrid.adapter import Offer, Offers

_any: Final = msgspec.json.Decoder(Any)
_WINDOWS: Final = ("context_window", "context_length", "max_context_length", "max_model_len")
_OUTPUTS: Final = ("max_output_tokens", "max_completion_tokens")
_MOST: Final = 2**40
"""Tokens; what is said beyond is taken for unsaid."""


def offers(body: bytes) -> Offers:
    """All of it: the protocol has no pages here. Raises UPSTREAM_SHAPE_MISMATCH for anything but a list of names."""
    whole = decoded(_any, body)
    entries = whole.get("data") if is_object(whole) else whole
    if not is_list(entries):
        raise broken("no list of models")
    return Offers([_offer(entry) for entry in entries])


def _offer(entry: Any) -> Offer:
    name = entry.get("id") if is_object(entry) else None
    if not isinstance(name, str) or not name:
        raise broken("a model without a name")
    best = entry.get("top_provider")
    further = best if is_object(best) else {}
    return Offer(
        model=name,
        display_name=_text(entry, "display_name", "name"),
        owned_by=_text(entry, "owned_by", "organization"),
        context_window=_tokens(entry, _WINDOWS) or _tokens(further, _WINDOWS) or _largest(entry),
        max_output_tokens=_tokens(entry, _OUTPUTS) or _tokens(further, _OUTPUTS),
    )


def _largest(entry: dict[str, Any]) -> int | None:
    """The largest window of those who serve the model."""
    servers = entry.get("providers")
    found = [_tokens(one, _WINDOWS) or 0 for one in servers if is_object(one)] if is_list(servers) else []
    return max(found, default=0) or None


def _text(entry: dict[str, Any], *names: str) -> str | None:
    found = (entry.get(name) for name in names)
    return next((text for text in found if isinstance(text, str) and text), None)


def _tokens(entry: dict[str, Any], names: tuple[str, ...]) -> int | None:
    found = (entry.get(name) for name in names)
    return next((number for number in found if type(number) is int and 0 < number <= _MOST), None)
