"""What works, over the registry as it runs and the cells that the suite has written."""

from adapters import ADAPTERS
from scaigrid.api.capabilities import CapabilitiesQuery, Capability, Proof, ProviderCapabilities, items
from scaigrid.api.conformance import Cell
from scaigrid.dialects import DIALECTS
from tests.scaigrid.api.control_plane import ControlPlane

PATH = "/v1/capabilities"


def cell(provider: str, dialect: str, feature: str, **counts: int) -> Cell:
    told = {"passed": 1, "failed": 0, "not_run": 0, **counts}
    return Cell(provider=provider, dialect=dialect, feature=feature, mode="translation", proof="fixture", **told)


PROVED = [
    cell("anthropic", "openai", "tools", passed=3, not_run=2),
    cell("anthropic", "openai", "reasoning", failed=1),
    cell("anthropic", "elsewhere", "chat"),
]
"""Of a made-up suite."""


def features(item: ProviderCapabilities) -> dict[str, dict[str, Capability]]:
    return {one.dialect: {each.feature: each for each in one.features} for one in item.dialects}


async def test_every_type_of_provider_is_there_with_what_it_takes() -> None:
    answer = await ControlPlane().get(PATH)
    found = answer.json["data"]["items"]
    assert (answer.status, answer.json["pagination"]) == (200, {"has_more": False, "next_cursor": None})
    assert [item["provider"] for item in found] == sorted(ADAPTERS)
    for item in found:
        adapter = ADAPTERS[item["provider"]]
        assert item["can"] == sorted(adapter.can)
        assert item["options"] == list(adapter.options.__struct_fields__)
        assert bool(item["credentials"]) is (adapter.signed is not None)


def test_a_claim_stands_beside_its_proof() -> None:
    (item,) = items(ADAPTERS, DIALECTS, PROVED, CapabilitiesQuery(provider="anthropic"))
    found = features(item)
    tools, reasoning, stream = (found["openai"][name] for name in ("tools", "reasoning", "stream"))
    assert tools.status == "proved"
    assert tools.proofs == [Proof(mode="translation", proof="fixture", passed=3, failed=0, not_run=2)]
    assert reasoning.status == "failing"
    assert (stream.status, stream.proofs) == ("claimed", [])
    assert found["elsewhere"]["chat"].status == "proved"


def test_a_dialect_has_only_what_it_has_an_operation_for() -> None:
    (item,) = items(ADAPTERS, DIALECTS, (), CapabilitiesQuery(provider="custom"))
    found = features(item)
    assert "embed" in found["openai"]
    assert "embed" not in found["anthropic"]
    assert "embed" in found["native"]


async def test_filters_leave_what_is_asked_for() -> None:
    answer = await ControlPlane().get(f"{PATH}?dialect=openai&feature=tools")
    found = answer.json["data"]["items"]
    assert "anthropic" in [item["provider"] for item in found]
    assert {one["dialect"] for item in found for one in item["dialects"]} == {"openai"}
    assert {each["feature"] for item in found for one in item["dialects"] for each in one["features"]} == {"tools"}
    assert (await ControlPlane().get(f"{PATH}?provider=nobody")).json["data"]["items"] == []
    assert (await ControlPlane().get(f"{PATH}?feature=telepathy")).json["data"]["items"] == []


async def test_it_asks_for_a_key_and_for_known_parameters() -> None:
    assert (await ControlPlane().get(PATH, None)).code == "AUTH_TOKEN_MISSING"
    assert (await ControlPlane().get(f"{PATH}?vendor=x")).code == "VALIDATION_ERROR"
