"""Pipes for a call whose client and provider both speak the Anthropic protocol: bytes go through.

What is changed on the way: the model's name becomes the slug that the client asked for. What is read: usage, a failure,
the end. Everything else is the provider's, byte for byte, with its pings and its unknown events and fields.

Nearly all events of a stream are pieces of a content block. Of those nothing is needed but that they are sound, and
how much text they have; one decoding of the top level tells.
"""

from typing import Final

import msgspec

from adapters import anthropic_failure
from adapters.anthropic_usage import Counts, Reported
from adapters.wire import ABSENT, broken, check_fields, check_unicode, decoded, given, places
from scaigrid import splice
from scaigrid.adapter import Pipe
from scaigrid.call import Call
from scaigrid.errors import GatewayError
from scaigrid.sse import Splitter, parse, with_data
from scaigrid.types import Usage

_BYTES_PER_TOKEN: Final = 4
_MOST_HELD: Final = 64 * 1024
_PIECE: Final = b"event: content_block_delta\ndata: {"
_DATA: Final = len(_PIECE) - 1
_TEXTS: Final = (b'"text":', b'"thinking":', b'"partial_json":')
_BLANK: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")


class _Top(msgspec.Struct, gc=False):
    type: str
    usage: msgspec.Raw = ABSENT


class _Typed(msgspec.Struct, gc=False):
    type: str = ""


_top: Final = msgspec.json.Decoder(_Top)
_typed: Final = msgspec.json.Decoder(_Typed)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_usage: Final = msgspec.json.Decoder(Reported)


def relay(call: Call) -> Pipe:
    """The pipe for `call`."""
    if call.operation == "count_tokens":
        return PlainRelay(call.model, required="input_tokens", first=b"0123456789")
    return StreamRelay(call.model) if call.stream else PlainRelay(call.model, required="content", first=b"[")


