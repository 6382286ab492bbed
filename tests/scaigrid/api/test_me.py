from datetime import UTC, datetime

from scaigrid.config import schema
from scaigrid.ids import declared_id
from scaigrid.roles import ROLES
from tests.scaigrid.api.control_plane import ControlPlane, config, declared

HOUSE = config(
    partners={"north": schema.Partner(display_name="North")},
    tenants={"acme": schema.Tenant(partner="north", display_name="Acme")},
    users={"ada": schema.User(tenant="acme", email="ada@example.com", roles=("tenant_viewer", "tenant_user"))},
    keys={
        "ada": declared("ada", "ada"),
        "laptop": declared(
            "laptop", "ada", models=("z", "a"), expires_at=datetime(2030, 1, 31, 12, 0, 0, 5, tzinfo=UTC)
        ),
    },
)


async def test_a_caller_learns_who_it_is_and_what_it_may_do() -> None:
    answer = await ControlPlane(HOUSE).get("/v1/me")
    assert answer.json["data"] == {
        "user": {"id": declared_id("user", "ada"), "name": "ada", "email": "ada@example.com"},
        "tenant": {"id": declared_id("tenant", "acme"), "name": "acme", "display_name": "Acme"},
        "partner": {"id": declared_id("partner", "north"), "name": "north", "display_name": "North"},
        "key": {"id": declared_id("apikey", "ada"), "name": "ada", "expires_at": None},
        "roles": ["tenant_viewer", "tenant_user"],
        "permissions": sorted(ROLES["tenant_user"]),
        "models": None,
    }


async def test_a_key_with_an_end_and_a_list_says_so() -> None:
    data = (await ControlPlane(HOUSE).get("/v1/me", "laptop")).json["data"]
    assert data["key"]["expires_at"] == "2030-01-31T12:00:00.000005Z"
    assert data["models"] == ["a", "z"]


async def test_no_permission_is_needed_to_ask() -> None:
    plane = ControlPlane(config(users={"bob": schema.User(roles=())}, keys={"bob": declared("bob", "bob")}))
    answer = await plane.get("/v1/me", "bob")
    assert (answer.status, answer.json["data"]["roles"], answer.json["data"]["permissions"]) == (200, [], [])


async def test_the_key_itself_is_in_no_answer() -> None:
    assert b"sgk_" not in (await ControlPlane(HOUSE).get("/v1/me")).body


async def test_it_takes_no_parameters() -> None:
    answer = await ControlPlane(HOUSE).get("/v1/me?verbose=1")
    assert (answer.status, answer.details) == (422, {"verbose": "is not a known parameter"})
