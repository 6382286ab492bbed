"""The surfaces that can chat, each asked as its users ask it: by an unpatched SDK, or by httpx where there is none."""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from inspect import isawaitable
from types import TracebackType
from typing import Any, Final, Self

import anthropic
import httpx
import httpx2
import msgspec
import openai

from tests.faults.heard import Heard
from tests.harness.eventually import PATIENCE

_ASKED: Final = "How is it there?"
_MOST: Final = 50


class Clients:
    """The clients of one gateway: those that never ask twice, and those as they come, which do by themselves."""

    def __init__(self, url: str, key: str) -> None:
        self._open = AsyncExitStack()
        self._url = url
        self._key = key
        self._of: dict[tuple[str, bool], Any] = {}

    def of(self, dialect: str, *, again: bool) -> Any:
        """The dialect's client. Untyped: what they are asked is put together of plain dicts."""
        return self._of[dialect, again and dialect != "native"]

    async def __aenter__(self) -> Self:
        enter = self._open.enter_async_context
        for again in (False, True):
            more: dict[str, Any] = {"api_key": self._key, "timeout": PATIENCE, **({} if again else {"max_retries": 0})}
            ours = openai.AsyncOpenAI(base_url=f"{self._url}/oai/v1", **more)
            theirs = anthropic.AsyncAnthropic(base_url=f"{self._url}/anthropic", **more)
            self._of["openai", again] = await enter(ours)
            self._of["anthropic", again] = await enter(theirs)
        headers = {"authorization": f"Bearer {self._key}"}
        native = httpx.AsyncClient(base_url=self._url, headers=headers, timeout=PATIENCE, trust_env=False)
        self._of["native", False] = await enter(native)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._open.aclose()


Ask = Callable[[Any, str, bool, Heard], Awaitable[None]]
"""Asks a client for an answer of a model, streamed or not, and fills in what is heard."""


class Surface(msgspec.Struct, frozen=True):
    """One surface."""

    name: str
    dialect: str
    own: str
    """The type of provider that speaks its protocol; for the native one, which nobody speaks, one that does not."""
    other: str
    """One that speaks another protocol."""
    ask: Ask
    tells_usage: bool = True
    """A stream tells it unasked."""
    finish: str = "stop"
    """The word of the end."""


async def hear(surface: Surface, clients: Clients, model: str, *, stream: bool, again: bool) -> Heard:
    """What came of one call. `again`: by a client as it comes, which asks by itself again where it thinks it helps."""
    heard = Heard()
    try:
        await surface.ask(clients.of(surface.dialect, again=again), model, stream, heard)
    except _RAISED as error:
        _raised(heard, error)
    else:
        heard.looks_complete = not heard.raised
    return heard


_RAISED: Final = (openai.APIError, anthropic.APIError, httpx.HTTPError, httpx2.HTTPError, ValueError)
"""What clients raise. Some let their HTTP client, or their reader of JSON, speak for them."""


def _raised(heard: Heard, error: Exception) -> None:
    heard.raised = type(error).__name__
    heard.message = str(error)
    if isinstance(error, openai.APIStatusError | anthropic.APIStatusError):
        heard.take_headers(error.status_code, error.response.headers)
    if isinstance(error, openai.APIError | anthropic.APIError):
        heard.code = _code(error.body)


def _code(body: object) -> str | None:
    """Our code in the body of an error, which OpenAI's client takes the `error` out of."""
    match body:
        case {"error": {"code": str() as code}} | {"code": str() as code}:
            return code
        case _:
            return None


# -- the native API, which has no SDK --------------------------------------------------------------------------------


def _native(path: str, asked: Mapping[str, Any], text_of: Callable[[Any], str]) -> Ask:
    async def ask(client: Any, model: str, stream: bool, heard: Heard) -> None:
        body = {"model": model, "stream": stream, **asked}
        async with client.stream("POST", path, json=body) as got:
            heard.take_headers(got.status_code, got.headers)
            if got.status_code != 200:
                told = json.loads(await got.aread())
                heard.raised, heard.code, heard.message = "answer", _code(told), told["error"]["message"]
            elif stream:
                await _native_stream(got, heard, text_of)
            else:
                told = json.loads(await got.aread())["data"]
                first = told["choices"][0] if "choices" in told else told
                heard.text, heard.finish = text_of(first), first["finish_reason"]
                _native_usage(heard, told)

    return ask


async def _native_stream(got: Any, heard: Heard, text_of: Callable[[Any], str]) -> None:
    name, done = "", False
    async for line in got.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data" and value == "[DONE]":
            done = True
        elif field == "data":
            told = json.loads(value)
            if name == "error":
                heard.raised, heard.code, heard.message = "event: error", told["code"], told["message"]
            for choice in told.get("choices", ()):
                heard.text += text_of(choice)
                heard.finish = choice["finish_reason"] or heard.finish
            _native_usage(heard, told)
        elif not line:
            name = ""
    if not done:
        # The contract: `[DONE]` ends every stream. One that merely stops has failed, and says so to whoever looks.
        heard.raised = heard.raised or "no [DONE]"