class StreamRelay:
    """An event stream. Nothing comes out before an event with content, so that another backend can still be tried."""

    __slots__ = (
        "_begun",
        "_bytes",
        "_counts",
        "_events",
        "_failure",
        "_held",
        "_last",
        "_model",
        "_splitter",
        "_started",
        "usage",
    )

    def __init__(self, slug: str) -> None:
        self._model = msgspec.json.encode(slug)
        self._splitter = Splitter()
        self._counts = Counts()
        self._held = b""
        self._begun = False
        self._started = False
        self._last = b""
        self._events = 0
        self._bytes = 0
        self._failure: GatewayError | None = None
        self.usage: Usage | None = None

    @property
    def ended(self) -> bool:
        return bool(self._last)

    @property
    def output_seen(self) -> int:
        return max(self._events, self._bytes // _BYTES_PER_TOKEN)

    def feed(self, chunk: bytes) -> bytes:
        if self._failure is not None:
            raise self._failure
        if self._last:
            return b""
        out: list[bytes] = []
        try:
            for event in self._splitter.feed(chunk):
                passed = self._piece(event) if self._started and event.startswith(_PIECE) else self._any(event)
                if passed:
                    out.append(passed)
                elif self.ended:
                    break
        except GatewayError as failure:
            # What was sound still goes out, whether or not it came in the same piece as what is not.
            if not out:
                raise
            self._failure = failure
        return out[0] if len(out) == 1 else b"".join(out)

    def close(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        passed = b""
        if not self._last:
            rest = self._splitter.close()
            if rest.strip():
                passed = self._any(rest)
            if not self.ended:
                failure = None if self._begun else anthropic_failure.reported(self._held.strip())
                raise failure or broken("the stream ended too early")
        return passed + self._last

    def _piece(self, event: bytes) -> bytes:
        """Passes a piece of a content block: the same that `_any` makes of it, sooner."""
        try:
            top = _top.decode(event[_DATA:])
        except (msgspec.DecodeError, RecursionError):
            return self._any(event)
        if top.type != "content_block_delta" or not event.isascii():
            return self._any(event)
        self._count(event)
        return event

    def _any(self, event: bytes) -> bytes:
        name, data = parse(event)
        if not data:
            return self._hold(event)
        check_unicode(data)
        top = decoded(_top, data)
        if name == "error" or top.type == "error":
            raise anthropic_failure.reported(data) or broken("an error without an error")
        if top.type == "message_start":
            return self._hold(self._start(event, data))
        if top.type == "ping":
            return self._hold(event)
        if not self._begun:
            raise broken("an answer without its beginning")
        check_fields(event)
        if top.type == "message_stop":
            self._last = self._released() + (event if event.endswith(_BLANK) else event.rstrip() + b"\n\n")
            return b""
        if top.type == "message_delta" and given(top.usage):
            self.usage = self._counts.take(decoded(_usage, top.usage))
        elif top.type == "content_block_delta":
            self._count(event)
        return self._released() + event

    def _start(self, event: bytes, data: bytes) -> bytes:
        if self._begun:
            raise broken("an answer that begins twice")
        try:
            members = decoded(_members, data)
            raw = members.get("message", ABSENT)
            if bytes(raw)[:1] != b"{":
                raise broken("a beginning without a message")
            message, reported = _named(bytes(raw), self._model)
            new = splice.replace(data, places(data, members), {"message": message})
        except splice.DuplicateKey:
            raise broken("a member given twice") from None
        self._begun = True
        if reported is not None and given(reported):
            # The input is known before the first word, and counts if the client leaves during the last.
            self.usage = self._counts.take(decoded(_usage, reported))
        if event.count(data) == 1:
            return event.replace(data, new)
        return with_data(event, new)

    def _hold(self, event: bytes) -> bytes:
        """Passes what says nothing, once something else has gone out or there is too much of it."""
        if self._started:
            check_fields(event)
            return event
        if len(self._held) + len(event) <= _MOST_HELD:
            self._held += event
            return b""
        if not self._begun:
            return b""
        check_fields(event)
        return self._released() + event

    def _released(self) -> bytes:
        check_fields(self._held)
        held, self._held, self._started = self._held, b"", True
        return held

    def _count(self, event: bytes) -> None:
        """Takes note of the text of an event: an event is a token at least, and four bytes of text are one more."""
        for key in _TEXTS:
            begin = event.find(key)
            if begin >= 0:
                begin = event.find(b'"', begin + len(key)) + 1
                size = event.rfind(b'"') - begin
                if size > 0:
                    self._events += 1
                    self._bytes += size
                return


class PlainRelay:
    """A plain answer: all of it, once it is there."""

    __slots__ = ("_first", "_model", "_parts", "_required", "ended", "output_seen", "usage")

    def __init__(self, slug: str, *, required: str, first: bytes) -> None:
        """The answer has a member `required` that begins with one of the bytes `first`."""
        self._model = msgspec.json.encode(slug)
        self._required = required
        self._first = first
        self._parts: list[bytes] = []
        self.usage: Usage | None = None
        self.output_seen = 0
        self.ended = False

    def feed(self, chunk: bytes) -> bytes:
        self._parts.append(chunk)
        return b""

    def close(self) -> bytes:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        check_unicode(body)
        members = decoded(_members, body)
        if decoded(_typed, body).type == "error" or given(members.get("error")):
            raise anthropic_failure.reported(body) or broken("an error without an error")
        required = bytes(members.get(self._required, ABSENT))
        if not required or required[0] not in self._first:
            raise broken(f"no {self._required}")
        try:
            answer, reported = _named(body, self._model, members)
        except splice.DuplicateKey:
            raise broken("a member given twice") from None
        if reported is not None and given(reported):
            self.usage = Counts().take(decoded(_usage, reported))
        if self._required == "content" and (self.usage is None or not self.usage.believable or not self.usage.total):
            self.output_seen = len(required) // _BYTES_PER_TOKEN
        self.ended = True
        return answer


def _named(
    message: bytes, model: bytes, members: dict[str, msgspec.Raw] | None = None
) -> tuple[bytes, msgspec.Raw | None]:
    """A message under the name `model`, and the usage in it. Raises splice.DuplicateKey, UPSTREAM_SHAPE_MISMATCH."""
    members = decoded(_members, message) if members is None else members
    if "model" in members:
        message = splice.replace(message, places(message, members), {"model": model})
    return message, members.get("usage")
