"""Pipes for a call whose client and provider both speak OpenAI's Responses API: bytes go through.

What is changed on the way: the names in a response (see `openai_responses_names`). What is read: usage, a failure, the
end. The events that only say that work has begun are held back until there is some, so that another backend can still
be tried; where a call runs in the background there may be none for long, and they go out at once.
"""

from typing import Final

import msgspec

from adapters import openai_failure
from adapters.counts import Size, tokens
from adapters.failures import Said, meaning
from adapters.openai_responses_names import Renamed, replaced
from adapters.openai_responses_splice import SIZE
from adapters.openai_usage import of_response
from adapters.wire import ABSENT, broken, check_fields, check_unicode, decoded, given
from scaigrid.adapter import Pipe, Relaying
from scaigrid.call import Call
from scaigrid.errors import GatewayError
from scaigrid.sse import Splitter, parse, with_data
from scaigrid.types import Usage

_BYTES_PER_TOKEN: Final = 4
_NULL: Final = msgspec.Raw(b"null")
_MOST_HELD: Final = 64 * 1024
_DONE: Final = b"[DONE]"
_BEGINNING: Final = frozenset({"response.created", "response.queued", "response.in_progress"})
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.cancelled"})
_LISTS: Final = frozenset({"openai/responses/input_items"})
_UNDER_WAY: Final = frozenset({"queued", "in_progress"})


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    delta: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Failed(msgspec.Struct):
    code: str | None = None
    message: str | None = None


_event: Final = msgspec.json.Decoder(_Event)
_failed: Final = msgspec.json.Decoder(_Failed)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_word: Final = msgspec.json.Decoder(str | None)
_bound: Final = msgspec.json.Decoder[Size](Size)


def relay(call: Call, relaying: Relaying) -> Pipe:
    """The pipe for `call`."""
    renamed = Renamed(call, relaying)
    if call.stream:
        holds = call.operation == "chat" and bytes(call.members.get("background", b"")) != b"true"
        return StreamRelay(renamed, holds=holds)
    return PlainRelay(call, renamed)


