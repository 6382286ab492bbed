"""OpenAI's Responses API, as its clients write and read it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from scaigrid import provider_state
from scaigrid.errors import Code
from tests.conformance import refusals
from tests.conformance.cases import NotRun
from tests.conformance.client import Asking, Client, Passing
from tests.conformance.dialects import reading, responses_write
from tests.conformance.dialects.responses_stream import put_together
from tests.conformance.dialects.responses_write import PREFIX
from tests.conformance.told import Called, Choice, Cited, Reply, Thought, Tokens, Told
from tests.conformance.wire import Frame, decoded, frames, inner, is_object

_PATHS: Final = {"chat": "/oai/v1/responses", "count_tokens": "/oai/v1/responses/input_tokens"}
_INCOMPLETE: Final = {"max_output_tokens": "length", "content_filter": "content_filter"}


def write(operation: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Raises NotRun for what this API has no words for."""
    match operation:
        case "chat":
            return responses_write.response(asked)
        case "count_tokens" if "provider_options" in asked:
            raise NotRun("provider_options of a count have no word in the Responses API")
        case "count_tokens":
            return {
                name: value for name, value in responses_write.response(asked).items() if name != "max_output_tokens"
            }
        case _:
            raise NotRun(f"the Responses API has no {operation}")


@reading.soundly
def read(reply: Reply, asking: Asking) -> Told:
    if reply.status != 200:
        body = decoded(reply.body)
        assert body.keys() == {"error"}, "an error that looks like a success"
        return reading.refused(reply, body["error"])
    if asking.stream:
        response, failed = put_together(reading.stream(reply))
        choices = {0: _choice(response)} if response["output"] or not failed else {}
        if failed:
            return Told(choices=choices, failed=failed)
        return Told(choices=choices, tokens=_tokens(_sound(response, asking)["usage"]))
    body = reading.plain(reply)
    if asking.operation == "count_tokens":
        return Told(counted=body["input_tokens"])
    return Told(choices={0: _choice(_sound(body, asking))}, tokens=_tokens(body["usage"]))


def _sound(response: dict[str, Any], asking: Asking) -> dict[str, Any]:
    assert response["model"] == asking.slug, response["model"]
    assert response["object"] == "response"
    assert response["id"].startswith("resp_")
    assert response["error"] is None
    assert response["status"] in ("completed", "incomplete"), response["status"]
    ids = [item["id"] for item in response["output"]]
    assert len(set(ids)) == len(ids), "two items of one id"
    return response


def _choice(response: Mapping[str, Any]) -> Choice:
    choice = Choice(finish=_finish(response))
    for item in response["output"]:
        match item["type"]:
            case "reasoning":
                choice.reasoning += "".join(one["text"] for one in item["summary"])
                choice.thoughts += _thoughts(item)
            case "function_call":
                choice.tools.append(Called(item["call_id"], item["name"], json.loads(item["arguments"] or "{}")))
            case "message":
                for part in item["content"]:
                    _part(part, choice)
            case kind:
                raise AssertionError(f"an item of type {kind}")
    return choice


def _finish(response: Mapping[str, Any]) -> str | None:
    if response["status"] == "incomplete":
        return _INCOMPLETE[response["incomplete_details"]["reason"]]
    called = any(item["type"] == "function_call" for item in response["output"])
    return {"completed": "tool_calls" if called else "stop"}.get(response["status"])


def _part(part: dict[str, Any], choice: Choice) -> None:
    if part["type"] == "refusal":
        choice.refusal += part["refusal"]
        return
    before = len(choice.text)
    choice.text += part["text"]
    choice.tokens += [(token["token"], token["logprob"]) for token in part["logprobs"]]
    choice.citations += [_cited(one, before) for one in part["annotations"]]


def _cited(note: dict[str, Any], before: int) -> Cited:
    if note["type"] == "url_citation":
        start, end = before + note["start_index"], before + note["end_index"]
        return Cited(url=note["url"], title=note["title"] or None, start=start, end=end)
    return Cited(file_id=note["file_id"] or None, title=note["filename"] or None, document=note["index"])


def _thoughts(item: dict[str, Any]) -> list[Thought]:
    sealed = item.get("encrypted_content")
    if sealed is None:
        return []
    if not sealed.startswith(PREFIX):
        return [Thought("".join(one["text"] for one in item["summary"]), signature=sealed, id=item["id"])]
    parts = provider_state.decode(sealed.removeprefix(PREFIX))
    return [
        Thought(part.text, part.signature, part.redacted, part.id, part.signs, part.call_id)
        for part in parts
        if (part.signature, part.redacted, part.id) != (None, None, None)
    ]


