"""The claims themselves: each plays one exchange and raises AssertionError with every difference in words."""

import json
import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from scaigrid.errors import Code
from scaigrid.types import Usage
from tests.conformance import bodies, cuts, provider_openai, told
from tests.conformance.plans import Embedded, Passed, Plan, Translated
from tests.conformance.told import Broken, Reply, Told
from tests.conformance.ways import KEY, Played, Question, Way, question
from tests.conformance.wire import DONE, Frame, decoded, frames, inner
from tests.harness.recordings import Recorded


def pieces(plan: Plan) -> Sequence[bytes]:
    """How the recorded body comes in: a stream in pieces, a plain answer in one."""
    body = plan.recorded.response_body
    return cuts.over_http(body, str(plan.recorded)) if provider_openai.streams(plan.recorded) else cuts.whole(body)


def passes_through(way: Way, plan: Passed, cut: Sequence[bytes] | None = None) -> None:
    """The provider is asked what the client asked, and the client gets what the provider answered."""
    slug = way.slug(plan.provider, plan.recorded.request_json["model"])
    asked = question(plan.path, plan.asked, plan.recorded, plan.provider, slug)
    played = way.play(asked, plan.recorded, pieces(plan) if cut is None else cut)
    found = _upstream(played, plan)
    if played.sent is not None:
        found += _same_call(asked, played.sent.body, plan)
    found += _passed_answer(plan, played.reply, slug)
    if played.usage is not msgspec.UNSET and not provider_openai.fails(plan.recorded):
        found += _billed(played.usage, plan)
    _conclude(plan, found)


def translates(way: Way, plan: Translated, cut: Sequence[bytes] | None = None) -> Reply:
    """The provider is asked the same in its own words, and the client is told the same in its own."""
    slug = way.slug(plan.provider, plan.recorded.request_json["model"])
    asked = question(plan.path, plan.asked, plan.recorded, plan.provider, slug)
    played = way.play(asked, plan.recorded, pieces(plan) if cut is None else cut)
    found = _upstream(played, plan)
    if played.sent is not None and plan.body is not None:
        found += bodies.differences(plan.body, plan.normal(decoded(played.sent.body)), "upstream")
    try:
        got = told.read(played.reply, plan.dialect, slug, stream=plan.stream)
    except Broken as broken:
        found.append(str(broken))
    else:
        found += told.differences(plan.expected, got)
    _conclude(plan, found)
    return played.reply


def embeds(way: Way, plan: Embedded) -> None:
    """The provider is asked for the same vectors, and the client gets them as numbers."""
    slug = way.slug(plan.provider, plan.recorded.request_json["model"])
    asked = question(plan.path, plan.asked, plan.recorded, plan.provider, slug)
    played = way.play(asked, plan.recorded, pieces(plan))
    found = _upstream(played, plan)
    if played.sent is not None:
        found += bodies.differences(plan.body, bodies.embeddings(decoded(played.sent.body)), "upstream")
    recorded = plan.recorded
    if codes := provider_openai.fails(recorded):
        found += _failed(played.reply, plan, slug, codes)
    else:
        found += _same_vectors(recorded, decoded(played.reply.body))
    _conclude(plan, found)


def _same_vectors(recorded: Recorded, reply: dict[str, Any]) -> list[str]:
    if reply.get("status") != "ok":
        return [f"{reply} instead of a success"]
    data = reply["data"]
    if [one["index"] for one in data["data"]] != list(range(len(data["data"]))):
        return ["the vectors are not in the order of their inputs"]
    expected, got = provider_openai.vectors(recorded), [one["embedding"] for one in data["data"]]
    if list(map(len, expected)) != list(map(len, got)):
        return [f"{list(map(len, got))} numbers instead of {list(map(len, expected))}"]
    near = all(
        math.isclose(left, right, rel_tol=_FLOAT32)
        for one, other in zip(expected, got, strict=True)
        for left, right in zip(one, other, strict=True)
    )
    usage = provider_openai.tokens(decoded(recorded.response_body)["usage"])
    right = usage is not None and data["usage"]["input_tokens"] == usage.input
    return ([] if near else ["other numbers"]) + ([] if right else [f"usage: {data['usage']} instead of {usage}"])


