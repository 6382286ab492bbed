"""The messages of an Anthropic request, block by block, as canonical messages.

One message of this dialect may be several: what tools answered stands inside the user's message here, and in messages
of their own elsewhere.
"""

import base64
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from scaigrid.dialects import anthropic_shapes as shapes
from scaigrid.dialects.anthropic_thinking import OWN, parts
from scaigrid.errors import Detail
from scaigrid.types import (
    CacheTime,
    CalledTool,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
)

_Shown = shapes.AnthropicText | shapes.AnthropicImage | shapes.AnthropicDocument


class Blocks:
    """Reads messages; gathers what is wrong with them and what has no canonical meaning."""

    def __init__(self, unknown: Sequence[str]) -> None:
        self.unknown = list(unknown)
        self.faults: list[Detail] = []

    def messages(self, message: shapes.AnthropicMessage, path: str) -> list[Message]:
        """The messages that this one is; none where all of it is unknown."""
        match message:
            case shapes.AnthropicUserMessage(content=content):
                if isinstance(content, str):
                    return [Message(role="user", content=(TextPart(content),))]
                return self._user(content, path)
            case shapes.AnthropicAssistantMessage(content=content):
                if isinstance(content, str):
                    return [Message(role="assistant", content=(TextPart(content),))]
                return self._assistant(content, path)
            case shapes.AnthropicSystemMessage(content=content):
                if isinstance(content, str):
                    return [Message(role="system", content=(TextPart(content),))]
                return [Message(role="system", content=tuple([_text(block) for block in content]))]

    def _user(self, blocks: tuple[shapes.AnthropicUserBlock, ...], path: str) -> list[Message]:
        found: list[Message] = []
        shown: list[Part] = []
        for place, block in enumerate(blocks):
            at = f"{path}.content[{place}]"
            if isinstance(block, shapes.AnthropicToolResult):
                if shown:
                    found.append(Message(role="user", content=tuple(shown)))
                    shown = []
                found.append(self._result(block, at))
            else:
                shown += self._shown(block, at)
        if shown:
            found.append(Message(role="user", content=tuple(shown)))
        return found

    def _result(self, block: shapes.AnthropicToolResult, path: str) -> Message:
        content: list[Part] = []
        if isinstance(block.content, str):
            content.append(TextPart(block.content))
        else:
            for place, shown in enumerate(block.content or ()):
                content += self._shown(shown, f"{path}.content[{place}]")
        mark = cached(block.cache_control)
        if content and mark is not None and isinstance(content[-1], TextPart | ImagePart | FilePart):
            content[-1] = msgspec.structs.replace(content[-1], cache=mark)
        return Message(
            role="tool",
            content=tuple(content),
            tool_call_id=block.tool_use_id,
            tool_error=block.is_error is True,
        )

    def _assistant(self, blocks: tuple[shapes.AnthropicAssistantBlock, ...], path: str) -> list[Message]:
        said: list[Part] = []
        thoughts: list[ReasoningPart] = []
        calls: list[CalledTool] = []
        for place, block in enumerate(blocks):
            match block:
                case shapes.AnthropicText():
                    if block.text:
                        said.append(_text(block))
                case shapes.AnthropicThinking(thinking=text, signature=signed):
                    thoughts += parts(text, signed, f"{path}.content[{place}]", self.faults)
                case shapes.AnthropicRedactedThinking(data=data):
                    thoughts.append(ReasoningPart(redacted=data, provider=OWN))
                case shapes.AnthropicToolUse(id=id_, name=name, input=given):
                    arguments = self._json(given, f"{path}.content[{place}].input")
                    calls.append(CalledTool(id_, name, arguments))
        if not (said or thoughts or calls):
            return []
        return [
            Message(role="assistant", content=tuple(said), reasoning=tuple(thoughts), tool_calls=tuple(calls)),
        ]

    def _shown(self, block: _Shown, path: str) -> Sequence[Part]:
        match block:
            case shapes.AnthropicText():
                return (_text(block),)
            case shapes.AnthropicImage():
                return self._image(block, path)
            case shapes.AnthropicDocument():
                return self._document(block, path)

    def _image(self, block: shapes.AnthropicImage, path: str) -> Sequence[Part]:
        mark = cached(block.cache_control)
        match block.source:
            case shapes.AnthropicBase64(media_type=media_type, data=data):
                return (ImagePart(data=data, media_type=media_type, cache=mark),)
            case shapes.AnthropicURL(url=url):
                return (ImagePart(url=url, cache=mark),)
            case shapes.AnthropicFileID():
                # An uploaded image is known to its provider alone.
                self.unknown.append(f"{path}.source.file_id")
                return ()

    def _document(self, block: shapes.AnthropicDocument, path: str) -> Sequence[Part]:
        file = self._file(block.source, path)
        if file is None:
            return ()
        file = msgspec.structs.replace(
            file,
            filename=block.title,
            citations=block.citations is not None and block.citations.enabled is True,
            cache=cached(block.cache_control),
        )
        # What is said about a document is read by the model and cited by nobody: a text ahead of it.
        return (TextPart(block.context), file) if block.context else (file,)

    def _file(
        self,
        source: shapes.AnthropicBase64
        | shapes.AnthropicURL
        | shapes.AnthropicFileID
        | shapes.AnthropicPlainText
        | shapes.AnthropicBlocksSource,
        path: str,
    ) -> FilePart | None:
        match source:
            case shapes.AnthropicBase64(media_type=media_type, data=data):
                return FilePart(data=data, media_type=media_type)
            case shapes.AnthropicURL(url=url):
                return FilePart(url=url)
            case shapes.AnthropicFileID(file_id=file_id):
                return FilePart(file_id=file_id)
            case shapes.AnthropicPlainText(data=text):
                return self._plain(text, f"{path}.source.data")
            case shapes.AnthropicBlocksSource(content=content):
                if isinstance(content, str):
                    return self._plain(content, f"{path}.source.content")
                texts = [block.text for block in content if isinstance(block, shapes.AnthropicText)]
                if len(texts) < len(content):
                    self.unknown.append(f"{path}.source.content")
                    return None
                return self._plain("\n".join(texts), f"{path}.source.content")

    def _plain(self, text: str, path: str) -> FilePart:
        data = base64.b64encode(self._unicode(text.encode, path)).decode()
        return FilePart(data=data, media_type="text/plain")

    def _json(self, value: dict[str, Any], path: str) -> str:
        return self._unicode(partial(msgspec.json.encode, value), path).decode()

    def _unicode(self, encode: Callable[[], bytes], path: str) -> bytes:
        try:
            return encode()
        except UnicodeEncodeError:
            self.faults.append(Detail(path, "holds text that is not valid Unicode"))
            return b""


def cached(control: shapes.AnthropicCacheControl | None) -> CacheTime | None:
    """How long a mark asks for; None for no mark."""
    return None if control is None else control.ttl or "5m"


def _text(block: shapes.AnthropicText | shapes.AnthropicInstruction) -> TextPart:
    return TextPart(block.text, cache=cached(block.cache_control))
