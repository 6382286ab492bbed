"""What would become of a call, beside what becomes of it."""

import subprocess
import sys

from tests.harness import behaviours
from tests.harness.behaviours import answer
from tests.harness.lanes import CHAT_URL, Lane, chat, secret

PATH = "/v1/routing/explain"


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
