"""The table of operations: one row for each thing that can be asked, for the OpenAPI document."""

from typing import Any, Literal

import msgspec

from scaigrid.api import examples
from scaigrid.api.envelope import Items, ListEnvelope, Pagination
from scaigrid.api.health import Alive, Ready
from scaigrid.api.me import Me
from scaigrid.api.models import ModelItem, ModelsQuery
from scaigrid.api.oai_models import OpenAIModel, OpenAIModelList
from scaigrid.api.query import NoQuery
from scaigrid.api.usage import UsageItem, UsageQuery
from scaigrid.dialects import native_shapes as native
from scaigrid.dialects import openai_shapes as openai
from scaigrid.dialects.native_shapes import Envelope, EnvelopeMeta
from scaigrid.errors import Code
from scaigrid.types import Operation as CallOperation

TAGS = {
    "Inference": "Calls to models.",
    "Models": "What can be called.",
    "Account": "Who calls.",
    "Accounting": "What was used and what it cost.",
    "Operations": "For those who run the gateway.",
}

_STRANGER = (Code.AUTH_TOKEN_MISSING, Code.AUTH_TOKEN_INVALID, Code.SESSION_EXPIRED, Code.TENANT_SUSPENDED)
_GOVERNED = (*_STRANGER, Code.RATE_LIMITED, Code.INTERNAL_ERROR)
_CALL = (
    *_GOVERNED,
    Code.AUTHZ_PERMISSION_DENIED,
    Code.MODEL_ACCESS_DENIED,
    Code.MODEL_NOT_FOUND,
    Code.REQUEST_TOO_LARGE,
    Code.UNSUPPORTED_MEDIA_TYPE,
    Code.VALIDATION_ERROR,
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


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `call` marks an inference operation, whose request and answer examples the dialect makes."""

    method: Literal["get", "post"] = "get"
    path: str
    name: str
    tag: str
    summary: str
    description: str = ""
    query: type[msgspec.Struct] = NoQuery
    call: CallOperation | None = None
    body: Any = None
    """The Struct of a JSON request body."""
    answer: Any = None
    """The Struct of the JSON answer with status 200; None for plain text."""
    frames: tuple[Any, ...] = ()
    """The Structs that the data of a streamed answer's frames may be."""
    framing: str = ""
    """How such a stream begins and ends."""
    example: Any = None
    unready: Any = None
    """An example of the same answer with status 503."""
    codes: tuple[Code, ...] = ()
    """Why it may be refused."""
    keyless: bool = False


def _listed(item: Any) -> ListEnvelope[Any]:
    return ListEnvelope(
        data=Items(items=(item,)),
        pagination=Pagination(has_more=False, next_cursor=None),
        meta=EnvelopeMeta(request_id=examples.REQUEST_ID),
    )


def _enveloped(data: Any) -> Envelope[Any]:
    return Envelope(data=data, meta=EnvelopeMeta(request_id=examples.REQUEST_ID))


OPERATIONS = (
    Operation(
        method="post",
        path="/v1/inference/chat",
        name="chat",
        tag="Inference",
        summary="Chat",
        description="Answers plainly, or with `stream: true` as server-sent events. Unknown fields are refused.",
        call="chat",
        body=native.ChatRequest,
        answer=Envelope[native.ChatAnswer],
        frames=(native.ChatChunk, native.StreamError),
        framing="Frames `data: {ChatChunk}`; the last of them has the usage and the cost; then `data: [DONE]`. A "
        "failure after the first frame is an event `error` with a StreamError as data, then `data: [DONE]`. Comment "
        "lines keep silent streams alive.",
        codes=_CALL,
    ),
    Operation(
        method="post",
        path="/v1/inference/embed",
        name="embed",
        tag="Inference",
        summary="Embeddings",
        description="Unknown fields are refused.",
        call="embed",
        body=native.EmbedRequest,
        answer=Envelope[native.EmbedAnswer],
        codes=_CALL,
    ),
    Operation(
        method="post",
        path="/oai/v1/chat/completions",
        name="createChatCompletion",
        tag="Inference",
        summary="Chat, in OpenAI's dialect",
        description="For OpenAI's SDKs. Fields that are not listed go on to providers of this dialect as they are; "
        "where the provider speaks another one they are refused by name.",
        call="chat",
        body=openai.ChatCompletionRequest,
        answer=openai.ChatCompletion,
        frames=(openai.ChatCompletionChunk, openai.OpenAIErrorBody),
        framing="Frames `data: {ChatCompletionChunk}`, then `data: [DONE]`. A failure after the first frame is a frame "
        "`data: {OpenAIErrorBody}`, with which the stream ends. Comment lines keep silent streams alive.",
        codes=_CALL,
    ),
    Operation(
        method="post",
        path="/oai/v1/embeddings",
        name="createEmbedding",
        tag="Inference",
        summary="Embeddings, in OpenAI's dialect",
        description="For OpenAI's SDKs. Fields that are not listed go on to providers of this dialect as they are; "
        "where the provider speaks another one they are refused by name.",
        call="embed",
        body=openai.EmbeddingsRequest,
        answer=openai.EmbeddingList,
        codes=_CALL,
    ),
    Operation(
        path="/v1/models",
        name="listModels",
        tag="Models",
        summary="The models that the key may use",
        description="By slug. Needs the permission `models:list`.",
        query=ModelsQuery,
        answer=ListEnvelope[ModelItem],
        example=_listed(examples.MODEL),
        codes=(*_GOVERNED, Code.AUTHZ_PERMISSION_DENIED, Code.VALIDATION_ERROR),
    ),
    Operation(
        path="/v1/models/{slug}",
        name="getModel",
        tag="Models",
        summary="One model",
        description="Needs the permission `models:list`.",
        answer=Envelope[ModelItem],
        example=_enveloped(examples.MODEL),
        codes=(*_GOVERNED, Code.AUTHZ_PERMISSION_DENIED, Code.MODEL_NOT_FOUND, Code.VALIDATION_ERROR),
    ),
    Operation(
        path="/oai/v1/models",
        name="listOpenAIModels",
        tag="Models",
        summary="The models that the key can call, in OpenAI's dialect",
        description="By slug, without those that are disabled. Needs the permission `models:list`.",
        answer=OpenAIModelList,
        example=OpenAIModelList(data=(examples.OPENAI_MODEL,)),
        codes=(*_GOVERNED, Code.AUTHZ_PERMISSION_DENIED),
    ),
    Operation(
        path="/oai/v1/models/{slug}",
        name="getOpenAIModel",
        tag="Models",
        summary="One model, in OpenAI's dialect",
        description="Needs the permission `models:list`.",
        answer=OpenAIModel,
        example=examples.OPENAI_MODEL,
        codes=(*_GOVERNED, Code.AUTHZ_PERMISSION_DENIED, Code.MODEL_NOT_FOUND),
    ),
    Operation(
        path="/v1/me",
        name="getMe",
        tag="Account",
        summary="Who the caller is",
        answer=Envelope[Me],
        example=_enveloped(examples.ME),
        codes=(*_GOVERNED, Code.VALIDATION_ERROR),
    ),
    Operation(
        path="/v1/accounting/usage",
        name="listUsage",
        tag="Accounting",
        summary="Usage, newest first",
        description="One row for each attempt at a backend. Needs a permission `accounting:view_own`, `view_tenant`, "
        "`view_partner` or `view_all`, and shows what that one reaches; a filter for anything beyond it finds nothing.",
        query=UsageQuery,
        answer=ListEnvelope[UsageItem],
        example=_listed(examples.USAGE),
        codes=(*_GOVERNED, Code.AUTHZ_PERMISSION_DENIED, Code.VALIDATION_ERROR, Code.STORE_UNAVAILABLE),
    ),
    Operation(
        path="/health",
        name="getHealth",
        tag="Operations",
        keyless=True,
        summary="Whether the process answers",
        answer=Alive,
        example=examples.ALIVE,
    ),
    Operation(
        path="/health/ready",
        name="getReadiness",
        tag="Operations",
        keyless=True,
        summary="Whether calls can be served",
        description="200 where every check is `ok`, else 503 with the same shape.",
        answer=Ready,
        example=examples.READY,
        unready=examples.NOT_READY,
    ),
    Operation(
        path="/metrics",
        name="getMetrics",
        tag="Operations",
        keyless=True,
        summary="Metrics in Prometheus' text format",
        description="For scrapers, where the configuration has them on.",
        codes=(Code.NOT_FOUND,),
    ),
    Operation(
        path="/docs/openapi.json",
        name="getOpenAPI",
        tag="Operations",
        keyless=True,
        summary="This document",
        answer=dict[str, Any],
    ),
)
"""Every operation of every surface. A test holds it against the routes."""
