"""Plain answers of Bedrock's Converse API, and of its counter of tokens, as canonical events.

Source: Amazon Bedrock API reference, "Converse", "CountTokens". Tools that the provider runs by itself leave blocks of
their own in an answer (a `toolUse` of type `server_tool_use`, a `toolResult`): the model's text tells what came of
them, so they are passed over, and so are blocks of kinds that are new.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from adapters import bedrock_failure
from adapters.bedrock_said import PROVIDER, Source, TokenUsage, arguments, called, cited, done, tool_use, usage
from adapters.wire import ABSENT, broken, decoded, given
from scaigrid.types import Counted, Event, Reasoning, Start, Text


class _ReasoningText(msgspec.Struct):
    text: str | None = None
    signature: str | None = None


class _ReasoningContent(msgspec.Struct, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _Piece(msgspec.Struct):
    text: str | None = None


class _CitationsContent(msgspec.Struct):
    content: list[_Piece] | None = None
    citations: list[Source] | None = None


class _Block(msgspec.Struct, rename="camel"):
    """One member tells what the block is."""

    text: str | None = None
    tool_use: msgspec.Raw = ABSENT
    reasoning_content: _ReasoningContent | None = None
    citations_content: _CitationsContent | None = None


class _Message(msgspec.Struct):
    content: list[_Block]


class _Output(msgspec.Struct):
    message: _Message


class _Answer(msgspec.Struct, rename="camel"):
    output: _Output | None = None
    stop_reason: str | None = None
    usage: TokenUsage | None = None
    additional_model_response_fields: msgspec.Raw = ABSENT


class _Count(msgspec.Struct, rename="camel"):
    input_tokens: int


_answer: Final = msgspec.json.Decoder(_Answer)
_count: Final = msgspec.json.Decoder(_Count)


def whole_answer(body: bytes) -> Sequence[Event]:
    """What a plain answer says. Raises GatewayError."""
    answer = decoded(_answer, body)
    if answer.output is None or answer.stop_reason is None:
        raise bedrock_failure.inside(body) or broken("no message, or no stop reason")
    found: list[Event] = [Start("")]
    slots = length = 0
    for block in answer.output.message.content:
        if given(block.tool_use):
            tool = tool_use(block.tool_use)
            if tool is not None:
                found.append(called(tool, slots, arguments(tool)))
                slots += 1
        elif block.reasoning_content is not None:
            found += _thought(block.reasoning_content)
        else:
            pieces, sources = _written(block)
            start = length
            length += sum(map(len, pieces))
            found += [Text(piece) for piece in pieces]
            found += [cited(source, start, length) for source in sources]
    if answer.usage is not None:
        found.append(usage(answer.usage))
    found.append(done(answer.stop_reason, answer.additional_model_response_fields))
    return found


def _written(block: _Block) -> tuple[Sequence[str], Sequence[Source]]:
    """The text of a block, if it is one of text, and the sources that it cites."""
    if block.text is not None:
        return ([block.text] if block.text else []), ()
    content = block.citations_content or _CitationsContent()
    return [piece.text for piece in content.content or () if piece.text], content.citations or ()


def _thought(said: _ReasoningContent) -> Sequence[Event]:
    if said.redacted_content is not None:
        return (Reasoning(redacted=said.redacted_content, provider=PROVIDER),)
    text = said.reasoning_text
    if text is None:
        return ()
    return (Reasoning(text.text or "", text.signature or None, provider=PROVIDER),)


def counted(body: bytes) -> Sequence[Event]:
    """How many tokens a chat has. Raises UPSTREAM_SHAPE_MISMATCH."""
    tokens = decoded(_count, body).input_tokens
    if tokens < 0:
        raise broken("less than no tokens")
    return (Counted(tokens),)
