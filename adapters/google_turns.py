"""Canonical messages as the contents of Gemini's calls: system instruction, turns of user and model, their parts.

Source: Gemini API reference, "Content", "Part"; guides "Function calling", "Thought signatures". What there are no
words for is refused by name. Left out, since they change no answer: an image's `detail`, cache marks (Gemini caches by
itself), a document's file name, and reasoning that another provider made.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from adapters import google_thinking
from adapters.asked import invalid, unsupported
from scaigrid.adapter import Target
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

PROVIDER: Final = "google"
UNSIGNED: Final = "skip_thought_signature_validator"
"""What the guide gives for the signature of a call that no Gemini model has made."""
_SOUNDS: Final[Mapping[str, str]] = {"pcm16": "audio/pcm", "mpeg": "audio/mp3"}
_VIDEO_HOSTS: Final = frozenset({"youtube.com", "www.youtube.com", "m.youtube.com", "youtu.be"})
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

Block = dict[str, Any]
Parts = list[Block | msgspec.Raw]
"""Raw ones are as the provider gave them."""


def turns(messages: tuple[Message, ...], target: Target, *, cloud: bool) -> tuple[Parts, list[Block]]:
    """The parts of the system instruction, wherever they stood, and the turns, neighbours of one role joined.

    `cloud` for Vertex AI: it has to be told the type of whatever it fetches, and knows calls by their order, not by
    ids. Raises UNSUPPORTED_BY_MODEL, VALIDATION_ERROR.
    """
    writer = _Writer(target, cloud=cloud)
    system: Parts = []
    contents: list[Block] = []
    for place, message in _in_order(messages) if cloud else enumerate(messages):
        where = f"messages[{place}]"
        if message.name is not None and message.role != "tool":
            raise unsupported(f"{where}.name")
        parts = writer.parts(message, where)
        if message.role in ("system", "developer"):
            system += parts
            continue
        role = "model" if message.role == "assistant" else "user"
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    return system, contents


def _in_order(messages: tuple[Message, ...]) -> list[tuple[int, Message]]:
    """The messages with their places; results that follow each other stand in the order of their calls."""
    found: list[tuple[int, Message]] = []
    calls: dict[str | None, int] = {}
    for are_results, run in groupby(enumerate(messages), _is_result):
        if are_results:
            found += sorted(run, key=lambda one: calls.get(one[1].tool_call_id, len(calls)))
            continue
        for one in run:
            found.append(one)
            calls = {call.id: number for number, call in enumerate(one[1].tool_calls)} or calls
    return found


def _is_result(one: tuple[int, Message]) -> bool:
    return one[1].role == "tool"


class _Writer:
    """Writes messages in their order: a tool's result needs the name that its call had."""

    __slots__ = ("_cloud", "_names", "_nests", "_signs", "_target")

    def __init__(self, target: Target, *, cloud: bool) -> None:
        self._target = target
        self._cloud = cloud
        self._signs = self._nests = google_thinking.signs_calls(target.model)
        self._names: dict[str, str] = {}

    def parts(self, message: Message, where: str) -> Parts:
        """At least one: a turn is a turn, if only an empty one."""
        if message.role == "tool":
            return self._result(message, where)
        said = [self._part(part, message, f"{where}.content[{place}]") for place, part in enumerate(message.content)]
        said = [part for part in said if part != _EMPTY]
        return (self._assistant(message, said, where) if message.role == "assistant" else [*said]) or [_EMPTY]

    def _assistant(self, message: Message, said: list[Block], where: str) -> Parts:
        """Thoughts first, then text, then calls, each with its signature."""
        thoughts: Parts = []
        of_text: list[str] = []
        of_calls: dict[str | None, str] = {}
        for part in message.reasoning:
            if part.provider != PROVIDER:
                continue
            match part.signs:
                case "reasoning":
                    thoughts += _thought(part)
                case "text":
                    of_text += [part.signature] if part.signature else []
                case "call":
                    of_calls |= {part.call_id: part.signature} if part.signature else {}
        calls = [
            self._call(call, of_calls, f"{where}.tool_calls[{place}]") for place, call in enumerate(message.tool_calls)
        ]
        if self._signs and calls and "thoughtSignature" not in calls[0]:
            # Of calls side by side the model signs the first alone. One without it comes from somebody else.
            calls[0]["thoughtSignature"] = UNSIGNED
        return [*thoughts, *_signed(said, of_text), *calls]

    def _call(self, call: CalledTool, signatures: Mapping[str | None, str], where: str) -> Block:
        self._names[call.id] = call.name
        arguments = _object_of(call.arguments.strip() or "{}")
        if arguments is None:
            raise invalid(f"{where}.arguments", "is no JSON object")
        said: Block = {"functionCall": {**self._id(call.id), "name": call.name, "args": arguments}}
        signature = signatures.get(call.id)
        if signature is not None:
            said["thoughtSignature"] = signature
        return said

    def _result(self, message: Message, where: str) -> Parts:
        """A tool's result, which is an object: one of its own, or one with the text in `result` or `error`.

        Pictures and files stand in it from Gemini 3 on, and beside it before.
        """
        name = self._names.get(message.tool_call_id or "") or message.name
        if name is None:
            raise invalid(f"{where}.tool_call_id", "names no tool call of an earlier message")
        shown = [
            self._part(part, message, f"{where}.content[{place}]")
            for place, part in enumerate(message.content)
            if not isinstance(part, TextPart | JsonPart | RefusalPart)
        ]
        result: Block = {**self._id(message.tool_call_id), "name": name, "response": _response(message)}
        if shown and self._nests:
            result["parts"] = shown
            shown = []
        return [{"functionResponse": result}, *shown]

    def _id(self, identifier: str | None) -> Block:
        return {} if self._cloud else {"id": identifier}

    def _part(self, part: Part, message: Message, where: str) -> Block:
        match part:
            case TextPart() | RefusalPart() | JsonPart():
                return {"text": _text(part)}
            case _ if message.role not in ("user", "tool"):
                raise unsupported(where)
            case AudioPart(data=data, format=kind):
                return {"inlineData": {"mimeType": _SOUNDS.get(kind, f"audio/{kind}"), "data": data}}
            case ImagePart(data=data, media_type=kind) | FilePart(data=data, media_type=kind):
                if isinstance(part, FilePart) and part.citations:
                    raise unsupported(f"{where}.citations")
                if data is None:
                    return self._fetched(part, where)
                if kind is None:
                    raise invalid(f"{where}.media_type", "is required beside data")
                return {"inlineData": {"mimeType": kind, "data": data}}

    def _fetched(self, part: ImagePart | FilePart, where: str) -> Block:
        """What the provider fetches by itself: a file that it keeps, a page of the web, a video."""
        kept = part.file_id if isinstance(part, FilePart) else None
        if kept is not None and kept.startswith("files/"):
            uri = f"{self._target.base_url}/{kept}"
        else:
            uri = kept or part.url or ""
        kind = part.media_type or _kind(uri)
        if kind is None and self._cloud:
            raise unsupported(f"{where}.{'url' if kept is None else 'file_id'}")
        return {"fileData": {"fileUri": uri} if kind is None else {"mimeType": kind, "fileUri": uri}}