_FLOAT32 = 1e-6
"""What is left of a number that is written as the shortest text for its 32 bits."""


def carries_state(way: Way, plan: Translated) -> None:
    """What the provider wants back of its answer reaches it unchanged in the next turn of the conversation."""
    reply = translates(way, plan)
    message = _message(reply, plan)
    turn = {**plan.asked, "messages": [*plan.asked["messages"], message, *_goes_on(message)]}
    slug = way.slug(plan.provider, plan.recorded.request_json["model"])
    asked = question(plan.path, turn, plan.recorded, plan.provider, slug)
    played = way.play(asked, plan.recorded, pieces(plan))
    if played.sent is None:
        raise AssertionError(f"{plan}: the next turn was refused: {played.reply.body[:300]!r}")
    last = [one for one in decoded(played.sent.body)["messages"] if one["role"] == "assistant"][-1]
    wanted = [
        {"type": "redacted_thinking", "data": thought.redacted}
        if thought.redacted is not None
        else {"type": "thinking", "thinking": thought.text, "signature": thought.signature}
        for thought in plan.expected.choices[0].thoughts
    ]
    _conclude(plan, bodies.differences(wanted, last["content"][: len(wanted)], "the next turn's thinking"))


def _message(reply: Reply, plan: Plan) -> dict[str, Any]:
    """The answer as a client sends it back."""
    if not plan.stream:
        body = decoded(reply.body)
        message: dict[str, Any] = body.get("data", body)["choices"][0]["message"]
        return {name: value for name, value in message.items() if value is not None}
    deltas = [one["delta"] for frame in frames(reply.body) if frame.data != DONE for one in frame.json["choices"]]
    choice = told.read(reply, plan.dialect, frames(reply.body)[0].json["model"], stream=True).choices[0]
    state = next(delta["provider_state"] for delta in deltas if "provider_state" in delta)
    calls = [
        {"id": one.id, "type": "function", "function": {"name": one.name, "arguments": json.dumps(one.arguments)}}
        for one in choice.tools
    ]
    said = {"role": "assistant", "content": choice.text, "provider_state": state}
    return {**said, "tool_calls": calls} if calls else said


def _goes_on(message: dict[str, Any]) -> list[dict[str, Any]]:
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in message.get("tool_calls") or ()
    ]
    return results or [{"role": "user", "content": "Go on."}]


# -- upstream --------------------------------------------------------------------------------------------------------


def _upstream(played: Played, plan: Plan) -> list[str]:
    sent = played.sent
    if sent is None:
        return [f"no provider was asked; the client was told {played.reply.body[:300].decode('utf-8', 'replace')}"]
    found: list[str] = []
    if not urlsplit(sent.url).path.endswith(plan.upstream):
        found.append(f"the provider was asked at {sent.url} instead of {plan.upstream}")
    key = sent.headers.get("x-api-key") if plan.provider == "anthropic" else sent.headers.get("authorization")
    if key != (KEY if plan.provider == "anthropic" else f"Bearer {KEY}"):
        found.append("the provider's key was not sent where the provider wants it")
    if any("sgk_" in value for value in sent.headers.values()):
        found.append("the client's own key went to the provider")
    if plan.provider == "anthropic" and "anthropic-version" not in sent.headers:
        found.append("no anthropic-version was sent")
    return found


def _same_call(asked: Question, body: bytes, plan: Passed) -> list[str]:
    """The body as the client wrote it, to the byte; but for the model, and for the usage of a stream."""
    if not plan.stream or plan.wants_usage:
        expected = asked.body.replace(msgspec.json.encode(asked.slug), msgspec.json.encode(asked.model), 1)
        if body == expected:
            return []
    said = {**plan.asked, "model": asked.model}
    if plan.stream:
        said["stream_options"] = {**(plan.asked.get("stream_options") or {}), "include_usage": True}
    found = bodies.differences(said, decoded(body), "upstream")
    if not found and (not plan.stream or plan.wants_usage):
        found.append("upstream: the same JSON, but not the client's bytes")
    return found


