"""Calls to models, in every dialect."""

from scaigrid.api.operation import Area, Operation
from scaigrid.dialects import anthropic_answers as anthropic
from scaigrid.dialects import native_generate as generate
from scaigrid.dialects import native_rerank as rerank
from scaigrid.dialects import native_shapes as native
from scaigrid.dialects import openai_completions as completions
from scaigrid.dialects import openai_shapes as openai
from scaigrid.dialects.anthropic_shapes import AnthropicCounted, AnthropicRequest
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.errors import Code

CALL = (
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
            codes=CALL,
        ),
        Operation(
            method="post",
            path="/v1/inference/generate",
            name="generate",
            summary="Text from a prompt",
            description="A chat of one user's message, for clients that have nothing but a prompt. Answers plainly, or "
            "with `stream: true` as server-sent events. Unknown fields are refused.",
            call="chat",
            body=generate.GenerateRequest,
            answer=Envelope[generate.GenerateAnswer],
            frames=(generate.GenerateChunk, native.StreamError),
            framing="Frames `data: {GenerateChunk}`; the last of them has the usage and the cost; then `data: [DONE]`. "
            "A failure after the first frame is an event `error` with a StreamError as data, then `data: [DONE]`. "
            "Comment lines keep silent streams alive.",
            permission="models:use",
            codes=CALL,
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
            codes=CALL,
        ),
        Operation(
            method="post",
            path="/v1/inference/rerank",
            name="rerank",
            summary="Reranking",
            description="Orders documents by how well they answer a query. Unknown fields are refused.",
            call="rerank",
            body=rerank.RerankRequest,
            answer=Envelope[rerank.RerankAnswer],
            permission="models:use",
            codes=CALL,
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
            codes=CALL,
        ),
        Operation(
            method="post",
            path="/oai/v1/completions",
            name="createCompletion",
            summary="Legacy completions, in OpenAI's dialect",
            description="A prompt in, text out. Passed on to providers that have this endpoint; for any other the "
            "prompt becomes a user's message, and what has no meaning there is refused by name.",
            call="chat",
            body=completions.CompletionRequest,
            answer=completions.Completion,
            frames=(completions.Completion, openai.OpenAIErrorBody),
            framing="Frames `data: {Completion}`, then `data: [DONE]`. A failure after the first frame is a frame "
            "`data: {OpenAIErrorBody}`, with which the stream ends. Comment lines keep silent streams alive.",
            permission="models:use",
            codes=CALL,
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
            codes=CALL,
        ),
        Operation(
            method="post",
            path="/anthropic/v1/messages",
            name="createMessage",
            summary="Chat, in Anthropic's dialect",
            description="For Anthropic's SDKs and coding agents; the key may come as `x-api-key`. Fields that are not "
            "listed go on to providers of this dialect as they are; where the provider speaks another one they are "
            "refused by name.",
            call="chat",
            body=AnthropicRequest,
            answer=anthropic.AnsweredAnthropicMessage,
            frames=(
                anthropic.MessageStart,
                anthropic.BlockStart,
                anthropic.BlockDelta,
                anthropic.BlockStop,
                anthropic.MessageDelta,
                anthropic.MessageStop,
                anthropic.Ping,
                anthropic.AnthropicErrorBody,
            ),
            framing="Each frame is an event with the name of its type. `message_stop` is the last; a failure after the "
            "first frame is an event `error` with an AnthropicErrorBody as data, with which the stream ends.",
            permission="models:use",
            codes=CALL,
        ),
        Operation(
            method="post",
            path="/anthropic/v1/messages/count_tokens",
            name="countMessageTokens",
            summary="The number of input tokens of a chat, in Anthropic's dialect",
            description="By the provider's own count, where it has one. It costs nothing.",
            call="count_tokens",
            body=AnthropicCounted,
            answer=anthropic.AnthropicCount,
            permission="models:use",
            codes=CALL,
        ),
    ),
)
