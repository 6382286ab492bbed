"""What would become of a call, beside what becomes of it."""

import subprocess
import sys
from typing import Any

from tests.harness import behaviours
from tests.harness.behaviours import answer
from tests.harness.lanes import CHAT_URL, Lane, chat, code_of, secret

PATH = "/v1/routing/explain"
NATIVE, OPENAI, ANTHROPIC = "/v1/inference/chat", "/oai/v1/chat/completions", "/anthropic/v1/messages"
SOUND = [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]
SITUATIONS: list[tuple[str, str, dict[str, Any], str]] = [
    ("two", NATIVE, {}, ""),
    ("mixed", OPENAI, {"n": 2}, ""),
    ("free", OPENAI, {"max_tokens": 10**9}, ""),
    ("disabled", NATIVE, {}, ""),
    ("unpriced", NATIVE, {}, ""),
    ("embed", NATIVE, {}, ""),
    ("two", NATIVE, {"messages": 1}, ""),
    ("two", NATIVE, {"made_up": 1}, ""),
    ("openai", ANTHROPIC, {}, ""),
    ("openai", ANTHROPIC, {"max_tokens": 5, "top_k": 3}, ""),
    ("anthropic", OPENAI, {"n": 2}, ""),
    ("anthropic", OPENAI, {"messages": [{"role": "user", "content": SOUND}]}, ""),
    ("anthropic", NATIVE, {"seed": 3}, ""),
    ("openai", "/oai/v1/responses", {"messages": None, "input": "Hi", "previous_response_id": "resp_none"}, ""),
    ("anthropic", "/oai/v1/responses", {"messages": None, "input": "Hi", "previous_response_id": "resp_none"}, ""),
    ("two", NATIVE, {}, "barred"),
    ("two", NATIVE, {}, "poor"),
    ("two", NATIVE, {}, "confined"),
    ("two", NATIVE, {}, "expired"),
    ("two", NATIVE, {}, "suspended"),
    ("two", NATIVE, {}, "viewer"),
    ("two", NATIVE, {}, "elsewhere"),
]
"""Model, path, what the body has beside or instead of a greeting, and whose key it is."""


def test_the_call_goes_where_the_explanation_said(lane: Lane) -> None:
    told = lane.client().post(PATH, json={"model": lane.model("two")}).json()["data"]
    assert told["allowed"] is True
    assert [one["backend"] for one in told["route"]["targets"]] == [lane.backend("first"), lane.backend("second")]
    assert lane.openai.requests == []
    lane.openai.then(answer(behaviours.completion("Here.")))
    got = lane.client().post(CHAT_URL["native"], json=chat(lane.model("two")))
    assert got.headers["x-scaigrid-backend"] == lane.backend("first")
    lane.usage(1)


def test_the_refusal_is_the_one_that_the_call_gets(lane: Lane) -> None:
    for name in ("confined", "barred", "poor"):
        client = lane.client(secret(name))
        # `confined` may use one model alone; the others are held to nothing at all.
        told = client.post(PATH, json={"model": lane.model("two")}).json()
        got = client.post(CHAT_URL["native"], json=chat(lane.model("two")))
        refused = told["error"] if "error" in told else told["data"]["refusal"]
        assert (name, refused["code"]) == (name, got.json()["error"]["code"])
    told = lane.client().post(PATH, json={"model": lane.model("disabled")}).json()["data"]
    assert told["refusal"]["code"] == "MODEL_UNAVAILABLE"


def test_in_each_situation_the_answer_is_what_the_call_then_gets(lane: Lane) -> None:
    """The code of the refusal, and else the backend."""
    lane.openai.always(answer(behaviours.completion("Here.")))
    differ: list[tuple[Any, ...]] = []
    for word, path, changes, who in SITUATIONS:
        client = lane.client(secret(who) if who else None)
        asked = {**chat(lane.model(word)), **changes}
        body = {name: value for name, value in asked.items() if value is not None}
        told = client.post(PATH, json={"model": body["model"], "path": path, "request": body}).json()
        got = client.post(path, json=body)
        if "error" in told:
            said = told["error"]["code"]
        elif told["data"]["refusal"] is not None:
            said = told["data"]["refusal"]["code"]
        else:
            said = told["data"]["route"]["targets"][0]["backend"]
        became = got.headers["x-scaigrid-backend"] if got.is_success else code_of(got.json())
        if said != became:
            differ.append((word, path, changes, who, said, became))
    assert differ == []


def test_the_terminal_shows_it(lane: Lane) -> None:
    environment = {"SCAIGRID_URL": lane.gateway.url, "SCAIGRID_API_KEY": lane.key}
    done = subprocess.run(
        [sys.executable, "-m", "scaigrid", "explain", lane.model("two")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "would be made" in done.stdout
    assert lane.backend("second") in done.stdout
