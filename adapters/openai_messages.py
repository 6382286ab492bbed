"""The messages of a conversation as chat completions take them, and what of earlier turns a provider wants back.

Hints that change no answer and have no counterpart are left out: cache marks (prefixes are cached unasked), that a
tool's result is an error (its text says so), and reasoning that another provider made. Results of tools are texts here:
an image in one is shown by a user's message behind the results of that turn. What cannot be said is refused by the path
of the caller's field.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from adapters.asked import invalid, unsupported
from adapters.endpoints import Endpoint, GivesBack
from adapters.wire import present
from scaigrid.types import (
    AudioPart,
    CalledTool,
    FilePart,
    ImagePart,
    JsonPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
)

Block = dict[str, Any]
_NINE: Final = re.compile(r"[A-Za-z0-9]{9}")
_BETWEEN: Final = "\n\n"
"""What stands between two texts that are sent as one."""
_LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_details: Final = msgspec.json.Decoder(list[dict[str, Any]])


def messages(turns: tuple[Message, ...], row: Endpoint) -> list[Block]:
    """Raises UNSUPPORTED_BY_MODEL, VALIDATION_ERROR."""
    said: list[Block] = []
    shown: list[Block] = []
    for place, message in enumerate(turns):
        where = f"messages[{place}]"
        if message.role == "tool" and row.shows_results:
            shown += _shown(message, where, row)
            told = msgspec.structs.replace(message, content=tuple(filter(_is_told, message.content)))
            said.append(_message(told, where, row))
            continue
        if shown:
            said.append({"role": "user", "content": shown})
            shown = []
        said.append(_message(message, where, row))
    if shown:
        said.append({"role": "user", "content": shown})
    if row.prefill is not None and turns and turns[-1].role == "assistant" and not turns[-1].tool_calls:
        said[-1][row.prefill] = True
    return said


def _shown(message: Message, where: str, row: Endpoint) -> list[Block]:
    """What a tool shows: results are texts here, so a user shows it once the results of the turn are told."""
    shows = msgspec.structs.replace(message, role="user")
    return [
        _part(part, shows, f"{where}.content[{place}]", row)
        for place, part in enumerate(message.content)
        if not _is_told(part)
    ]


def _is_told(part: Part) -> bool:
    return isinstance(part, TextPart | JsonPart | RefusalPart)


def _message(message: Message, where: str, row: Endpoint) -> Block:
    if message.name is not None and message.role != "tool" and not row.names_speakers:
        raise unsupported(f"{where}.name")
    thoughts = [one for one in message.reasoning if one.provider in (None, row.name)]
    said: Block = {"role": row.role(message), "content": _content(message, where, row)}
    if message.name is not None and message.role != "tool":
        said["name"] = message.name
    if message.tool_call_id is not None:
        said["tool_call_id"] = call_id(message.tool_call_id, row)
    _GIVES_BACK[row.gives_back](thoughts, message, said)
    said |= _signature(thoughts, "text", None)
    if message.tool_calls:
        said["tool_calls"] = [_called(call, place, thoughts, row) for place, call in enumerate(message.tool_calls)]
    return said


def _content(message: Message, where: str, row: Endpoint) -> str | list[Block] | None:
    if not message.content:
        # An assistant that only called tools has said nothing; anybody else has said something, if only "".
        return None if message.tool_calls else ""
    texts = [_said(part, row) for part in message.content]
    spoken = [text for text in texts if text is not None]
    if len(spoken) == len(texts) and (row.one_text or len(spoken) == 1):
        return _BETWEEN.join(spoken)
    return [_part(part, message, f"{where}.content[{place}]", row) for place, part in enumerate(message.content)]


def _said(part: Part, row: Endpoint) -> str | None:
    """The text of a part that is one for this provider."""
    match part:
        case TextPart(text=text):
            return text
        case JsonPart(value=value):
            return bytes(value).decode()
        case RefusalPart(refusal=text) if not row.refusals:
            return text
        case _:
            return None


def call_id(given: str, row: Endpoint) -> str:
    """The id of a tool call as the provider takes it: the same for the call and for its result."""
    if not row.call_ids_of_nine or _NINE.fullmatch(given):
        return given
    number = int.from_bytes(hashlib.sha256(given.encode(errors="surrogatepass")).digest()[:8])
    return "".join([_LETTERS[number // 62**place % 62] for place in range(9)])


def _called(call: CalledTool, place: int, thoughts: list[ReasoningPart], row: Endpoint) -> Block:
    function = {"name": call.name, "arguments": call.arguments}
    said: Block = {"id": call_id(call.id, row), "type": "function", "function": function}
    # A signature that came with a call without an id belongs to the first one.
    return said | (_signature(thoughts, "call", call.id) or (_signature(thoughts, "call", None) if place == 0 else {}))


# -- reasoning -------------------------------------------------------------------------------------------------------


def _signature(thoughts: list[ReasoningPart], signs: str, called: str | None) -> Block:
    """What Gemini signs, where its own protocol of this name has it: beside the text, and beside each tool call."""
    for one in thoughts:
        if one.signs == signs and one.call_id == called and one.signature is not None:
            return {"extra_content": {"google": {"thought_signature": one.signature}}}
    return {}


def _text(thoughts: list[ReasoningPart]) -> str:
    return "".join([one.text for one in thoughts if one.signs == "reasoning"])


def _in_nothing(_thoughts: list[ReasoningPart], _message: Message, _said: Block) -> None:
    """The reasoning of earlier turns is not taken."""


def _in_reasoning_content(thoughts: list[ReasoningPart], message: Message, said: Block) -> None:
    if message.tool_calls and (text := _text(thoughts)):
        said["reasoning_content"] = text


def _in_reasoning(thoughts: list[ReasoningPart], _message: Message, said: Block) -> None:
    if text := _text(thoughts):
        said["reasoning"] = text


def _in_details(thoughts: list[ReasoningPart], message: Message, said: Block) -> None:
    kept = [one.redacted for one in thoughts if one.redacted is not None]
    if not kept:
        _in_reasoning(thoughts, message, said)
        return
    try:
        said["reasoning_details"] = [detail for text in kept for detail in _details.decode(text)]
    except (msgspec.DecodeError, RecursionError):
        raise invalid("messages", "hold reasoning that its provider did not make") from None


def _in_parts(thoughts: list[ReasoningPart], _message: Message, said: Block) -> None:
    if text := _text(thoughts):
        content: str | list[Block] = said["content"] or []
        spoken = [{"type": "text", "text": content}] if isinstance(content, str) else content
        said["content"] = [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}, *spoken]


_GIVES_BACK: Final[Mapping[GivesBack, Callable[[list[ReasoningPart], Message, Block], None]]] = {
    "nothing": _in_nothing,
    "reasoning_content": _in_reasoning_content,
    "reasoning": _in_reasoning,
    "details": _in_details,
    "thinking": _in_parts,
}


# -- parts -----------------------------------------------------------------------------------------------------------


def _part(part: Part, message: Message, where: str, row: Endpoint) -> Block:
    if message.role != "user" and not isinstance(part, TextPart | JsonPart | RefusalPart):
        raise unsupported(where)
    if (text := _said(part, row)) is not None:
        return {"type": "text", "text": text}
    match part:
        case RefusalPart(refusal=refusal):
            return {"type": "refusal", "refusal": refusal}
        case ImagePart() if "images" in row.can:
            url = part.url if part.data is None else data_url(part.data, part.media_type, where)
            return {"type": "image_url", "image_url": present({"url": url, "detail": part.detail})}
        case AudioPart() if "audio" in row.can:
            return {"type": "input_audio", "input_audio": _AUDIO[row.audio](part)}
        case FilePart() if "files" in row.can:
            if part.citations:
                raise unsupported(f"{where}.citations")
            return _FILES[row.files](part, where)
        case _:
            raise unsupported(where)


def data_url(data: str, media_type: str | None, where: str) -> str:
    """What is sent in place of an address. Raises VALIDATION_ERROR without a media type."""
    if media_type is None:
        raise invalid(f"{where}.media_type", "is required beside data")
    return f"data:{media_type};base64,{data}"


_AUDIO: Final[Mapping[str, Callable[[AudioPart], Any]]] = {
    "input_audio": lambda part: {"data": part.data, "format": part.format},
    "data_url": lambda part: {"data": f"data:;base64,{part.data}", "format": part.format},
    "text": lambda part: part.data,
}


def _file(part: FilePart, where: str) -> Block:
    if part.url is not None:
        raise unsupported(f"{where}.url")
    content = None if part.data is None else data_url(part.data, part.media_type, where)
    file = {"file_id": part.file_id, "filename": part.filename, "file_data": content}
    return {"type": "file", "file": present(file)}


def _file_or_url(part: FilePart, where: str) -> Block:
    if part.url is None:
        return _file(part, where)
    return {"type": "file", "file": present({"filename": part.filename, "file_data": part.url})}


def _document(part: FilePart, where: str) -> Block:
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    url = part.url if part.data is None else data_url(part.data, part.media_type, where)
    return present({"type": "document_url", "document_url": url, "document_name": part.filename})


_FILES: Final[Mapping[str, Callable[[FilePart, str], Block]]] = {
    "file": _file,
    "file_or_url": _file_or_url,
    "document_url": _document,
}
