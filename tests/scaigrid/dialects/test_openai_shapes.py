import msgspec
import pytest
from msgspec import inspect
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion as SdkCompletion
from openai.types.chat import ChatCompletionChunk as SdkChunk

from scaigrid.dialects import openai_shapes as shapes
from scaigrid.dialects.shapes import AnsweredFunction, AnsweredToolCall, ChunkChoice, FunctionDelta, ToolCallDelta

GOVERNED = ("model", "stream", "n", "max_tokens", "max_completion_tokens", "metadata")


def types(struct: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    found = inspect.type_info(struct)
    assert isinstance(found, inspect.StructType)
    return {field.name: field.type for field in found.fields}


@pytest.mark.parametrize("field", GOVERNED)
def test_what_governance_reads_is_typed_as_in_the_whole_request(field: str) -> None:
    """Otherwise a body could pass the one and be refused by the other."""
    assert types(shapes.ChatHead)[field] == types(shapes.ChatCompletionRequest)[field]


def test_the_head_of_an_embeddings_call_is_typed_as_the_whole() -> None:
    assert types(shapes.EmbeddingsHead)["model"] == types(shapes.EmbeddingsRequest)["model"]


USAGE = shapes.CompletionUsage(
    prompt_tokens=5,
    completion_tokens=7,
    total_tokens=12,
    prompt_tokens_details=shapes.PromptTokensDetails(cached_tokens=2, cache_write_tokens=1),
    completion_tokens_details=shapes.CompletionTokensDetails(reasoning_tokens=3),
)


def test_the_sdk_reads_a_completion() -> None:
    message = shapes.ChatCompletionMessage(
        content=None,
        reasoning_content="r",
        tool_calls=(AnsweredToolCall(id="1", function=AnsweredFunction(name="f", arguments="{}")),),
        provider_state="s",
    )
    choice = shapes.ChatCompletionChoice(index=0, message=message, finish_reason="tool_calls")
    written = shapes.ChatCompletion(id="chatcmpl-1", created=1, model="m", choices=(choice,), usage=USAGE)
    read = SdkCompletion.model_validate_json(msgspec.json.encode(written))
    assert read.choices[0].message.tool_calls is not None
    assert read.choices[0].message.tool_calls[0].id == "1"
    assert read.choices[0].message.model_extra == {"reasoning_content": "r", "provider_state": "s"}
    assert read.usage is not None
    assert read.usage.prompt_tokens_details is not None
    assert read.usage.prompt_tokens_details.cached_tokens == 2


def test_the_sdk_reads_a_chunk() -> None:
    piece = ToolCallDelta(index=0, id="1", type="function", function=FunctionDelta(name="f", arguments=""))
    delta = shapes.ChatCompletionDelta(role="assistant", content=None, reasoning="r", tool_calls=(piece,))
    written = shapes.ChatCompletionChunk(
        id="chatcmpl-1", created=1, model="m", choices=(ChunkChoice(index=0, delta=delta),), usage=None
    )
    text = msgspec.json.encode(written)
    read = SdkChunk.model_validate_json(text)
    assert read.choices[0].delta.tool_calls is not None
    assert read.choices[0].delta.model_extra == {"reasoning_content": "r"}
    assert b'"finish_reason":null' in text


def test_the_sdk_reads_embeddings() -> None:
    vector = shapes.Embedding(index=0, embedding=msgspec.Raw(b"[0.5]"))
    usage = shapes.EmbeddingsUsage(prompt_tokens=1, total_tokens=1)
    written = shapes.EmbeddingList(data=(vector,), model="m", usage=usage)
    assert CreateEmbeddingResponse.model_validate_json(msgspec.json.encode(written)).data[0].embedding == [0.5]


@pytest.mark.parametrize("content", ["x", None])
def test_an_answered_message_can_be_sent_back_as_it_is(content: str | None) -> None:
    message = shapes.ChatCompletionMessage(content=content, reasoning_content="r", provider_state="s")
    back: shapes.OpenAIAssistantMessage = msgspec.json.decode(msgspec.json.encode(message), type=shapes.OpenAIMessage)
    assert (back.content, back.reasoning_content, back.provider_state) == (content, "r", "s")
