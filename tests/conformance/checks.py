"""The claims themselves: each plays one exchange and raises AssertionError with every difference in words."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from urllib.parse import unquote, urlsplit

import msgspec

from scaigrid.errors import Code
from scaigrid.types import Usage
from tests.conformance import bodies, cuts, plans, told
from tests.conformance.client import Asking, Passing
from tests.conformance.plans import Play
from tests.conformance.streaming import streamed
from tests.conformance.told import Broken, Reply, Tokens, Told
from tests.conformance.ways import KEY, Played, Question, Sent, Way, question
from tests.conformance.wire import Frame, decoded, frames, is_list, is_object


def pieces(play: Play) -> Sequence[bytes]:
    """How the recorded body comes in: a stream in pieces, a plain answer in one."""
    body = play.recorded.response_body
    return cuts.over_http(body, str(play.recorded)) if streamed(play.recorded) else cuts.whole(body)


def holds(way: Way, play: Play, cut: Sequence[bytes] | None = None) -> Reply:
    """What is claimed of a play, whatever its mode."""
    return passes_through(way, play, cut) if play.mode == "passed" else translates(way, play, cut)


def passes_through(way: Way, play: Play, cut: Sequence[bytes] | None = None) -> Reply:
    """The provider is asked what the client asked, and the client gets what the provider answered."""
    slug = way.slug(play)
    asked = question(play, slug, rests_on=None if play.rests_on is None else way.name(play, play.rests_on))
    played = way.play(asked, play.recorded, pieces(play) if cut is None else cut)
    found = _upstream(played, play)
    if played.sent is not None:
        found += _same_call(asked, played.sent, play)
    found += _passed_answer(play, played.reply, slug, partial(_names, way, play, asked))
    if played.usage is not msgspec.UNSET and play.is_billed:
        found += _billed(played.usage, play.said.tokens)
    _conclude(play, found)
    return played.reply


def translates(way: Way, play: Play, cut: Sequence[bytes] | None = None) -> Reply:
    """The provider is asked the same in its own words, and the client is told the same in its own."""
    slug = way.slug(play)
    played = way.play(question(play, slug), play.recorded, pieces(play) if cut is None else cut)
    found = _upstream(played, play)
    if played.sent is not None and play.mode == "translated":
        normal = play.protocol.normal
        sent = plans.bounded(decoded(played.sent.body))
        found += bodies.differences(normal(play.recorded.request_json), normal(sent), "upstream")
    try:
        got = play.client.read(played.reply, asking(play, slug))
    except Broken as broken:
        found.append(str(broken))
    else:
        found += told.differences(play.expected, got)
    if played.usage is not msgspec.UNSET and play.is_billed:
        found += _billed(played.usage, play.said.tokens)
    _conclude(play, found)
    return played.reply


def carries_state(way: Way, play: Play) -> None:
    """What the provider wants back of its answer reaches it unchanged, and in its order, in the next turn."""
    reply = holds(way, play)
    slug = way.slug(play)
    turn = play.client.turn(play.asked, reply, play.stream)
    played = way.play(question(play, slug, turn), play.recorded, pieces(play))
    if played.sent is None:
        raise AssertionError(f"{play}: the next turn was refused: {played.reply.body[:300]!r}")
    sent = list(texts(decoded(played.sent.body)))
    found: list[str] = []
    place = 0
    for opaque in signed(play.said):
        try:
            place = sent.index(opaque, place) + 1
        except ValueError:
            where = "out of its order" if opaque in sent else "missing"
            found.append(f"the next turn: {opaque[:80]!r} is {where}")
    _conclude(play, found)


def signed(said: Told) -> list[str]:
    """All that has to come back to the letter."""
    choice = said.choices.get(0)
    return [thought.opaque for thought in (choice.thoughts if choice else ()) if thought.opaque is not None]


def texts(value: object) -> Iterator[str]:
    """Every text and every member's name in a JSON value, and every object and list in it as text, in their order."""
    if isinstance(value, str):
        yield value
    elif is_object(value):
        yield plain(value)
        for name, inner in value.items():
            yield name
            yield from texts(inner)
    elif is_list(value):
        yield plain(value)
        for inner in value:
            yield from texts(inner)


