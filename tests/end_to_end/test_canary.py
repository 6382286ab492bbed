"""Planted secrets come out nowhere: not in a line, an error, a metric, a row or a file."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

from tests.harness.behaviours import answer, completion, openai_error, openai_frames, raw, stream
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, Lane, chat
from tests.harness.provider import Provider

HEADER = "canary-in-a-provider-header-0123456789"


def test_no_secret_leaves_the_gateway(provider: Provider, start: Callable[..., Gateway]) -> None:
    lane = Lane("canary", provider)
    config: dict[str, Any] = {"log": {"level": "debug"}}
    lane.declare(config)
    for one in config["providers"].values():
        one["headers"] = {"x-organization": HEADER}
    secrets = [lane.key, lane.provider_key, HEADER]
    told = f"Bad key {lane.provider_key} for {HEADER}, sent by {lane.key}."
    lane.openai.then(
        answer(completion("Fine.")),
        stream(*openai_frames("Fine.")),
        answer(openai_error(told, code="invalid_api_key"), status=401),
        answer(openai_error(told), status=400),
        answer(openai_error(told), status=500),
        answer(told.encode(), status=400),
        stream(*openai_frames("It ")[:2], b"data: " + str(told).encode() + b"\n\n"),
        stream(*openai_frames("It ")[:2], b'data: {"error": {"message": "%b"}}\n\n' % told.encode()),
        raw(b"%b\r\n\r\n" % told.encode()),
        answer(completion(told)),
        answer(completion(f"You are {lane.key}.")),
    )
    gateway = start(config)
    lane.join(gateway)
    client = lane.client()
    answers: list[str] = []
    for place in range(lane.openai.unused):
        streamed = place in (1, 6, 7)
        got = client.post(CHAT_URL["openai"], json=chat(lane.model("openai"), stream=streamed))
        answers.append(f"{got.headers} {got.text}")
    # What the model itself says is the answer, and nobody's to change; but it cannot know what the provider is sent.
    assert lane.key in answers.pop()
    assert "UPSTREAM_SHAPE_MISMATCH" in answers[-1]
    for key in (lane.provider_key, lane.key + "x", HEADER):
        got = client.post(
            CHAT_URL["native"], json=chat(lane.model("openai")), headers={"authorization": f"Bearer {key}"}
        )
        answers.append(got.text)
    answers += [
        client.get(path).text for path in ("/v1/me", "/v1/models", "/v1/accounting/usage", "/docs/openapi.json")
    ]
    gateway.usage(11)
    everything = {
        "answers": "\n".join(answers),
        "metrics": gateway.metrics().text,
        "rows": repr([gateway.rows("usage"), gateway.rows("audit")]),
    }
    lane.close()
    assert gateway.stop() == 0
    everything |= {"stdout": gateway.stdout, "stderr": gateway.stderr, "database": dump(gateway)}
    everything |= {str(path): path.read_bytes().decode("latin-1") for path in gateway.data.rglob("*") if path.is_file()}
    assert {place: secret for place, text in everything.items() for secret in secrets if secret in text} == {}
    assert all(everything[place] for place in ("answers", "metrics", "rows", "stdout", "stderr", "database"))


def dump(gateway: Gateway) -> str:
    with closing(sqlite3.connect(f"file:{gateway.data / 'scaigrid.db'}?mode=ro", uri=True)) as connection:
        return "\n".join(connection.iterdump())
