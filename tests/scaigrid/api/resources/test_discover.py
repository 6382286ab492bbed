"""What a provider lists, beside what is used of it; nothing is kept of it."""

from collections.abc import Iterator

import pytest

from tests.harness.behaviours import answer
from tests.harness.provider import Provider
from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.routing import backend, provider, told

KEY = "sk-credential-not-to-be-seen"


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    with Provider() as running:
        yield running


async def test_a_provider_says_which_models_it_has_and_we_which_of_them_are_used(
    plane: ControlPlane, server: Provider
) -> None:
    endpoint = server.at("/listing/v1").then(
        answer({"data": [{"id": "m", "owned_by": "acme", "context_length": 8192}, {"id": "n"}]})
    )
    of = await provider(plane, type="custom", base_url=endpoint.url, api_key=KEY)
    other = await backend(plane, "other", model="m")
    used = [await backend(plane, name, provider_id=of["id"], model="m") for name in ("used-1", "used-2")]
    epoch = plane.control.state.epoch
    found = await plane.ask("POST", f"/v1/providers/{of['id']}/discover", who="super")
    assert found.status == 200
    first, second = found.json["data"]["items"]
    assert sorted(first.pop("already_used_by")) == sorted(one["id"] for one in used)
    assert other["provider_id"] != of["id"]
    assert first == {
        "model": "m",
        "display_name": None,
        "owned_by": "acme",
        "context_window": 8192,
        "max_output_tokens": None,
    }
    assert (second["model"], second["already_used_by"]) == ("n", [])
    assert found.json["pagination"] == {"has_more": False, "next_cursor": None}
    seen = await endpoint.comes()
    assert seen.header("x-request-id") == found.headers["x-request-id"]
    assert (await plane.control.refresh()).epoch == epoch
    assert [(row.action, row.resource_id) for row in plane.kept.audit if row.status == "SUCCESS"][-1] == (
        "provider.discover",
        of["id"],
    )


async def test_the_simulator_has_models_too(plane: ControlPlane) -> None:
    of = await provider(plane)
    found = await plane.ask("POST", f"/v1/providers/{of['id']}/discover", who="super")
    assert {item["model"] for item in found.json["data"]["items"]} == {
        "simulated-chat-1",
        "simulated-embed-1",
        "simulated-rerank-1",
    }


async def test_a_provider_that_refuses_is_a_failure_of_discovery_and_tells_no_credential(
    plane: ControlPlane, server: Provider
) -> None:
    endpoint = server.at("/refusing/v1").then(answer({"error": {"message": f"bad key {KEY}"}}, status=401))
    of = await provider(plane, type="custom", base_url=endpoint.url, api_key=KEY)
    refused = await plane.ask("POST", f"/v1/providers/{of['id']}/discover", who="super")
    assert told(refused) == (502, "PROVIDER_DISCOVERY_ERROR")
    assert refused.headers["x-should-retry"] == "false"
    assert KEY.encode() not in refused.body
    assert "refuses the credential" in refused.json["error"]["message"]
    (row,) = [row for row in plane.kept.audit if row.action == "provider.discover"]
    assert (row.status, row.resource_id) == ("FAILURE", of["id"])


async def test_there_has_to_be_such_a_provider(plane: ControlPlane) -> None:
    refused = await plane.ask("POST", "/v1/providers/prov_x/discover", who="super")
    assert told(refused) == (404, "PROVIDER_NOT_FOUND")
    of = await provider(plane)
    asked = await plane.ask("POST", f"/v1/providers/{of['id']}/discover?limit=1", who="super")
    assert (asked.status, asked.details) == (422, {"limit": "is not a known parameter"})