def plain(value: object) -> str:
    """A JSON value as text, without white space."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def asking(play: Play, slug: str) -> Asking:
    return Asking(operation=play.operation, slug=slug, stream=play.stream, wants_usage=play.wants_usage)


# -- upstream --------------------------------------------------------------------------------------------------------


def _upstream(played: Played, play: Play) -> list[str]:
    sent = played.sent
    if sent is None:
        return [f"no provider was asked; the client was told {played.reply.body[:600].decode('utf-8', 'replace')}"]
    found: list[str] = []
    wanted = play.protocol.upstream(play.recorded)
    if not unquote(urlsplit(sent.url).path).endswith(unquote(wanted)):
        found.append(f"the provider was asked at {sent.url} instead of {wanted}")
    with_key = [name for name, value in sent.headers.items() if value in (KEY, f"Bearer {KEY}")]
    if len(with_key) != 1:
        found.append(f"the provider's key stands in {len(with_key)} headers instead of one")
    if any("sgk_" in value for value in sent.headers.values()):
        found.append("the client's own key went to the provider")
    if play.provider == "anthropic" and "anthropic-version" not in sent.headers:
        found.append("no anthropic-version was sent")
    return found


def _same_call(asked: Question, sent_call: Sent, play: Play) -> list[str]:
    """The body as the client wrote it, to the byte; but for the model, names of answers, and the usage of a stream.

    That is asked for wherever the provider understands the question; that it is counted is checked on its own.
    """
    body, query = sent_call.body, urlsplit(asked.path).query
    if sent_call.method != asked.method or query not in urlsplit(sent_call.url).query:
        return [f"upstream: {sent_call.method} {sent_call.url} instead of {asked.method} {asked.path}"]
    if play.wants_usage:
        expected = asked.body.replace(msgspec.json.encode(asked.slug), msgspec.json.encode(asked.model), 1)
        if asked.rests_on is not None:
            expected = expected.replace(msgspec.json.encode(asked.rests_on), msgspec.json.encode(play.rests_on), 1)
        if body == expected:
            return []
    said = {**play.asked, "model": asked.model}
    sent = decoded(body)
    without = play.provider in _WITHOUT_OPTIONS and "stream_options" in play.asked
    if without:
        del said["stream_options"]
    elif not play.wants_usage and "stream_options" in sent:
        said["stream_options"] = {**(play.asked.get("stream_options") or {}), "include_usage": True}
    found = bodies.differences(said, sent, "upstream")
    if not found and play.wants_usage and not without:
        found.append("upstream: the same JSON, but not the client's bytes")
    return found


_WITHOUT_OPTIONS = frozenset({"mistral", "perplexity"})
"""Providers that refuse `stream_options`, and tell usage unasked."""


# -- at the client ---------------------------------------------------------------------------------------------------


_NamesDiffer = Callable[[Sequence[str], Sequence[str]], list[str]]


def _names(way: Way, play: Play, asked: Question, own: Sequence[str], told: Sequence[str]) -> list[str]:
    """Each answer has a name of the gateway's, and what the call rests on that which the client gave."""
    if len(own) != len(told):
        return [f"the names {list(told)} for {list(own)}"]
    found: list[str] = []
    for wanted, got in zip(own, told, strict=True):
        if got == wanted or (wanted == play.rests_on and got != asked.rests_on):
            found.append(f"the client is told {got} for {wanted}")
        elif not way.leads(got, wanted):
            found.append(f"{got} does not lead to {wanted}")
    return found


def _passed_answer(play: Play, reply: Reply, slug: str, names: _NamesDiffer) -> list[str]:
    recorded, passing = play.recorded, play.client.passing[play.surface]
    if recorded.status == 200 and streamed(recorded):
        return _passed_stream(play, passing, reply, slug, names)
    if codes := play.said.failed:
        return _failed(reply, play, slug, codes)
    if reply.status != 200:
        return [f"{reply.status} {reply.body[:300]!r} instead of a success"]
    expected = passing.renamed(decoded(recorded.response_body), slug)
    try:
        got = decoded(reply.body)
    except ValueError as error:
        return [f"the answer is no JSON object: {error}"]
    found = names(passing.names(expected), passing.names(got))
    return found + bodies.differences(passing.same(expected), passing.same(got), "answer")