class StreamRelay:
    """An event stream."""

    __slots__ = (
        "_bytes",
        "_events",
        "_failure",
        "_held",
        "_holds",
        "_last",
        "_renamed",
        "_splitter",
        "_stray",
        "ended",
        "usage",
    )

    def __init__(self, renamed: Renamed, *, holds: bool) -> None:
        self._renamed = renamed
        self._holds = holds
        self._splitter = Splitter()
        self._held = b""
        self._stray = b""
        self._last = b""
        self._events = 0
        self._bytes = 0
        self._failure: GatewayError | None = None
        self.ended = False
        self.usage: Usage | None = None

    @property
    def output_seen(self) -> int:
        return max(self._events, self._bytes // _BYTES_PER_TOKEN)

    def feed(self, chunk: bytes) -> bytes:
        if self._failure is not None:
            raise self._failure
        out: list[bytes] = []
        try:
            for event in self._splitter.feed(chunk) if not self.ended else ():
                out.append(self._take(event))
                if self.ended:
                    break
        except GatewayError as failure:
            # What was sound still goes out, whether or not it came in the same piece as what is not.
            if not any(out):
                raise
            self._failure = failure
        return b"".join(out)

    def close(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        passed = b""
        if not self.ended:
            rest = self._splitter.close()
            if rest.strip():
                passed = self._take(rest if rest.endswith((b"\n\n", b"\r\n\r\n")) else rest.rstrip() + b"\n\n")
            if not self.ended:
                stray = self._stray.strip()
                raise (stray and openai_failure.reported(stray)) or broken("the stream ended too early")
        return passed + self._last

    def _take(self, event: bytes) -> bytes:
        """What goes out for one event now."""
        name, data = parse(event)
        if not data or data.strip() == _DONE:
            return self._without_data(event)
        check_unicode(data)
        top = decoded(_event, data)
        kind = top.type or name or ""
        if kind == "error" or (not top.type and given(top.error)):
            raise openai_failure.named_error(data)
        check_fields(event)
        if given(top.response):
            event = self._response(event, data, top.response, kind)
        elif kind in _ENDS or not kind:
            raise broken("an event of no kind")
        elif len(top.delta):
            self._events += 1
            self._bytes += max(len(top.delta) - 2, 0)
        if kind in _ENDS:
            self.ended = True
            self._last, self._held = self._held + event, b""
            return b""
        if self._holds and kind in _BEGINNING:
            self._held += event
            return b""
        self._holds = False
        held, self._held = self._held, b""
        return held + event

    def _response(self, event: bytes, data: bytes, response: msgspec.Raw, kind: str) -> bytes:
        """The event with the caller's names in its response. Raises what a failed response reports."""
        members = decoded(_members, response)
        self.usage = of_response(members.get("usage")) or self.usage
        if kind == "response.failed":
            raise _failure(members)
        told = self._renamed.response(bytes(response), members)
        top = decoded(_members, data)
        new = replaced(data, top, {"response": told})
        place = event.find(data)
        return event[:place] + new + event[place + len(data) :] if place >= 0 else with_data(event, new)

    def _without_data(self, event: bytes) -> bytes:
        if not self._holds:
            check_fields(event)
            return event
        if len(self._stray) + len(event) <= _MOST_HELD:
            self._stray += event
        return b""


class PlainRelay:
    """A plain answer: all of it, once it is there."""

    __slots__ = ("_call", "_parts", "_renamed", "ended", "output_seen", "usage")

    def __init__(self, call: Call, renamed: Renamed) -> None:
        self._call = call
        self._renamed = renamed
        self._parts: list[bytes] = []
        self.usage: Usage | None = None
        self.output_seen = 0
        self.ended = False

    def feed(self, chunk: bytes) -> bytes:
        self._parts.append(chunk)
        return b""

    def close(self) -> bytes:
        body = b"".join(self._parts)
        check_unicode(body)
        members = decoded(_members, body)
        surface = self._call.surface
        if surface in _LISTS:
            _require(members, body, "data", b"[")
        elif surface == SIZE:
            _require(members, body, "input_tokens", b"0123456789")
        else:
            body = self._response(body, members)
        self.ended = True
        return body

    def _response(self, body: bytes, members: dict[str, msgspec.Raw]) -> bytes:
        _require(members, body, "id", b'"')
        if self._call.operation == "chat":
            status = decoded(_word, members.get("status", _NULL))
            self.usage = of_response(members.get("usage"))
            if status == "failed":
                raise _failure(members)
            # What has none is another answer, and clients read it without a look.
            _require(members, body, "output", b"[")
            if self.usage is None or not self.usage.believable or not self.usage.total:
                self.output_seen = self._guess(members, status)
        return self._renamed.response(body, members)

    @staticmethod
    def _guess(members: dict[str, msgspec.Raw], status: str | None) -> int:
        """Output tokens of an answer without usage.

        One that is made in the background may become as long as its bound allows, and nobody will hear how long.
        """
        if status in _UNDER_WAY:
            return tokens(decoded(_bound, members.get("max_output_tokens", _NULL)))
        return len(members.get("output", b"")) // _BYTES_PER_TOKEN


def _require(members: dict[str, msgspec.Raw], body: bytes, name: str, begins: bytes) -> None:
    """Raises where `body` reports a failure, or has no value under `name` that begins so."""
    value = bytes(members.get(name, ABSENT))
    if not value or value[0] not in begins:
        raise (openai_failure.reported(body) if given(members.get("error")) else None) or broken(f"no {name}")


def _failure(members: dict[str, msgspec.Raw]) -> GatewayError:
    """What a response that failed says about it."""
    raw = members.get("error")
    said = decoded(_failed, raw) if raw is not None and given(raw) else _Failed()
    return meaning(Said(words=(said.code,) if said.code else (), message=said.message))
