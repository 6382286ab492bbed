"""Pipes for a call whose client and provider both speak the OpenAI protocol: bytes go through.

What is changed on the way: the top-level `model` becomes the slug that the client asked for, and where the client did
not ask for usage at the end of a stream, what the gateway asked for is taken out again. What is read: usage, a
failure, the end. Everything else is the provider's, byte for byte, with its unknown fields.

The head of an event, up to the value of `choices`, hardly ever changes within a stream. So it is taken apart once,
and as long as events begin with the very same bytes, what has to become of it is known. One decoding of the top level
still checks each event: a broken one must not be passed on.
"""

from typing import Final

import msgspec

from adapters import openai_failure
from adapters.endpoints import COMPLETIONS
from adapters.openai_decode import DONE, output_tokens
from adapters.openai_usage import usage
from adapters.wire import ABSENT, broken, check_fields, check_unicode, decoded, given, places
from scaigrid import splice
from scaigrid.adapter import Pipe
from scaigrid.call import Call
from scaigrid.errors import GatewayError
from scaigrid.sse import Splitter, parse, with_data
from scaigrid.types import Usage

_BYTES_PER_TOKEN: Final = 4
_MOST_HELD: Final = 64 * 1024
_NEVER: Final = b"data: {\0"
"""A head that no sound event has."""
_DATA: Final = b"data: "
_BARE: Final = len(_DATA) + 2
"""Bytes that an event of one line has beside its data."""
_NO_USAGE: Final = b',"usage":null'


class _Top(msgspec.Struct, gc=False):
    choices: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_top: Final = msgspec.json.Decoder(_Top)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list: Final = msgspec.json.Decoder(list[msgspec.Raw])


def relay(call: Call) -> Pipe:
    """The pipe for `call`."""
    if call.stream:
        text = b"text" if call.surface == COMPLETIONS else b"content"
        return StreamRelay(call.model, keep_usage=call.wants_usage, text=text)
    return PlainRelay(call.model, required="choices" if call.operation == "chat" else "data")


class StreamRelay:
    """An event stream. Nothing comes out before an event that is sound, so that another backend can still be tried."""

    __slots__ = (
        "_begun",
        "_bytes",
        "_event_head",
        "_events",
        "_failure",
        "_held",
        "_keep_usage",
        "_last",
        "_model",
        "_new_head",
        "_splitter",
        "_started",
        "_text",
        "_text_spaced",
        "usage",
    )

    def __init__(self, slug: str, *, keep_usage: bool, text: bytes = b"content") -> None:
        """`text` is the member that holds what the model says."""
        self._model = msgspec.json.encode(slug)
        # Most providers write no space after a colon, some do.
        self._text, self._text_spaced = text + b'":"', text + b'": "'
        self._keep_usage = keep_usage
        self._splitter = Splitter()
        self._event_head = _NEVER
        self._new_head = b""
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
                passed = self._known(event) if event.startswith(self._event_head) else self._unknown(event)
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
                passed = self._unknown(rest)
            if not self.ended:
                failure = None if self._begun else openai_failure.reported(self._held.strip())
                raise failure or broken("the stream ended too early")
        return passed + self._last

    def _known(self, event: bytes) -> bytes:
        """Passes an event whose head has been met: the same that `_unknown` makes of it, sooner."""
        try:
            top = _top.decode(event[6:])
        except (msgspec.DecodeError, RecursionError):
            return self._unknown(event)
        start = len(self._event_head)
        if event[start] != 0x5B or len(top.error) or not event.isascii():
            return self._unknown(event)
        if not len(top.usage):
            passed = self._new_head + event[start:]
        elif bytes(top.usage) != b"null":
            return self._unknown(event)
        elif self._keep_usage:
            passed = self._new_head + event[start:]
        else:
            choices = bytes(top.choices)
            end = start + len(choices)
            if not event.startswith(_NO_USAGE, end) or not event.startswith(choices, start):
                return self._unknown(event)
            passed = self._new_head + choices + event[end + len(_NO_USAGE) :]
        self._count(event, start)
        return passed

    def _unknown(self, event: bytes) -> bytes:
        name, data = parse(event)
        if not data:
            return self._without_data(event)
        if data.strip() == DONE:
            if not self._begun:
                raise broken("a stream without a chunk")
            check_fields(event)
            self._last = event if event.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")) else event.rstrip() + b"\n\n"
            return b""
        if name == "error":
            raise openai_failure.named_error(data)
        check_unicode(data)
        members = decoded(_members, data)
        _check(members, data, "choices")
        if len(event) != len(data) + _BARE:
            check_fields(event)
        self._begun = True
        # Blank lines too many, or the end of a line end that was cut: they belong to what went out before.
        ahead = event[: len(event) - len(event.lstrip(b"\r\n"))]
        try:
            changed = self._changed(event[len(ahead) :], data, members)
        except splice.DuplicateKey:
            raise broken("a member given twice") from None
        if changed is None:
            return ahead if self._started else b""
        self._count(event, 0)
        held, self._held = self._held, b""
        check_fields(held)
        self._started = True
        return held + ahead + changed

    def _changed(self, event: bytes, data: bytes, members: dict[str, msgspec.Raw]) -> bytes | None:
        """The event as the client gets it, None for none of it; its head is remembered."""
        at = places(data, members)
        drop = False
        if "usage" in at:
            reported = usage(members["usage"])
            self.usage = reported or self.usage
            drop = not self._keep_usage
            if drop and reported is not None and not decoded(_list, members["choices"]):
                return None
        start, end = at["choices"]
        begin, stop = at.get("model", (0, 0))
        whole = event.startswith(_DATA + data)
        # A head without the model is not worth remembering: the model could come behind the choices of the next event.
        if whole and 0 < stop <= start and not (drop and at["usage"][0] < start):
            self._event_head = event[: len(_DATA) + start]
            self._new_head = _DATA + data[:begin] + self._model + data[stop:start]
            rest = event[len(_DATA) + start :]
            if not drop:
                return self._new_head + rest
            if rest.startswith(_NO_USAGE, end - start):
                return self._new_head + rest[: end - start] + rest[end - start + len(_NO_USAGE) :]
        new = data
        if drop:
            new = splice.remove(data, at, "usage")
            at = places(new, {name: raw for name, raw in members.items() if name != "usage"})
        if stop:
            new = splice.replace(new, at, {"model": self._model})
        if whole:
            return _DATA + new + event[len(_DATA) + len(data) :]
        return with_data(event, new) if new != data else event

    def _without_data(self, event: bytes) -> bytes:
        if self._started:
            check_fields(event)
            return event
        if len(self._held) + len(event) <= _MOST_HELD:
            self._held += event
        return b""

    def _count(self, event: bytes, start: int) -> None:
        """Takes note of the text of an event: an event is a token at least, and four bytes of text are one more."""
        begin, length = event.find(self._text, start), len(self._text)
        if begin < 0:
            begin, length = event.find(self._text_spaced, start), len(self._text_spaced)
        if begin < 0:
            self._events += b'"arguments":"' in event or b'"arguments": "' in event
            return
        size = event.find(b'"', begin + length) - begin - length
        if size > 0:
            self._events += 1
            self._bytes += size


