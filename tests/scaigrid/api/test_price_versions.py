"""Prices as they were, over the API: for those who may see what providers charge."""

from base64 import b64encode
from typing import Any

from scaigrid.config import entities
from scaigrid.config.terms import Cost, Prices
from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import ControlPlane

PATH = "/v1/accounting/prices"


def sections(price: int) -> dict[str, Any]:
    return {
        "providers": {"p": entities.Provider(type="simulator")},
        "backends": {"b": entities.Backend(provider="p", model="m", cost=Cost(input=1))},  # type: ignore[arg-type]  # an integer is as good as a decimal
        "models": {"m": entities.Model(route=None, prices=Prices(input=price))},  # type: ignore[arg-type]  # likewise
    }


async def test_every_price_is_listed_the_latest_first(database_url: str) -> None:
    plane = await ControlPlane(platform(**sections(2)), url=database_url).open()
    changed = await plane.ask("POST", "/v1/models", {"slug": "n", "prices": {"input": "3"}}, who="super")
    assert changed.status == 201, changed.json
    found = await items(plane)
    first, *others = [(one["kind"], one["name"], one["prices"]["input"]) for one in found]
    assert first == ("model", "n", "3")
    assert sorted(others) == [("backend", "b", "1"), ("model", "m", "2")]
    assert all(len(one["version"]) == 12 and one["since"].endswith("Z") for one in found)
    await plane.close()


async def test_a_page_goes_on_where_the_one_before_ended(database_url: str) -> None:
    plane = await ControlPlane(platform(**sections(2)), url=database_url).open()
    first = (await plane.get(f"{PATH}?limit=1", "super")).json
    second = (await plane.get(f"{PATH}?limit=1&cursor={first['pagination']['next_cursor']}", "super")).json
    assert (first["pagination"]["has_more"], second["pagination"]["has_more"]) == (True, False)
    assert {page["data"]["items"][0]["kind"] for page in (first, second)} == {"model", "backend"}
    await plane.close()


async def test_a_cursor_that_no_page_gave_is_refused(plane: ControlPlane) -> None:
    """A number too large for the database too."""
    for cursor in ("x", b64encode(b"[%d]" % 2**63).decode()):
        answer = await plane.get(f"{PATH}?cursor={cursor}", "super")
        assert (answer.status, list(answer.details)) == (422, ["cursor"])


async def test_filters_find_what_they_name(database_url: str) -> None:
    plane = await ControlPlane(platform(**sections(2)), url=database_url).open()
    assert [one["name"] for one in await items(plane, "?kind=backend")] == ["b"]
    assert [one["name"] for one in await items(plane, "?name=m")] == ["m"]
    assert await items(plane, "?name=m&kind=backend") == []
    await plane.close()


async def test_only_the_platform_sees_what_providers_charge(plane: ControlPlane) -> None:
    for who in ("partner_one", "admin_a", "user_a"):
        answer = await plane.get(PATH, who)
        assert (answer.status, answer.json["error"]["code"]) == (403, "AUTHZ_PERMISSION_DENIED")


async def items(plane: ControlPlane, query: str = "") -> list[dict[str, Any]]:
    answer = await plane.get(PATH + query, "super")
    assert answer.status == 200, answer.json
    found: list[dict[str, Any]] = answer.json["data"]["items"]
    return found
