"""Adapters and renderers with one fault each: what the suite has to find."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from scaigrid.adapter import (
    NO_OPTIONS,
    Adapter,
    Decoder,
    Header,
    Offers,
    Options,
    Outgoing,
    Pipe,
    Relaying,
    Target,
    UpstreamRequest,
)
from scaigrid.call import Call
from scaigrid.dialect import Renderer
from scaigrid.errors import GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import Event, Usage

Frames = list[bytes]
Events = list[Event]
Body = dict[str, Any]


class NoFault(Exception):
    """A fault changes nothing of this exchange."""


def same_events(events: Events) -> Events:
    return events


def same_frames(frames: Frames) -> Frames:
    return frames


def same_body(body: Body) -> Body:
    return body


def same_outgoing(outgoing: Outgoing) -> Outgoing:
    return outgoing


def same_relaying(relaying: Relaying) -> Relaying:
    return relaying


def _bent(bend: Callable[[list[Any]], list[Any]], said: list[Any]) -> list[Any]:
    if bend in (same_events, same_frames):
        return said
    bent = bend(said)
    if bent == said:
        raise NoFault
    return bent


class BentDecoder:
    """Tells all at the end, so that a fault may look at the whole answer."""

    def __init__(self, decoder: Decoder, bend: Callable[[Events], Events]) -> None:
        self._decoder = decoder
        self._bend = bend
        self._events: Events = []

    @property
    def ended(self) -> bool:
        return self._decoder.ended

    def feed(self, chunk: bytes) -> Sequence[Event]:
        self._events += self._decoder.feed(chunk)
        return ()

    def close(self) -> Sequence[Event]:
        return _bent(self._bend, [*self._events, *self._decoder.close()])


class BentPipe:
    """Passes all on at the end, frame by frame; a plain answer is one frame."""

    def __init__(self, pipe: Pipe, bend: Callable[[Frames], Frames], *, counts: bool) -> None:
        self._pipe = pipe
        self._bend = bend
        self._counts = counts
        self._body = b""

    @property
    def usage(self) -> Usage | None:
        return self._pipe.usage if self._counts else None

    @property
    def output_seen(self) -> int:
        return self._pipe.output_seen

    @property
    def ended(self) -> bool:
        return self._pipe.ended

    def feed(self, chunk: bytes) -> bytes:
        self._body += self._pipe.feed(chunk)
        return b""

    def close(self) -> bytes:
        return b"".join(_bent(self._bend, in_frames(self._body + self._pipe.close())))


def in_frames(body: bytes) -> Frames:
    """A stream's frames, or a plain answer as one."""
    if not body.startswith((b"data:", b"event:", b":")):
        return [body]
    return _FRAME.findall(body)


_FRAME: Final = re.compile(rb".*?(?:\r\n\r\n|\n\n)", re.DOTALL)


class Bent:
    """An adapter with one fault."""

    name: ClassVar[str] = "bent"
    transport: ClassVar[str] = "http"
    can: ClassVar[frozenset[str]] = frozenset()
    needs_max_output: ClassVar[bool] = False
    options: ClassVar[type[Options]] = Options
    signed: ClassVar[str | None] = None

    def __init__(
        self,
        adapter: Adapter,
        *,
        events: Callable[[Events], Events] = same_events,
        frames: Callable[[Frames], Frames] = same_frames,
        body: Callable[[Body], Body] = same_body,
        counts: bool = True,
        error: GatewayError | None = None,
        outgoing: Callable[[Outgoing], Outgoing] = same_outgoing,
        relaying: Callable[[Relaying], Relaying] = same_relaying,
    ) -> None:
        self._adapter = adapter
        self._events = events
        self._frames = frames
        self._body = body
        self._counts = counts
        self._error = error
        self._outgoing = outgoing
        self._relaying = relaying

    def base_url(self, options: Any = NO_OPTIONS) -> str | None:
        return self._adapter.base_url(options)

    def speaks(self, options: Any = NO_OPTIONS) -> frozenset[str]:
        return self._adapter.speaks(options)

    def headers(self, api_key: Secret | None, extra: Mapping[str, str]) -> tuple[Header, ...]:
        return self._adapter.headers(api_key, extra)

    def encode(self, call: Call, target: Target, outgoing: Outgoing) -> UpstreamRequest:
        request = self._adapter.encode(call, target, self._outgoing(outgoing))
        if self._body is same_body:
            return request
        bent = json.dumps(self._body(json.loads(request.body))).encode()
        return msgspec.structs.replace(request, body=bent)

    def decoder(self, call: Call, target: Target) -> Decoder:
        return BentDecoder(self._adapter.decoder(call, target), self._events)

    def relay(self, call: Call, target: Target, relaying: Relaying) -> Pipe:
        pipe = self._adapter.relay(call, target, self._relaying(relaying))
        return BentPipe(pipe, self._frames, counts=self._counts)

    def discovery(
        self, base_url: str, headers: tuple[Header, ...], after: str | None = None, options: Any = NO_OPTIONS
    ) -> UpstreamRequest:
        return self._adapter.discovery(base_url, headers, after, options)

    def offers(self, body: bytes) -> Offers:
        return self._adapter.offers(body)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return self._error or self._adapter.error(status, headers, body)


class BentRenderer:
    """Writes other frames than its dialect does, all of them at the end."""

    def __init__(self, renderer: Renderer, bend: Callable[[Frames], Frames]) -> None:
        self._renderer = renderer
        self._bend = bend
        self._body = b""

    def render(self, events: Sequence[Event]) -> bytes:
        self._body += self._renderer.render(events)
        return b""

    def close(self) -> bytes:
        return b"".join(_bent(self._bend, in_frames(self._body + self._renderer.close())))