class PlainRelay:
    """A plain answer: all of it, once it is there."""

    __slots__ = ("_model", "_parts", "_required", "ended", "output_seen", "usage")

    def __init__(self, slug: str, *, required: str) -> None:
        self._model = msgspec.json.encode(slug)
        self._required = required
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
        _check(members, body, self._required)
        self.usage = usage(members.get("usage"))
        if (self.usage is None or not self.usage.believable or not self.usage.total) and self._required == "choices":
            try:
                self.output_seen = output_tokens(body)
            except GatewayError:
                # Not all that may be passed on can be translated, and nothing of it is read here but its length.
                self.output_seen = len(members["choices"]) // _BYTES_PER_TOKEN
        self.ended = True
        model = members.get("model")
        if model is None:
            return body
        at = _only(body, b'"model"', bytes(model))
        try:
            start, end = at or places(body, members)["model"]
        except splice.DuplicateKey:
            raise broken("a member given twice") from None
        return body[:start] + self._model + body[end:]


def _check(members: dict[str, msgspec.Raw], data: bytes, required: str) -> None:
    """Raises where `data` reports a failure, or has no list under `required`."""
    if given(members.get("error")) and (failure := openai_failure.reported(data)) is not None:
        raise failure
    if bytes(members.get(required, ABSENT))[:1] != b"[":
        raise broken(f"no {required}")


def _only(text: bytes, key: bytes, value: bytes) -> splice.Span | None:
    """Where the value of the top-level member `key` stands, if a glance tells.

    It does where the key is nowhere else in the text, and nothing is nested ahead of it. A quote within a string has a
    backslash before it, so what the key is found in is a key.
    """
    place = text.find(key)
    if place < 1 or text.count(b"{", 0, place) != 1 or text[place - 1] == 0x5C or text.find(key, place + 1) > 0:
        return None
    colon = text.find(b":", place)
    start = text.find(value[:1], colon)
    if text[place + len(key) : colon].strip() or text[colon + 1 : start].strip() or not text.startswith(value, start):
        return None
    return start, start + len(value)