def _billed(usage: Usage | None, expected: Tokens | None) -> list[str]:
    """Whether what is billed of an answer is what its provider said."""
    if usage is None or expected is None:
        return [] if usage is None and expected is None else [f"billed by {usage} instead of {expected}"]
    got = Tokens(
        input=usage.total_input,
        output=usage.output,
        cached=usage.cache_read,
        written=usage.cache_write + usage.cache_write_1h,
        reasoning=usage.reasoning,
    )
    return [] if got == expected else [f"billed by {got} instead of {expected}"]


def _failed(reply: Reply, play: Play, slug: str, codes: frozenset[Code]) -> list[str]:
    try:
        got = play.client.read(reply, asking(play, slug))
    except Broken as broken:
        return [str(broken)]
    return told.differences(Told(failed=codes), got)


def _passed_stream(play: Play, passing: Passing, reply: Reply, slug: str, names: _NamesDiffer) -> list[str]:
    """The same events in the same order with one end; where the provider failed, one error instead of an end."""
    recorded = frames(play.recorded.response_body)
    broken = passing.failure(recorded)
    if broken is None:
        # What follows the end is nobody's any more.
        place, codes = next(at for at, one in enumerate(recorded, 1) if passing.ends(one)), frozenset[Code]()
    else:
        place, codes = broken
    expected = [one for frame in recorded[:place] if (one := _passed_frame(frame, play, passing, slug)) is not None]
    if codes and not expected:
        return _failed(reply, play, slug, codes)
    if reply.status != 200 or not reply.content_type.startswith("text/event-stream"):
        return [f"{reply.status} {reply.content_type} {reply.body[:300]!r} instead of a stream"]
    if not reply.body.endswith((b"\n\n", b"\r\n\r\n")):
        return ["the last frame is not whole"]
    got = frames(reply.body)
    found: list[str] = []
    if codes:
        found += _told_failure(got.pop(), codes)
    ends = [number for number, frame in enumerate(got) if passing.ends(frame)]
    if ends != ([] if codes else [len(got) - 1]):
        found.append(f"ends at {ends} of {len(got)} events")
    if len(got) != len(expected):
        found.append(f"{len(got)} events instead of {len(expected)}")
    for number, (wanted, frame) in enumerate(zip(expected, got, strict=False)):
        found += _same_frame(wanted, frame, passing, f"event {number}")
        if wanted.data.startswith("{") and frame.data.startswith("{"):
            found += names(passing.names(wanted.json), passing.names(frame.json))
    return found


def _same_frame(wanted: Frame, got: Frame, passing: Passing, where: str) -> list[str]:
    if wanted.event != got.event:
        return [f"{where} is named {got.event} instead of {wanted.event}"]
    if not (wanted.data.startswith("{") and got.data.startswith("{")):
        return [] if wanted.data == got.data else [f"{where}: {got.data[:200]!r} instead of {wanted.data[:200]!r}"]
    return bodies.differences(passing.same(wanted.json), passing.same(got.json), where)


def _passed_frame(frame: Frame, play: Play, passing: Passing, slug: str) -> Frame | None:
    """The event as the client has to get it; None for one that only has usage nobody asked for."""
    if not frame.data.startswith("{"):
        return frame
    said = passing.renamed(frame.json, slug)
    if not play.wants_usage:
        usage = said.pop("usage", None)
        if usage is not None and not said["choices"]:
            return None
    return Frame(frame.event, json.dumps(said))


def _told_failure(last: Frame, codes: frozenset[Code]) -> list[str]:
    said = last.json if last.data.startswith("{") else {}
    error = said.get("error", said)
    code = error.get("code") if is_object(error) else None
    return [] if code in codes else [f"the failure is {code} instead of {' or '.join(sorted(codes))}"]


def _conclude(play: Play, found: list[str]) -> None:
    if found:
        raise AssertionError("\n  ".join([f"{play}:", *found]))
