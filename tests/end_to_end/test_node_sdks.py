"""Unpatched clients for JavaScript work by changing the address and the key, whichever provider answers."""

import os
from typing import Any, Final

import pytest

from tests.harness import behaviours, node, responses
from tests.harness.behaviours import Then, answer, stream
from tests.harness.lanes import Lane
from tests.harness.provider import Behaviour, Endpoint

OPENAI: Final = "openai_chat.mjs"
RESPONSES: Final = "openai_responses.mjs"
ANTHROPIC: Final = "anthropic_messages.mjs"
DELFT: Final = {"place": "Delft"}
BOTH: Final = pytest.mark.parametrize("word", ["openai", "anthropic"])


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    """Skips where node or its packages cannot be had; in CI they can."""
    try:
        node.installed()
    except node.NoNode as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))


def told(lane: Lane, script: str, scenario: str, word: str) -> Any:
    return node.told(script, scenario, GATEWAY=lane.gateway.url, KEY=lane.key, MODEL=lane.model(word))


def endpoint(lane: Lane, word: str) -> Endpoint:
    return lane.anthropic if word == "anthropic" else lane.openai


def plain(word: str, text: str) -> Behaviour:
    make = behaviours.anthropic_message if word == "anthropic" else behaviours.completion
    return answer(make(text, tokens=(11, 4)))


def frames(word: str, *texts: str) -> list[bytes]:
    make = behaviours.anthropic_frames if word == "anthropic" else behaviours.openai_frames
    return make(*texts, tokens=(11, 4))


def called(word: str) -> Behaviour:
    if word == "anthropic":
        uses = [behaviours.tool_use("weather", DELFT)]
        return answer(behaviours.anthropic_message(None, tool_uses=uses, stop="tool_use"))
    calls = [behaviours.tool_call("weather", '{"place": "Delft"}')]
    return answer(behaviours.completion(None, tool_calls=calls, finish="tool_calls"))


def called_frames(word: str) -> list[bytes]:
    make = behaviours.anthropic_tool_frames if word == "anthropic" else behaviours.openai_tool_frames
    return make("weather", ['{"pla', 'ce": "De', 'lft"}'])


# -- OpenAI: chat completions ----------------------------------------------------------------------------------------


