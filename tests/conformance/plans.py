"""What is asked for a recorded exchange, and what has to come of it: upstream, and at the client."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tests.conformance import bodies, cases, from_anthropic, provider_anthropic, provider_openai, to_native
from tests.conformance.cases import NotRun
from tests.conformance.told import Told
from tests.conformance.wire import decoded, inner, is_list
from tests.harness.recordings import Recorded

CHAT: Final = "/chat/completions"
EMBEDDINGS: Final = "/embeddings"
MESSAGES: Final = "/v1/messages"
SURFACES: Final = {"native": "/v1/inference/chat", "openai": "/oai/v1/chat/completions"}
NATIVE_EMBED: Final = "/v1/inference/embed"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a client to the gateway, for one recorded exchange of the gateway with a provider."""

    recorded: Recorded
    provider: str
    dialect: str
    path: str
    asked: dict[str, Any]
    """The client's body, but for the model."""
    upstream: str
    """How the path ends that the provider is asked at."""
    stream: bool

    def __str__(self) -> str:
        return f"{self.recorded} over {self.dialect}"

    @property
    def wants_usage(self) -> bool:
        return self.dialect == "native" or bool(inner(self.asked, "stream_options").get("include_usage"))


class Passed(Plan, frozen=True, kw_only=True):
    """Passed through: the provider speaks the client's dialect."""


class Translated(Plan, frozen=True, kw_only=True):
    """Translated. `expected` is what the answer says."""

    body: dict[str, Any] | None
    """The normal form of the body that the provider is asked with; None where anything is right."""
    normal: Callable[[dict[str, Any]], dict[str, Any]]
    expected: Told


class Embedded(Plan, frozen=True, kw_only=True):
    """Embeddings, translated."""

    body: dict[str, Any]


Planned = Callable[[Recorded], Plan]


# -- passed through --------------------------------------------------------------------------------------------------


def passed(one: Recorded) -> Passed:
    """The recorded call as it was."""
    suffix = CHAT if cases.asks(one, CHAT) else EMBEDDINGS
    return Passed(
        recorded=one,
        provider=cases.provider(one),
        dialect="openai",
        path=f"/oai/v1{suffix}",
        asked=one.request_json,
        upstream=suffix,
        stream=bool(one.request_json.get("stream")),
    )


def passed_as_stream(one: Recorded) -> Passed:
    """The recorded call, had it asked for a stream and not for its usage."""
    streamed = _streamed(one, provider_openai.as_stream)
    asked = {name: value for name, value in streamed.request_json.items() if name != "stream_options"}
    return passed(msgspec.structs.replace(streamed, request_json=asked))


# -- translated ------------------------------------------------------------------------------------------------------


def openai_chat(one: Recorded) -> Translated:
    """A chat of the OpenAI protocol, asked in the native dialect."""
    provider = cases.provider(one)
    return _native(one, provider, to_native.chat(one.request_json, provider), bodies.openai(one.request_json))


def openai_chat_as_stream(one: Recorded) -> Translated:
    return openai_chat(_streamed(one, provider_openai.as_stream))


def openai_answer(one: Recorded) -> Translated:
    """The recorded answer to a call that says nothing special: for calls that the native dialect cannot say."""
    return _native(one, cases.provider(one), _plain_call(one), None)


def _native(one: Recorded, provider: str, asked: dict[str, Any], body: dict[str, Any] | None) -> Translated:
    return Translated(
        recorded=one,
        provider=provider,
        dialect="native",
        path=SURFACES["native"],
        asked=asked,
        upstream=CHAT,
        stream=bool(one.request_json.get("stream")),
        body=body,
        normal=bodies.openai,
        expected=provider_openai.told(one),
    )


def embedded(one: Recorded) -> Embedded:
    """Embeddings of the OpenAI protocol, asked in the native dialect."""
    return Embedded(
        recorded=one,
        provider=cases.provider(one),
        dialect="native",
        path=NATIVE_EMBED,
        asked=to_native.embed(one.request_json),
        upstream=EMBEDDINGS,
        stream=False,
        body=bodies.embeddings(one.request_json),
    )


def messages(dialect: str) -> Callable[[Recorded], Translated]:
    """A call of Anthropic's Messages API, asked in `dialect`."""

    def plan(one: Recorded) -> Translated:
        asked = from_anthropic.chat(one.request_json, dialect)
        return _anthropic(one, dialect, asked, bodies.anthropic(one.request_json))

    return plan


def messages_as_stream(dialect: str) -> Callable[[Recorded], Translated]:
    def plan(one: Recorded) -> Translated:
        return messages(dialect)(_streamed(one, provider_anthropic.as_stream))

    return plan


def answer_to(dialect: str) -> Callable[[Recorded], Translated]:
    """The recorded answer to a call that says nothing special: for calls that `dialect` cannot say."""

    def plan(one: Recorded) -> Translated:
        return _anthropic(one, dialect, {**_plain_call(one), "max_tokens": 1000}, None)

    return plan


def _anthropic(one: Recorded, dialect: str, asked: dict[str, Any], body: dict[str, Any] | None) -> Translated:
    stream = bool(one.request_json.get("stream"))
    if stream and dialect == "openai":
        asked = {**asked, "stream_options": {"include_usage": True}}
    return Translated(
        recorded=one,
        provider=cases.provider(one),
        dialect=dialect,
        path=SURFACES[dialect],
        asked=asked,
        upstream="/messages",
        stream=stream,
        body=body,
        normal=bodies.anthropic,
        expected=provider_anthropic.told(one),
    )


def _plain_call(one: Recorded) -> dict[str, Any]:
    said: dict[str, Any] = {"messages": [{"role": "user", "content": "Go on."}]}
    return {**said, "stream": True} if one.request_json.get("stream") else said


def _streamed(one: Recorded, as_stream: Callable[[Recorded], Recorded]) -> Recorded:
    if not is_whole(one):
        raise NotRun("a stream already, or no answer")
    return as_stream(one)


def is_whole(one: Recorded) -> bool:
    """Whether an exchange has a plain answer, which could have come as a stream."""
    if one.status != 200 or provider_openai.streams(one):
        return False
    try:
        body = decoded(one.response_body)
    except ValueError:
        return False
    return is_list(body.get("choices")) or is_list(body.get("content"))


def cannot(plan: Planned, one: Recorded) -> bool:
    """Whether the call of an exchange has no words in the dialect of `plan`."""
    try:
        plan(one)
    except NotRun:
        return True
    return False