_EMPTY: Final[Block] = {"text": ""}


def _thought(part: ReasoningPart) -> Iterator[Block | msgspec.Raw]:
    """A thought as the model told it, and behind it a part that only this provider reads, as it was."""
    if part.text or part.signature:
        thought: Block = {"text": part.text, "thought": True}
        if part.signature:
            thought["thoughtSignature"] = part.signature
        yield thought
    kept = _object_of(part.redacted) if part.redacted is not None else None
    if kept is not None:
        yield kept


def _signed(parts: list[Block], signatures: Sequence[str]) -> list[Block]:
    """The last text bears the last signature; the others bear no text, as in the streams that they come from."""
    if not signatures:
        return parts
    alone = [{**_EMPTY, "thoughtSignature": signature} for signature in signatures[:-1]]
    *ahead, last = parts or [_EMPTY]
    return [*alone, *ahead, {**last, "thoughtSignature": signatures[-1]}]


def _response(message: Message) -> Block | msgspec.Raw:
    """An object: the tool's own where it gave one, else one around what it said."""
    match message.content:
        case (JsonPart(value=value),):
            said: str | msgspec.Raw = value
        case parts:
            said = "\n".join([_text(part) for part in parts if isinstance(part, TextPart | JsonPart | RefusalPart)])
    if message.tool_error:
        return {"error": said}
    return _object_of(said) or {"result": said}


def _text(part: TextPart | JsonPart | RefusalPart) -> str:
    match part:
        case TextPart(text=text) | RefusalPart(refusal=text):
            return text
        case JsonPart(value=value):
            return bytes(value).decode()


def _object_of(text: str | bytes | msgspec.Raw) -> msgspec.Raw | None:
    """The JSON object that a text is, on one line and not decoded: numbers stay as they are. None for another text."""
    try:
        encoded = text.encode() if isinstance(text, str) else bytes(text)
        _object.decode(encoded)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return msgspec.Raw(msgspec.json.format(encoded, indent=-1))


def _kind(uri: str) -> str | None:
    """The media type that an address shows by its end; a video where the host has nothing else."""
    try:
        found = urlsplit(uri)
    except ValueError:
        return None
    if found.hostname in _VIDEO_HOSTS:
        return "video/mp4"
    return _KINDS.get(found.path.rpartition(".")[2].lower())


_KINDS: Final[Mapping[str, str]] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "json": "application/json",
    "txt": "text/plain",
    "md": "text/markdown",
    "html": "text/html",
    "csv": "text/csv",
    "xml": "text/xml",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "aiff": "audio/aiff",
    "aac": "audio/aac",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "m4a": "audio/m4a",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "avi": "video/x-msvideo",
    "wmv": "video/x-ms-wmv",
    "3gp": "video/3gpp",
}
"""What the provider takes, by how an address ends."""
