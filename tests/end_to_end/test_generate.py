"""A prompt is answered with a text, whichever provider answers."""

import json

import pytest

from tests.harness import behaviours
from tests.harness.answers import frames
from tests.harness.behaviours import Then, answer, stream
from tests.harness.lanes import Lane
from tests.harness.provider import Endpoint

PATH = "/v1/inference/generate"
BOTH = pytest.mark.parametrize("word", ["openai", "anthropic"])


def endpoint(lane: Lane, word: str) -> Endpoint:
    return lane.anthropic if word == "anthropic" else lane.openai


@BOTH
def test_a_text_is_generated_and_billed(lane: Lane, word: str) -> None:
    make = behaviours.anthropic_message if word == "anthropic" else behaviours.completion
    asked = endpoint(lane, word).then(answer(make("It rains.", tokens=(11, 4))))
    body = {"model": lane.model(word), "prompt": "How is it?", "max_tokens": 50, "metadata": {"team": "a"}}
    told = lane.client().post(PATH, json=body).json()["data"]
    assert (told["model"], told["text"], told["finish_reason"]) == (lane.model(word), "It rains.", "stop")
    assert (told["usage"]["total_tokens"], told["cost"]) == (15, "0.000093")
    (message,) = asked.seen().json["messages"]
    assert message["role"] == "user"
    assert "How is it?" in json.dumps(message)
    (row,) = lane.usage(1)
    assert (row["operation"], row["tokens_in"], row["tokens_out"]) == ("chat", 11, 4)


@BOTH
def test_a_text_is_streamed(lane: Lane, word: str) -> None:
    make = behaviours.anthropic_frames if word == "anthropic" else behaviours.openai_frames
    endpoint(lane, word).then(stream(*make("It ", "rains.")))
    body = {"model": lane.model(word), "prompt": "How is it?", "stream": True}
    *chunks, done = frames(lane.client().post(PATH, json=body).content)
    assert done == ("message", "[DONE]")
    told = [json.loads(data) for _, data in chunks]
    assert "".join(choice["text"] for chunk in told for choice in chunk["choices"]) == "It rains."
    assert told[-1]["usage"]["total_tokens"] == 12


def test_a_stream_that_breaks_off_says_so(lane: Lane) -> None:
    first, second, *_ = behaviours.openai_frames("It ", "rains.")
    lane.openai.then(stream(first, second, Then.CLOSE))
    body = {"model": lane.model("openai"), "prompt": "How is it?", "stream": True}
    *_, (event, data), done = frames(lane.client().post(PATH, json=body).content)
    assert (event, json.loads(data)["code"], done) == ("error", "BACKEND_ERROR", ("message", "[DONE]"))