@BOTH
def test_openai_a_chat_is_answered(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(plain(word, "It rains."))
    got = told(lane, OPENAI, "plain", word)
    assert (got["model"], got["content"]) == (lane.model(word), "It rains.")
    assert (got["usage"]["prompt_tokens"], got["usage"]["completion_tokens"]) == (11, 4)
    assert got["id"].startswith("req_")


@BOTH
def test_openai_a_stream_is_answered(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(stream(*frames(word, "It ", "rains.")))
    got = told(lane, OPENAI, "streamed", word)
    assert got["texts"] == ["It ", "rains."]
    assert got["usage"]["total_tokens"] == 15


@BOTH
def test_openai_the_stream_helper_puts_the_answer_together(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(stream(*frames(word, "It ", "rains.")))
    assert told(lane, OPENAI, "helper", word) == {
        "texts": ["It ", "rains."],
        "content": "It rains.",
        "model": lane.model(word),
    }


@BOTH
def test_openai_tools_are_run(lane: Lane, word: str) -> None:
    asked = endpoint(lane, word).then(called(word), plain(word, "It rains in Delft."))
    assert told(lane, OPENAI, "tools", word) == {"asked": [DELFT], "content": "It rains in Delft."}
    asked.seen()
    assert b"rain" in asked.seen().body


@BOTH
def test_openai_tools_are_run_while_streaming(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(stream(*called_frames(word)), stream(*frames(word, "It ", "rains.")))
    assert told(lane, OPENAI, "streamedTools", word) == {"asked": [DELFT], "content": "It rains."}


@BOTH
def test_openai_structured_output_is_parsed(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(plain(word, '{"place": "Delft"}'))
    assert told(lane, OPENAI, "parsed", word) == {"content": DELFT}


@BOTH
def test_openai_a_failure_in_a_stream_is_an_error(lane: Lane, word: str) -> None:
    sent = frames(word, "It ", "rains.")
    second = next(place for place, frame in enumerate(sent) if b"rains." in frame)
    endpoint(lane, word).then(stream(*sent[:second], Then.CLOSE))
    assert told(lane, OPENAI, "broken", word) == {"texts": ["It "], "code": "BACKEND_ERROR", "api": True}


@BOTH
def test_openai_a_refusal_is_an_error(lane: Lane, word: str) -> None:
    make = behaviours.anthropic_error if word == "anthropic" else None
    text = "temperature: must be at most 1"
    body = make("invalid_request_error", text) if make else behaviours.openai_error(text)
    endpoint(lane, word).then(answer(body, status=400))
    error = told(lane, OPENAI, "refused", word)["error"]
    assert (error["kind"], error["status"], error["code"]) == ("UnprocessableEntityError", 422, "VALIDATION_ERROR")
    assert error["requestID"].startswith("req_")


# -- OpenAI: responses -----------------------------------------------------------------------------------------------


def responded(word: str, text: str) -> Behaviour:
    if word == "anthropic":
        return plain(word, text)
    return answer(responses.response(responses.message(text), usage=responses.usage(11, 4)))


def response_frames(word: str, *texts: str) -> list[bytes]:
    return frames(word, *texts) if word == "anthropic" else responses.frames(*texts, usage=responses.usage(11, 4))


@BOTH
def test_openai_a_response_is_made(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(responded(word, "It rains."))
    got = told(lane, RESPONSES, "plain", word)
    assert (got["model"], got["text"], got["status"]) == (lane.model(word), "It rains.", "completed")
    assert (got["usage"]["input_tokens"], got["usage"]["output_tokens"]) == (11, 4)


@BOTH
def test_openai_a_response_is_streamed(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(stream(*response_frames(word, "It ", "rains.")))
    got = told(lane, RESPONSES, "streamed", word)
    assert (got["texts"], got["model"], got["usage"]["total_tokens"]) == (["It ", "rains."], lane.model(word), 15)
    wanted = {"response.created", "response.output_item.added", "response.output_text.done", "response.completed"}
    assert wanted <= set(got["kinds"])


@BOTH
def test_openai_the_stream_helper_puts_the_response_together(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(stream(*response_frames(word, "It ", "rains.")))
    assert told(lane, RESPONSES, "helper", word) == {"texts": ["It ", "rains."], "text": "It rains."}


# -- Anthropic -------------------------------------------------------------------------------------------------------


@BOTH
def test_anthropic_a_message_is_answered(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(plain(word, "It rains."))
    got = told(lane, ANTHROPIC, "plain", word)
    assert (got["model"], got["text"], got["reason"]) == (lane.model(word), "It rains.", "end_turn")
    assert (got["usage"]["input_tokens"], got["usage"]["output_tokens"]) == (11, 4)


@BOTH
def test_anthropic_the_events_come_in_their_order(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(stream(*frames(word, "It ", "rains.")))
    deltas = ["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"]
    assert told(lane, ANTHROPIC, "streamed", word) == {
        "kinds": ["message_start", *deltas, "message_delta", "message_stop"]
    }


@BOTH
def test_anthropic_the_stream_helper_puts_the_message_together(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(stream(*frames(word, "It ", "rains.")))
    got = told(lane, ANTHROPIC, "helper", word)
    assert (got["texts"], got["text"], got["model"]) == (["It ", "rains."], "It rains.", lane.model(word))
    assert (got["usage"]["input_tokens"], got["usage"]["output_tokens"]) == (11, 4)


@BOTH
def test_anthropic_a_tool_is_called_and_its_result_taken(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(called(word), plain(word, "It rains in Delft."))
    assert told(lane, ANTHROPIC, "tools", word) == {
        "name": "weather",
        "input": DELFT,
        "reason": "tool_use",
        "text": "It rains in Delft.",
    }


@BOTH
def test_anthropic_a_streamed_call_comes_in_pieces(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(stream(*called_frames(word)))
    pieces = ['{"pla', 'ce": "De', 'lft"}']
    assert told(lane, ANTHROPIC, "streamedTools", word) == {"pieces": pieces, "name": "weather", "input": DELFT}


def test_anthropic_the_runner_runs_tools(lane: Lane) -> None:
    """By the provider's own protocol: the runner says `thread`, which nobody else has a word for."""
    lane.anthropic.then(called("anthropic"), plain("anthropic", "It rains in Delft."))
    told_by = told(lane, ANTHROPIC, "runner", "anthropic")
    assert told_by == {"given": [DELFT], "text": "It rains in Delft."}


def test_anthropic_tokens_are_counted(lane: Lane) -> None:
    lane.anthropic.then(answer({"input_tokens": 17}))
    assert told(lane, ANTHROPIC, "counted", "anthropic") == {"input_tokens": 17}


@BOTH
def test_anthropic_a_refusal_is_an_error(lane: Lane, word: str) -> None:
    text = "temperature: must be at most 1"
    anthropic = behaviours.anthropic_error("invalid_request_error", text)
    body = anthropic if word == "anthropic" else behaviours.openai_error(text)
    endpoint(lane, word).then(answer(body, status=400))
    error = told(lane, ANTHROPIC, "refused", word)["error"]
    assert (error["kind"], error["requestID"][:4]) == ("UnprocessableEntityError", "req_")
    assert "temperature" in error["message"]