def _tokens(usage: dict[str, Any] | None) -> Tokens | None:
    if usage is None:
        return None
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"], "the total is not the sum"
    return reading.sound(
        Tokens(
            input=usage["input_tokens"],
            output=usage["output_tokens"],
            cached=usage["input_tokens_details"]["cached_tokens"],
            written=usage["input_tokens_details"]["cache_write_tokens"],
            reasoning=usage["output_tokens_details"]["reasoning_tokens"],
        )
    )


# -- what it has words for -------------------------------------------------------------------------------------------


def tells(told: Told, streamed: bool) -> Told:
    """An answer with calls of tools ends with them; of sources the pages have their places, files their names."""
    choices = {index: _said(choice) for index, choice in told.choices.items()}
    return msgspec.structs.replace(told, choices=choices)


def _said(choice: Choice) -> Choice:
    finish = "tool_calls" if choice.finish == "stop" and choice.tools else choice.finish
    if choice.finish == "tool_calls" and not choice.tools:
        finish = "stop"
    # What signs something else than reasoning stands in an item of its own, at the end.
    others = [one for one in choice.thoughts if one.signs != "reasoning"]
    return msgspec.structs.replace(
        choice,
        finish=finish,
        thoughts=[*(one for one in choice.thoughts if one.signs == "reasoning"), *others],
        citations=[_source(one, len(choice.text)) for one in choice.citations],
        stop_sequence=None,
    )


def _source(one: Cited, length: int) -> Cited:
    if one.url is None:
        return Cited(file_id=one.file_id, title=one.title, document=one.document or 0)
    start = 0 if one.start is None else min(one.start, length)
    end = length if one.end is None else min(one.end, length)
    return Cited(url=one.url, title=one.title, start=start, end=max(start, end))


def turn(asked: dict[str, Any], reply: Reply, streamed: bool) -> dict[str, Any]:
    response = put_together(frames(reply.body))[0] if streamed else decoded(reply.body)
    calls = [item["call_id"] for item in response["output"] if item["type"] == "function_call"]
    results = [{"type": "function_call_output", "call_id": call, "output": "done"} for call in calls]
    goes_on = results or [{"type": "message", "role": "user", "content": "Go on."}]
    given = asked["input"]
    ahead = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else given
    return {**asked, "input": [*ahead, *response["output"], *goes_on]}


# -- passed through --------------------------------------------------------------------------------------------------


def renamed(said: dict[str, Any], slug: str) -> dict[str, Any]:
    if is_object(said.get("response")):
        return {**said, "response": renamed(said["response"], slug)}
    return {**said, "model": slug} if "model" in said else said


def same(said: dict[str, Any]) -> dict[str, Any]:
    """Without the names of answers: the gateway signs its own in their place."""
    if is_object(said.get("response")):
        return {**said, "response": same(said["response"])}
    if said.get("object") != "response":
        return {name: value for name, value in said.items() if name != "response_id"}
    return {name: value for name, value in said.items() if name not in ("id", "previous_response_id")}


def names(said: dict[str, Any]) -> list[str]:
    """Of the answer and of the one that it rests on."""
    if is_object(said.get("response")):
        return names(said["response"])
    if said.get("object") != "response":
        return []
    return [said[name] for name in ("id", "previous_response_id") if said.get(name) is not None]


def ends(frame: Frame) -> bool:
    return frame.data.startswith("{") and frame.json.get("type") in ("response.completed", "response.incomplete")


def failure(found: Sequence[Frame]) -> tuple[int, frozenset[Code]] | None:
    for place, frame in enumerate(found):
        if ends(frame):
            return None
        said = frame.json
        if said.get("type") in ("error", "response.failed"):
            error = inner(said, "response").get("error") or said.get("error") or said
            return place, refusals.codes(None, json.dumps({"error": error}))
    return len(found), refusals.BROKEN


_PASSING: Final = Passing(renamed=renamed, same=same, ends=ends, failure=failure, names=names)
_ABOUT: Final = f"{_PATHS['chat']}/{{response_id}}"
_SURFACES: Final = {
    "openai/responses": _PATHS["chat"],
    "openai/input_tokens": _PATHS["count_tokens"],
    "openai/responses/retrieve": _ABOUT,
    "openai/responses/delete": _ABOUT,
    "openai/responses/cancel": f"{_ABOUT}/cancel",
    "openai/responses/input_items": f"{_ABOUT}/input_items",
}

CLIENT: Final = Client(
    name="responses",
    title="OpenAI Responses",
    surfaces=_SURFACES,
    operations=_PATHS,
    write=write,
    read=read,
    tells=tells,
    turn=turn,
    passing=dict.fromkeys(_SURFACES, _PASSING),
)
