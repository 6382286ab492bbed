from typing import Any

import msgspec
import pytest
from anthropic.types import Message, MessageTokensCount, RawMessageStreamEvent
from pydantic import TypeAdapter

from scaigrid.dialects import anthropic_answers as answers
from scaigrid.dialects.anthropic_shapes import AnthropicAssistantMessage, AnthropicMessage

USAGE = answers.AnthropicUsage(
    input_tokens=5,
    cache_creation_input_tokens=3,
    cache_read_input_tokens=2,
    cache_creation=answers.AnthropicCacheCreation(1, 2),
    output_tokens=7,
    output_tokens_details=answers.AnthropicOutputDetails(4),
)
WEB = answers.AnthropicWebCitation(url="https://x.example/", title=None, cited_text="q")
PAPER = answers.AnthropicDocumentCitation(cited_text="q", document_index=0, document_title="T")
BLOCKS = (
    answers.AnsweredThinking("Hm.", "sig"),
    answers.AnsweredRedactedThinking("enc"),
    answers.AnsweredText(text="Hi", citations=(WEB, PAPER)),
    answers.AnsweredToolUse("toolu_1", "f", msgspec.Raw(b'{"a":1}')),
)
MESSAGE = answers.AnsweredAnthropicMessage(
    id="msg_1", model="m", content=BLOCKS, stop_reason="tool_use", stop_sequence=None, usage=USAGE
)


def test_the_sdk_reads_a_message() -> None:
    read = Message.model_validate_json(msgspec.json.encode(MESSAGE))
    assert [block.type for block in read.content] == ["thinking", "redacted_thinking", "text", "tool_use"]
    assert (read.role, read.type, read.stop_reason) == ("assistant", "message", "tool_use")
    assert read.usage.cache_creation is not None
    assert read.usage.cache_creation.ephemeral_1h_input_tokens == 2
    assert read.usage.output_tokens_details is not None
    assert read.usage.output_tokens_details.thinking_tokens == 4


@pytest.mark.parametrize(
    "frame",
    [
        answers.MessageStart(msgspec.structs.replace(MESSAGE, content=(), stop_reason=None)),
        *(answers.BlockStart(0, block) for block in BLOCKS),
        answers.BlockDelta(0, answers.TextPiece("Hi")),
        answers.BlockDelta(0, answers.CitationPiece(WEB)),
        answers.BlockDelta(0, answers.CitationPiece(PAPER)),
        answers.BlockDelta(0, answers.ThinkingPiece("Hm.")),
        answers.BlockDelta(0, answers.SignaturePiece("sig")),
        answers.BlockDelta(0, answers.InputPiece("{")),
        answers.BlockStop(0),
        answers.MessageDelta(answers.AnthropicEnd("stop_sequence", "END"), USAGE),
        answers.MessageStop(),
    ],
)
def test_the_sdk_reads_every_event(frame: answers.StreamEvent) -> None:
    text = msgspec.json.encode(frame)
    adapter: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    read = adapter.validate_json(text)
    assert read.type == msgspec.json.decode(text)["type"]


def test_the_sdk_reads_a_count() -> None:
    text = msgspec.json.encode(answers.AnthropicCount(12))
    assert MessageTokensCount.model_validate_json(text).input_tokens == 12


def test_an_answered_message_can_be_sent_back_as_it_is() -> None:
    sent = {"role": "assistant", "content": msgspec.json.decode(msgspec.json.encode(BLOCKS))}
    back = msgspec.convert(sent, AnthropicMessage)
    assert isinstance(back, AnthropicAssistantMessage)
    assert len(back.content) == len(BLOCKS)