def _native_usage(heard: Heard, told: Any) -> None:
    if usage := told.get("usage"):
        heard.usage = (usage["input_tokens"], usage["output_tokens"])


def _chat_text(choice: Any) -> str:
    said: dict[str, Any] = choice.get("delta") or choice.get("message") or {}
    return said.get("content") or ""


def _generated(choice: Any) -> str:
    text: str = choice["text"]
    return text


# -- OpenAI's SDK ----------------------------------------------------------------------------------------------------


async def _parsed(raw: Any, heard: Heard) -> Any:
    """What the SDK makes of an answer, after its status and headers were noted."""
    heard.take_headers(raw.http_response.status_code, raw.headers)
    got = raw.parse()
    return await got if isawaitable(got) else got


async def _completions(client: Any, model: str, stream: bool, heard: Heard) -> None:
    asked = client.chat.completions.with_raw_response.create
    got = await _parsed(await asked(model=model, stream=stream, messages=[{"role": "user", "content": _ASKED}]), heard)
    if not stream:
        heard.text, heard.finish = got.choices[0].message.content, got.choices[0].finish_reason
        heard.usage = (got.usage.prompt_tokens, got.usage.completion_tokens)
        return
    async for chunk in got:
        for choice in chunk.choices:
            heard.text += choice.delta.content or ""
            heard.finish = choice.finish_reason or heard.finish


async def _legacy(client: Any, model: str, stream: bool, heard: Heard) -> None:
    asked = client.completions.with_raw_response.create
    got = await _parsed(await asked(model=model, stream=stream, prompt=_ASKED), heard)
    if not stream:
        heard.text, heard.finish = got.choices[0].text, got.choices[0].finish_reason
        heard.usage = (got.usage.prompt_tokens, got.usage.completion_tokens)
        return
    async for chunk in got:
        for choice in chunk.choices:
            heard.text += choice.text or ""
            heard.finish = choice.finish_reason or heard.finish


async def _responses(client: Any, model: str, stream: bool, heard: Heard) -> None:
    asked = client.responses.with_raw_response.create
    got = await _parsed(await asked(model=model, stream=stream, input=_ASKED), heard)
    if not stream:
        heard.text = got.output_text
        _responded(heard, got)
        return
    async for event in got:
        if event.type == "response.output_text.delta":
            heard.text += event.delta
        elif event.type in ("response.completed", "response.incomplete"):
            _responded(heard, event.response)
        elif event.type in ("error", "response.failed"):
            heard.raised, heard.code = f"event: {event.type}", event.code


def _responded(heard: Heard, response: Any) -> None:
    heard.finish = response.status
    heard.usage = (response.usage.input_tokens, response.usage.output_tokens)


# -- Anthropic's SDK -------------------------------------------------------------------------------------------------


async def _messages(client: Any, model: str, stream: bool, heard: Heard) -> None:
    asked = client.messages.with_raw_response.create
    messages = [{"role": "user", "content": _ASKED}]
    got = await _parsed(await asked(model=model, stream=stream, max_tokens=_MOST, messages=messages), heard)
    if not stream:
        heard.text, heard.finish = "".join(block.text for block in got.content), got.stop_reason
        heard.usage = (got.usage.input_tokens, got.usage.output_tokens)
        return
    tokens_in = 0
    async for event in got:
        match event.type:
            case "message_start":
                tokens_in = event.message.usage.input_tokens
            case "content_block_delta":
                heard.text += event.delta.text
            case "message_delta":
                heard.finish = event.delta.stop_reason
                heard.usage = (event.usage.input_tokens or tokens_in, event.usage.output_tokens)
            case _:
                pass


_SAID: Final = {"messages": [{"role": "user", "content": _ASKED}]}
SURFACES: Final[Mapping[str, Surface]] = {
    one.name: one
    for one in (
        Surface("native-chat", "native", "openai", "anthropic", _native("/v1/inference/chat", _SAID, _chat_text)),
        Surface(
            "native-generate",
            "native",
            "openai",
            "anthropic",
            _native("/v1/inference/generate", {"prompt": _ASKED}, _generated),
        ),
        Surface("openai-chat", "openai", "openai", "anthropic", _completions, tells_usage=False),
        Surface("openai-completions", "openai", "openai", "anthropic", _legacy, tells_usage=False),
        Surface("openai-responses", "openai", "openai", "anthropic", _responses, finish="completed"),
        Surface("anthropic-messages", "anthropic", "anthropic", "openai", _messages, finish="end_turn"),
    )
}