# -- at the client ---------------------------------------------------------------------------------------------------


def _passed_answer(plan: Passed, reply: Reply, slug: str) -> list[str]:
    recorded = plan.recorded
    if recorded.status == 200 and provider_openai.streams(recorded):
        return _passed_stream(plan, reply, slug)
    if codes := provider_openai.fails(recorded):
        return _failed(reply, plan, slug, codes)
    if reply.status != 200:
        return [f"{reply.status} {reply.body[:300]!r} instead of a success"]
    body = decoded(recorded.response_body)
    return bodies.differences({**body, "model": slug} if "model" in body else body, decoded(reply.body), "answer")


def _billed(usage: Usage | None, plan: Passed) -> list[str]:
    """Whether what is billed of a passed answer is what its provider said."""
    expected = provider_openai.usage(plan.recorded)
    if usage is None or expected is None:
        return [] if usage is None and expected is None else [f"billed by {usage} instead of {expected}"]
    written = usage.cache_write + usage.cache_write_1h
    got = told.Tokens(
        input=usage.total_input,
        output=usage.output,
        cached=usage.cache_read,
        written=written,
        reasoning=usage.reasoning,
    )
    return [] if got == expected else [f"billed by {got} instead of {expected}"]


def _failed(reply: Reply, plan: Plan, slug: str, codes: frozenset[Code]) -> list[str]:
    try:
        got = told.read(reply, plan.dialect, slug, stream=plan.stream)
    except Broken as broken:
        return [str(broken)]
    return told.differences(Told(failed=codes), got)


def _passed_stream(plan: Passed, reply: Reply, slug: str) -> list[str]:
    """The same events in the same order with one end; where the provider failed, one error instead of an end."""
    recorded = frames(plan.recorded.response_body)
    broken = provider_openai.failure(recorded)
    place, codes = broken if broken is not None else (len(recorded) - 1, frozenset[Code]())
    expected = [one for frame in recorded[:place] if (one := _passed_frame(frame, plan, slug)) is not None]
    if codes and not expected:
        return _failed(reply, plan, slug, codes)
    if reply.status != 200 or not reply.content_type.startswith("text/event-stream"):
        return [f"{reply.status} {reply.content_type} {reply.body[:300]!r} instead of a stream"]
    if not reply.body.endswith((b"\n\n", b"\r\n\r\n")):
        return ["the last frame is not whole"]
    *got, last = frames(reply.body)
    found = _end(last, codes)
    if len(got) != len(expected):
        found.append(f"{len(got)} events instead of {len(expected)}")
    for number, (wanted, frame) in enumerate(zip(expected, got, strict=False)):
        if frame.data == DONE:
            found.append(f"event {number} is an end in the middle")
        else:
            found += bodies.differences(wanted, frame.json, f"event {number}")
    return found


def _passed_frame(frame: Frame, plan: Passed, slug: str) -> dict[str, Any] | None:
    """The event as the client has to get it; None for one that only has usage nobody asked for."""
    said = frame.json
    if "model" in said:
        said["model"] = slug
    if not plan.wants_usage:
        usage = said.pop("usage", None)
        if usage is not None and not said["choices"]:
            return None
    return said


def _end(last: Frame, codes: frozenset[Code]) -> list[str]:
    if not codes:
        return [] if last.data == DONE else [f"the last event is {last.data[:200]!r} instead of the end"]
    if last.data == DONE:
        return ["a failure that ends like a success"]
    code = inner(last.json, "error").get("code")
    return [] if code in codes else [f"the failure is {code} instead of {' or '.join(sorted(codes))}"]


def _conclude(plan: Plan, found: list[str]) -> None:
    if found:
        raise AssertionError("\n  ".join([f"{plan}:", *found]))
