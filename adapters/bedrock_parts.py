"""Parts of a message as Converse's content blocks: texts, media, documents, tools' results, cache points.

Source: Amazon Bedrock API reference, "ContentBlock", "ToolResultContentBlock".
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from adapters.asked import invalid, unsupported
from adapters.bedrock_families import Family
from scaigrid.types import AudioPart, CacheTime, FilePart, ImagePart, JsonPart, Message, Part, RefusalPart, TextPart

Block = dict[str, Any]

_IMAGES: Final[Mapping[str, str]] = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_DOCUMENTS: Final[Mapping[str, str]] = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/markdown": "md",
    # Text is text, whatever it is about.
    "text/plain": "txt",
    "text/xml": "txt",
    "text/yaml": "txt",
    "text/css": "txt",
    "text/javascript": "txt",
    "text/x-python": "txt",
    "application/json": "txt",
    "application/xml": "txt",
    "application/yaml": "txt",
    "application/x-yaml": "txt",
}
_VIDEOS: Final[Mapping[str, str]] = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/x-matroska": "mkv",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "three_gp",
}
_SOUNDS: Final = frozenset(
    {"aac", "flac", "m4a", "mka", "mkv", "mp3", "mp4", "mpeg", "mpga", "ogg", "opus", "pcm", "wav", "webm"}
)
_KINDS: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (("document", _DOCUMENTS), ("video", _VIDEOS))
_ENDINGS: Final[Mapping[str, str]] = {"jpg": "jpeg", "htm": "html", "3gp": "three_gp", "mpg": "mpeg"}
"""What a format is called where a file's name ends otherwise."""
_PDF: Final = "JVBERi0"
"""How base64 of a PDF begins."""
_S3: Final = "s3://"
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9 ()\[\]-]+| {2,}")
_LONGEST_NAME: Final = 180


class Parts:
    """Makes the blocks of one call. It knows the names that its documents have, which must not be the same."""

    __slots__ = ("_family", "_names")

    def __init__(self, family: Family) -> None:
        self._family = family
        self._names: set[str] = set()

    def blocks(self, message: Message, where: str) -> list[Block]:
        """The message's parts, each with its cache point behind it."""
        place = "system" if message.role in ("system", "developer") else "messages"
        found: list[Block] = []
        for number, part in enumerate(message.content):
            block = self._block(part, message, f"{where}.content[{number}]")
            if block is not None:
                found.append(block)
                found += self.point(_cache(part), place)
        return found

    def result(self, message: Message, identifier: str, where: str) -> list[Block]:
        """A tool's result. No cache point can stand inside one, so its parts' stands behind it."""
        content: list[Block] = []
        points: list[Block] = []
        for number, part in enumerate(message.content):
            block = self._result_block(part, message, f"{where}.content[{number}]")
            if block is not None:
                content.append(block)
                points = self.point(_cache(part), "messages") or points
        said: Block = {"toolUseId": identifier, "content": content}
        if message.tool_error:
            said["status"] = "error"
        return [{"toolResult": said}, *points]

    def point(self, cache: CacheTime | None, place: str) -> list[Block]:
        """The cache point that a mark asks for, where the model takes one."""
        if cache is None or place not in self._family.caches:
            return []
        long = cache == "1h" and self._family.hours
        return [{"cachePoint": {"type": "default", "ttl": "1h"} if long else {"type": "default"}}]

    def _result_block(self, part: Part, message: Message, where: str) -> Block | None:
        # Only an object is taken as JSON.
        if isinstance(part, JsonPart) and bytes(part.value).lstrip().startswith(b"{"):
            return {"json": msgspec.Raw(msgspec.json.format(bytes(part.value), indent=-1))}
        return self._block(part, message, where)

    def _block(self, part: Part, message: Message, where: str) -> Block | None:
        """None for a text without a character, which the API refuses."""
        match part:
            case TextPart(text=text) | RefusalPart(refusal=text):
                return {"text": text} if text else None
            case JsonPart(value=value):
                return {"text": bytes(value).decode()}
            case ImagePart() if message.role in ("user", "tool"):
                return self._image(part, where)
            case FilePart() if message.role in ("user", "tool"):
                return self._file(part, where)
            case AudioPart(data=data, format=form) if message.role == "user" and form in _SOUNDS:
                return {"audio": {"format": form, "source": {"bytes": data}}}
            case ImagePart() | FilePart() | AudioPart():
                raise unsupported(where)

    def _image(self, part: ImagePart, where: str) -> Block:
        if part.data is not None and part.media_type is None:
            raise invalid(f"{where}.media_type", "is required beside data")
        source = _source(part, where)
        form = _IMAGES.get(part.media_type.lower()) if part.media_type else _ending(part.url, _IMAGES)
        if form is None:
            raise unsupported(f"{where}.media_type")
        return {"image": {"format": form, "source": source}}

    def _file(self, part: FilePart, where: str) -> Block:
        if part.file_id is not None:
            raise unsupported(f"{where}.file_id")
        source = _source(part, where)
        media_type = (part.media_type or "").partition(";")[0].strip().lower()
        if not media_type and part.data is not None and part.data.startswith(_PDF):
            media_type = "application/pdf"
        for kind, formats in _KINDS:
            form = formats.get(media_type) or (None if media_type else _ending(part.url or part.filename, formats))
            if form is None:
                continue
            if kind == "video":
                return {"video": {"format": form, "source": source}}
            said: Block = {"format": form, "name": self._name(part.filename), "source": source}
            if part.citations:
                said["citations"] = {"enabled": True}
            return {"document": said}
        raise unsupported(f"{where}.media_type")

    def _name(self, filename: str | None) -> str:
        """A name of the letters that the API takes, another for each document, the same in every turn."""
        plain = _NOT_IN_NAMES.sub("-", filename or "").strip(" -")[:_LONGEST_NAME]
        number = 1 if plain else len(self._names) + 1
        name = plain or f"Document {number}"
        while name in self._names:
            number += 1
            name = f"{plain or 'Document'} {number}"
        self._names.add(name)
        return name


def _source(part: ImagePart | FilePart, where: str) -> Block:
    """Bytes, or an object in S3. The API fetches nothing else."""
    if part.data is not None:
        return {"bytes": part.data}
    if part.url is not None and part.url.startswith(_S3):
        return {"s3Location": {"uri": part.url}}
    raise unsupported(f"{where}.url")


def _ending(name: str | None, formats: Mapping[str, str]) -> str | None:
    """The format that a file's name tells by its end."""
    ending = (name or "").rpartition(".")[2].lower()
    ending = _ENDINGS.get(ending, ending)
    return ending if ending in formats.values() else None


def _cache(part: Part) -> CacheTime | None:
    return part.cache if isinstance(part, TextPart | ImagePart | FilePart | JsonPart) else None
