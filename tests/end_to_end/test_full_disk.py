"""A journal that cannot be written: nothing that would have to be billed goes out, and it recovers by itself."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness import databases
from tests.harness.behaviours import answer, completion
from tests.harness.eventually import eventually
from tests.harness.full_disk import no_room
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, Lane, chat, code_of
from tests.harness.provider import Provider

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prlimit(2) is Linux's")


@pytest.mark.parametrize("dialect", sorted(CHAT_URL))
def test_no_answer_goes_out_that_cannot_be_recorded(
    provider: Provider, start: Callable[..., Gateway], dialect: str
) -> None:
    lane = Lane(f"full-disk-{dialect}", provider)
    config: dict[str, Any] = {}
    lane.declare(config)
    lane.openai.then(
        answer(completion("One.")),
        answer(completion("Two.")),
        answer(completion("Three.")),
    )
    gateway = start(config)
    lane.join(gateway)
    client, url = lane.client(), CHAT_URL[dialect]
    first = client.post(url, json=chat(lane.model("openai")))
    assert first.status_code == 200
    with no_room(gateway):
        plain = client.post(url, json=chat(lane.model("openai")))
        assert (plain.status_code, code_of(plain.json())) == (503, "STORE_UNAVAILABLE")
        assert "Two." not in plain.text
        asked = len(lane.openai.requests)
        streamed = client.post(url, json=chat(lane.model("openai"), stream=True))
        assert (streamed.status_code, code_of(streamed.json())) == (503, "STORE_UNAVAILABLE")
        assert len(lane.openai.requests) == asked, "what cannot be recorded is not sent any more"
        assert client.get("/health").status_code == 200
        ready = client.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"]["journal"] != "ok"
    last = client.post(url, json=chat(lane.model("openai")))
    assert last.status_code == 200
    assert client.get("/health/ready").json()["checks"]["journal"] == "ok"
    rows = lane.usage(2)
    assert [row["request_id"] for row in rows] == [first.headers["x-request-id"], last.headers["x-request-id"]]
    lane.close()
    assert gateway.stop() == 0


@pytest.mark.parametrize("kind", databases.KINDS)
def test_no_change_is_made_that_cannot_be_recorded(
    kind: databases.Kind, start: Callable[..., Gateway], tmp_path: Path
) -> None:
    """Though the database has room: with a server of its own it always has."""
    url = databases.fresh(kind, tmp_path)
    key = f"sgk_root_{'0' * 32}"
    gateway = start(
        {
            "database": {"url": url, "encryption_key": "k" * 32},
            "users": {"root": {"roles": ["super_admin"]}},
            "keys": {"root": {"user": "root", "key": key}},
        }
    )
    with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {key}"}) as client:

        def slugs() -> set[str]:
            return {item["slug"] for item in client.get("/v1/tenants").json()["data"]["items"]}

        made = client.post("/v1/tenants", json={"slug": "before"})
        assert made.status_code == 201
        path = f"/v1/tenants/{made.json()['data']['id']}"
        with no_room(gateway):
            for refused in (
                client.post("/v1/tenants", json={"slug": "never"}),
                client.patch(path, json={"suspended": True}),
                client.delete(path),
            ):
                assert (refused.status_code, refused.json()["error"]["code"]) == (503, "STORE_UNAVAILABLE")
            assert slugs() == {"default", "before"}
            assert client.get(path).json()["data"] == made.json()["data"]
        assert client.post("/v1/tenants", json={"slug": "after"}).status_code == 201

        def recorded() -> list[str]:
            answer = client.get("/v1/audit-log", params={"resource_type": "tenant", "status": "SUCCESS"})
            return [item["after"]["slug"] for item in answer.json()["data"]["items"]]

        assert eventually(lambda: recorded() if len(recorded()) == 2 else None, "both rows") == ["after", "before"]
    assert gateway.stop() == 0
    databases.drop(url)
