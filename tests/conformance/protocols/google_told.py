"""What a recorded answer of Gemini says, and the same answer as a stream where it was recorded whole."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from scaigrid.errors import Code
from tests.conformance import refusals
from tests.conformance.cases import NotRun
from tests.conformance.streaming import cut, streamed
from tests.conformance.told import Called, Choice, Cited, Thought, Tokens, Told
from tests.conformance.wire import decoded, frames, inner
from tests.harness.recordings import Recorded

_FINISHES: Final[Mapping[str, str]] = {"STOP": "stop", "MAX_TOKENS": "length"}
_FILTERED: Final = re.compile(r"SAFETY|RECITATION|LANGUAGE|BLOCKLIST|PROHIBITED_CONTENT|SPII|MODEL_ARMOR")
_FAILED: Final = re.compile(r"MALFORMED|UNEXPECTED_TOOL_CALL|TOO_MANY_TOOL_CALLS")
_OPERATORS: Final = re.compile(r"API.key|FAILED_PRECONDITION", re.IGNORECASE)
_TOO_LONG: Final = re.compile(r"token count .* exceeds")


class _Gathered(msgspec.Struct):
    """A candidate, put together from all of its chunks."""

    parts: list[dict[str, Any]] = []
    finish: str | None = None
    grounding: list[dict[str, Any]] = []
    quoted: list[dict[str, Any]] = []
    tokens: list[tuple[str, float]] = []


def told(recorded: Recorded) -> Told:
    """What the recorded answer says to any client."""
    text = recorded.response_body.decode()
    if recorded.status != 200:
        return Told(failed=_refused(recorded.status, text))
    if streamed(recorded):
        return _told([frame.json for frame in frames(recorded.response_body)])
    body = decoded(text)
    if "totalTokens" in body:
        return Told(counted=body["totalTokens"])
    if vectors := _vectors(body):
        return Told(vectors=vectors, tokens=tokens(body.get("usageMetadata")))
    return _told([body])


def _refused(status: int | None, text: str) -> frozenset[Code]:
    if _OPERATORS.search(text):
        return frozenset({Code.BACKEND_ERROR})
    if _TOO_LONG.search(text):
        return frozenset({Code.CONTEXT_TOO_LONG})
    return refusals.codes(status, text)


def _told(answers: Sequence[dict[str, Any]]) -> Told:
    gathered: dict[int, _Gathered] = {}
    usage: Tokens | None = None
    failed: frozenset[Code] = frozenset()
    for answer in answers:
        if "error" in answer:
            failed = _refused(None, json.dumps(answer))
            break
        if "blockReason" in inner(answer, "promptFeedback"):
            failed = frozenset({Code.CONTENT_REFUSED})
            break
        for place, candidate in enumerate(answer.get("candidates", ())):
            _add(gathered.setdefault(candidate.get("index", place), _Gathered()), candidate)
        usage = tokens(answer.get("usageMetadata")) or usage
    if any(one.finish and _FAILED.search(one.finish) for one in gathered.values()):
        failed = failed or frozenset({Code.BACKEND_ERROR})
    if not failed and not (gathered and all(one.finish for one in gathered.values())):
        failed = refusals.BROKEN
    answer_id = next((answer["responseId"] for answer in answers if "responseId" in answer), "")
    choices = {index: _choice(one, answer_id, index, failed=bool(failed)) for index, one in gathered.items()}
    return Told(choices=choices, tokens=None if failed else usage, failed=failed)


def _add(one: _Gathered, candidate: dict[str, Any]) -> None:
    one.parts += inner(candidate, "content").get("parts", [])
    one.finish = candidate.get("finishReason") or one.finish
    one.grounding += [candidate["groundingMetadata"]] if candidate.get("groundingMetadata") else []
    one.quoted += inner(candidate, "citationMetadata").get("citationSources", [])
    chosen = inner(candidate, "logprobsResult").get("chosenCandidates", ())
    one.tokens += [(token["token"], token.get("logProbability", 0.0)) for token in chosen]


def _choice(one: _Gathered, answer_id: str, index: int, *, failed: bool) -> Choice:
    choice = Choice(tokens=one.tokens)
    kept = _Kept()
    for part in one.parts:
        signature = part.get("thoughtSignature")
        if "functionCall" in part:
            call = part["functionCall"]
            made = f"call_{answer_id}_{index}_{len(choice.tools)}"
            choice.tools.append(Called(call.get("id"), call["name"], call.get("args", {})))
            kept.signature(signature, signs="call", call_id=call.get("id") or made)
        elif part.get("thought"):
            choice.reasoning += part["text"]
            kept.thought(part["text"], signature=signature)
        elif "text" in part or part.keys() <= {"thoughtSignature"}:
            choice.text += part.get("text", "")
            kept.signature(signature, signs="text")
        else:
            kept.thought("", redacted=json.dumps(part, ensure_ascii=False, separators=(",", ":")))
    choice.thoughts = kept.all()
    if failed:
        return choice
    choice.citations = list(dict.fromkeys(_cited(one, choice.text)))
    choice.finish = _finish(one.finish or "", calls=bool(choice.tools))
    return choice


def _finish(reason: str, *, calls: bool) -> str:
    found = "content_filter" if _FILTERED.search(reason) else _FINISHES.get(reason, "stop")
    return "tool_calls" if calls and found == "stop" else found


class _Kept:
    """What has to come back: thoughts up to a signature are one, what is signed beside them stands for itself."""

    def __init__(self) -> None:
        self._found: list[Thought] = []
        self._open = ""

    def thought(self, text: str, signature: str | None = None, redacted: str | None = None) -> None:
        self._open += text
        if signature or redacted:
            self._found.append(Thought(self._open, signature=signature, redacted=redacted))
            self._open = ""

    def signature(self, signature: str | None, *, signs: Any, call_id: str | None = None) -> None:
        if signature:
            self._flush()
            self._found.append(Thought(signature=signature, signs=signs, call_id=call_id))

    def all(self) -> list[Thought]:
        self._flush()
        return [one for one in self._found if one.opaque]

    def _flush(self) -> None:
        if self._open:
            self._found.append(Thought(self._open))
            self._open = ""


def _cited(one: _Gathered, text: str) -> Iterator[Cited]:
    for metadata in one.grounding:
        chunks = metadata.get("groundingChunks", [])
        used: set[int] = set()
        for support in metadata.get("groundingSupports", ()):
            start, end = _place(support["segment"], text)
            for number in support.get("groundingChunkIndices", ()):
                used.add(number)
                yield _source(chunks[number], start, end)
        yield from (_source(chunk, None, None) for number, chunk in enumerate(chunks) if number not in used)
    for source in one.quoted:
        start, end = _place(source, text)
        yield Cited(url=source.get("uri"), title=source.get("title"), start=start, end=end)


def _place(segment: dict[str, Any], text: str) -> tuple[int | None, int | None]:
    """Bytes as characters; by its text where that stands elsewhere."""
    ahead = text.encode()[: segment.get("startIndex", 0)].decode("utf-8", "ignore")
    found = text.encode()[len(ahead.encode()) : segment["endIndex"]].decode("utf-8", "ignore")
    if found == segment.get("text", found):
        return len(ahead), len(ahead) + len(found)
    place = text.find(segment["text"])
    return (place, place + len(segment["text"])) if place >= 0 else (None, None)


def _source(chunk: dict[str, Any], start: int | None, end: int | None) -> Cited:
    (source,) = chunk.values()
    return Cited(
        url=source.get("uri"),
        title=source.get("title"),
        quote=source.get("text"),
        file_id=source.get("documentName"),
        start=start,
        end=end,
    )


def tokens(usage: dict[str, Any] | None) -> Tokens | None:
    """The classes of `usageMetadata`; None where it counts nothing."""
    if not usage or "promptTokenCount" not in usage:
        return None
    reasoning = usage.get("thoughtsTokenCount", 0)
    return Tokens(
        input=usage["promptTokenCount"] + usage.get("toolUsePromptTokenCount", 0),
        output=usage.get("candidatesTokenCount", 0) + reasoning,
        cached=usage.get("cachedContentTokenCount", 0),
        reasoning=reasoning,
    )


def _vectors(body: dict[str, Any]) -> list[list[float]]:
    found = [body["embedding"]] if "embedding" in body else body.get("embeddings", [])
    return [one["values"] for one in found]


# -- a whole answer, streamed ----------------------------------------------------------------------------------------


def as_stream(recorded: Recorded) -> Recorded:
    """The same exchange, had its client asked for a stream. Raises NotRun."""
    if recorded.status != 200 or streamed(recorded) or ":generateContent" not in recorded.uri:
        raise NotRun("a stream already, or no answer")
    chunks = _chunks(decoded(recorded.response_body))
    text = "".join(f"data: {json.dumps(one, ensure_ascii=False)}\n\n" for one in chunks)
    return msgspec.structs.replace(
        recorded,
        uri=recorded.uri.replace(":generateContent", ":streamGenerateContent") + "?alt=sse",
        response_headers=(("content-type", "text/event-stream"),),
        response_body=text.encode(),
    )


def _chunks(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Text in pieces, what signs it behind it; everything else of a candidate with its end."""
    head = {name: value for name, value in answer.items() if name not in ("candidates", "usageMetadata")}
    if "candidates" not in answer:
        yield answer
        return
    for place, candidate in enumerate(answer["candidates"]):
        at = {"index": candidate.get("index", place)}
        for part in inner(candidate, "content").get("parts", ()):
            for piece in _pieces(part):
                content = {"parts": [piece], "role": "model"}
                yield {**head, "candidates": [{"content": content, **at}], "usageMetadata": {"trafficType": "x"}}
        last = {name: value for name, value in candidate.items() if name != "content"}
        end = {"content": {"parts": [{"text": ""}], "role": "model"}, **last, **at}
        yield {**head, "candidates": [end], "usageMetadata": answer.get("usageMetadata", {})}


def _pieces(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "text" not in part:
        yield part
        return
    rest = {name: value for name, value in part.items() if name not in ("text", "thoughtSignature")}
    yield from ({"text": piece, **rest} for piece in cut(part["text"]))
    if "thoughtSignature" in part:
        yield {"text": "", **rest, "thoughtSignature": part["thoughtSignature"]}
