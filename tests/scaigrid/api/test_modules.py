import pytest

from scaigrid.api.modules import ModuleItem
from tests.scaigrid.api.control_plane import ControlPlane


@pytest.mark.parametrize("who", ["viewer_a", "admin_a", "partner_one_viewer", "super"])
async def test_anybody_with_a_key_is_told_that_there_are_none(plane: ControlPlane, who: str) -> None:
    answer = await plane.get("/v1/modules?limit=5", who)
    assert answer.status == 200
    assert answer.json["data"] == {"items": []}
    assert answer.json["pagination"] == {"has_more": False, "next_cursor": None}


async def test_a_list_asks_for_a_key() -> None:
    assert (await ControlPlane().get("/v1/modules", None)).code == "AUTH_TOKEN_MISSING"


@pytest.mark.parametrize("query", ["?limit=0", "?cursor=x", "?page=1"])
async def test_a_parameter_at_fault_is_named(query: str) -> None:
    assert (await ControlPlane().get(f"/v1/modules{query}")).code == "VALIDATION_ERROR"


def test_an_item_has_every_field_that_was_published() -> None:
    published = "id module_id display_name version description status admin_pages dependencies permissions"
    assert tuple(published.split()) == ("id", *ModuleItem.__struct_fields__[1:])
