"""The upstream port without a network: a provider of the OpenAI protocol inside the process, for trials and tests.

It answers at once, or at the pace that the provider's configuration asks for:

    providers:
      trial: {type: simulator, headers: {x-simulator-tokens-per-second: "50"}}
"""

import asyncio
import hashlib
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from scaigrid.adapter import UpstreamRequest
from scaigrid.dialect import Renderer
from scaigrid.dialects.openai import OpenAI
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.types import Chat, Event, Rerank
from scaigrid.upstream.port import UpstreamResponse, UpstreamTooLarge
from scaigrid.upstream.simulated import CREATED, MODELS, chat_steps, embed_events
from scaigrid.upstream.simulated_rerank import ranked

PACE: Final = "x-simulator-tokens-per-second"
"""A header of the request: tokens of each choice in a second, from 0.001 to 1000000. Left out: no waiting."""

_PATHS: Final = ("/chat/completions", "/embeddings")
_DOCUMENTED: Final = frozenset(
    {
        "audio",
        "function_call",
        "functions",
        "logit_bias",
        "metadata",
        "modalities",
        "moderation",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "safety_identifier",
        "service_tier",
        "store",
        "stream_options",
        "verbosity",
        "web_search_options",
    }
)
"""Fields that OpenAI documents and that change nothing in a simulated answer; any other is refused, as OpenAI does."""

_LIST: Final = msgspec.json.encode(
    {
        "object": "list",
        "data": [
            {"id": name, "object": "model", "created": CREATED, "owned_by": "scaigrid-simulator"} for name in MODELS
        ],
    }
)
_DIALECT: Final = OpenAI()
Sleep = Callable[[float], Awaitable[None]]
Piece = tuple[float, bytes]
"""Seconds to wait, and what comes then."""


class _Answered(msgspec.Struct, frozen=True):
    """What the renderer may know of a call that only the simulator has seen."""

    request_id: str
    started_at: float = float(CREATED)
    cost: int = 0


class SimulatedResponse:
    """An answer that is made while it is read."""

    __slots__ = ("_headers", "_pieces", "_sleep", "_status")

    def __init__(self, status: int, content_type: str, pieces: Iterator[Piece], sleep: Sleep) -> None:
        self._status = status
        self._headers = {"content-type": content_type, "server": "scaigrid-simulator"}
        self._pieces = pieces
        self._sleep = sleep

    @property
    def status(self) -> int:
        return self._status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers

    async def read(self, limit: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := await self.chunk():
            size += len(piece)
            if size > limit:
                raise UpstreamTooLarge(f"the answer passed {limit} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    async def chunk(self) -> bytes:
        for seconds, piece in self._pieces:
            if seconds:
                await self._sleep(seconds)
            if piece:
                return piece
        return b""


class _Sent:
    """One call as a context, like those of the other upstreams."""

    __slots__ = ("_response",)

    def __init__(self, response: SimulatedResponse) -> None:
        self._response = response

    async def __aenter__(self) -> UpstreamResponse:
        return self._response

    async def __aexit__(self, *_: object) -> None:
        return None


class SimulatorUpstream:
    """Stateless. The same request has the same answer, to the byte, in every process."""

    def __init__(self, sleep: Sleep = asyncio.sleep) -> None:
        self._sleep = sleep

    def send(self, request: UpstreamRequest, *, connect_timeout: float, stream: bool) -> _Sent:
        try:
            response = self._answer(request)
        except GatewayError as error:
            response = self._refuse(error)
        return _Sent(response)

    async def aclose(self) -> None:
        return None

    def _answer(self, request: UpstreamRequest) -> SimulatedResponse:
        path = urlsplit(request.url).path
        if request.method == "GET" and path.endswith("/models"):
            return SimulatedResponse(200, "application/json", iter([(0.0, _LIST)]), self._sleep)
        if request.method == "POST" and path.endswith("/rerank"):
            answer = ranked(request.body, _name(request))
            return SimulatedResponse(200, "application/json", iter([(_pause(request), answer)]), self._sleep)
        asked_at = next((end for end in _PATHS if path.endswith(end)), None)
        if asked_at is None or request.method != "POST":
            raise GatewayError(Code.NOT_FOUND, f"Invalid URL ({request.method} {path})")
        pause = _pause(request)
        call = _DIALECT.decode(_DIALECT.prefix + asked_at, request.body)
        asked = call.canonical()
        if isinstance(asked, Rerank):
            raise GatewayError(Code.NOT_FOUND, f"Invalid URL ({request.method} {path})")
        _refuse_unknown([*asked.unknown, *(("top_k",) if isinstance(asked, Chat) and asked.top_k is not None else ())])
        name = _name(request)
        steps = chat_steps(asked, name) if isinstance(asked, Chat) else [embed_events(asked)]
        pieces = _pieces(_DIALECT.renderer(call, _Answered(name)), steps, pause)
        if call.stream:
            return SimulatedResponse(200, "text/event-stream", pieces, self._sleep)
        return SimulatedResponse(200, "application/json", pieces, self._sleep)

    def _refuse(self, error: GatewayError) -> SimulatedResponse:
        """The refusal as OpenAI words it; none of the gateway's codes in it, since a provider does not know them."""
        details = " ".join(f"{detail.field} {detail.message}." for detail in error.details)
        refusal = {
            "message": f"{error.message} {details}".rstrip(),
            "type": "invalid_request_error",
            "param": error.details[0].field if error.details else None,
            "code": None,
        }
        status = 404 if error.code is Code.NOT_FOUND else 400
        body = msgspec.json.encode({"error": refusal})
        return SimulatedResponse(status, "application/json", iter([(0.0, body)]), self._sleep)


def _name(request: UpstreamRequest) -> str:
    """What the ids of the answer are made of."""
    return hashlib.sha256(request.body).hexdigest()[:32]


def _pieces(renderer: Renderer, steps: Sequence[Sequence[Event]], pause: float) -> Iterator[Piece]:
    """A pause before each step that has tokens: all but the first, where the answer starts, and the last, its usage."""
    for place, step in enumerate(steps):
        yield pause if 0 < place < len(steps) - 1 else 0.0, renderer.render(step)
    yield 0.0, renderer.close()


def _pause(request: UpstreamRequest) -> float:
    """Seconds for each token."""
    written = next((value for name, value in request.headers if name.lower() == PACE), None)
    if written is None:
        return 0.0
    try:
        pace = float(written)
    except ValueError:
        pace = math.nan
    if not 0.001 <= pace <= 1_000_000:
        raise GatewayError(Code.VALIDATION_ERROR, f"The header {PACE} must be a number from 0.001 to 1000000.")
    return 1 / pace


def _refuse_unknown(fields: Sequence[str]) -> None:
    """Refuses what OpenAI does not document either; what stands deeper than the top level is not looked at."""
    for field in fields:
        if field not in _DOCUMENTED and "." not in field and "[" not in field:
            raise GatewayError(
                Code.VALIDATION_ERROR,
                "Unrecognized request argument supplied.",
                details=(Detail(field, "is not known"),),
            )
