"""Calls to models, in every dialect."""

from scaigrid.api.operation import Area, Operation
from scaigrid.dialects import native_shapes as native
from scaigrid.dialects import openai_shapes as openai
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.errors import Code

_CALL = (
    Code.MODEL_ACCESS_DENIED,
    Code.MODEL_NOT_FOUND,
    Code.UNSUPPORTED_BY_MODEL,
    Code.CONTEXT_TOO_LONG,
    Code.CONTENT_REFUSED,
    Code.BACKEND_RATE_LIMITED,
    Code.BUDGET_EXCEEDED,
    Code.BACKEND_ERROR,
    Code.UPSTREAM_SHAPE_MISMATCH,
    Code.MODEL_UNAVAILABLE,
    Code.OVERLOADED,
    Code.STORE_UNAVAILABLE,
    Code.BACKEND_TIMEOUT,
)

AREA = Area(
    "Inference",
    "Calls to models.",
    (
        Operation(
            method="post",
            path="/v1/inference/chat",
            name="chat",
            summary="Chat",
            description="Answers plainly, or with `stream: true` as server-sent events. Unknown fields are refused.",
            call="chat",
            body=native.ChatRequest,
            answer=Envelope[native.ChatAnswer],
            frames=(native.ChatChunk, native.StreamError),
            framing="Frames `data: {ChatChunk}`; the last of them has the usage and the cost; then `data: [DONE]`. A "
            "failure after the first frame is an event `error` with a StreamError as data, then `data: [DONE]`. "
            "Comment lines keep silent streams alive.",
            permission="models:use",
            codes=_CALL,
        ),
        Operation(
            method="post",
            path="/v1/inference/embed",
            name="embed",
            summary="Embeddings",
            description="Unknown fields are refused.",
            call="embed",
            body=native.EmbedRequest,
            answer=Envelope[native.EmbedAnswer],
            permission="models:use",
            codes=_CALL,
        ),
        Operation(
            method="post",
            path="/oai/v1/chat/completions",
            name="createChatCompletion",
            summary="Chat, in OpenAI's dialect",
            description="For OpenAI's SDKs. Fields that are not listed go on to providers of this dialect as they "
            "are; where the provider speaks another one they are refused by name.",
            call="chat",
            body=openai.ChatCompletionRequest,
            answer=openai.ChatCompletion,
            frames=(openai.ChatCompletionChunk, openai.OpenAIErrorBody),
            framing="Frames `data: {ChatCompletionChunk}`, then `data: [DONE]`. A failure after the first frame is a "
            "frame `data: {OpenAIErrorBody}`, with which the stream ends. Comment lines keep silent streams alive.",
            permission="models:use",
            codes=_CALL,
        ),
        Operation(
            method="post",
            path="/oai/v1/embeddings",
            name="createEmbedding",
            summary="Embeddings, in OpenAI's dialect",
            description="For OpenAI's SDKs. Fields that are not listed go on to providers of this dialect as they "
            "are; where the provider speaks another one they are refused by name.",
            call="embed",
            body=openai.EmbeddingsRequest,
            answer=openai.EmbeddingList,
            permission="models:use",
            codes=_CALL,
        ),
    ),
)
