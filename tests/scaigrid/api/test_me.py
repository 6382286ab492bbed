from datetime import UTC, datetime

from scaigrid.config import entities
from scaigrid.ids import declared_id
from scaigrid.roles import ROLES
from tests.scaigrid.api.control_plane import TOKEN, ControlPlane, Vouched, config, corporation, declared

HOUSE = config(
    partners={"north": entities.Partner(display_name="North")},
    tenants={"acme": entities.Tenant(partner="north", display_name="Acme")},
    users={
        "ada": entities.User(
            tenant="acme", display_name="Ada", email="ada@example.com", roles=("tenant_viewer", "tenant_user")
        ),
        "rob": entities.User(tenant="acme", roles=("partner_admin",)),
    },
    keys={
        "ada": declared("ada", "ada"),
        "laptop": declared(
            "laptop", "ada", models=("z", "a"), expires_at=datetime(2030, 1, 31, 12, 0, 0, 5, tzinfo=UTC)
        ),
        "narrow": declared("narrow", "ada", scopes=("models:use", "models:list"), addresses=("127.0.0.0/8",)),
        "rob": declared("rob", "rob"),
    },
    identity=corporation("any"),
)


async def test_a_caller_learns_who_it_is_and_what_it_may_do() -> None:
    answer = await ControlPlane(HOUSE).get("/v1/me")
    assert answer.json["data"] == {
        "user": {
            "id": declared_id("user", "ada"),
            "name": "ada",
            "email": "ada@example.com",
            "display_name": "Ada",
        },
        "tenant": {"id": declared_id("tenant", "acme"), "name": "acme", "display_name": "Acme"},
        "partner": {"id": declared_id("partner", "north"), "name": "north", "display_name": "North"},
        "key": {"id": declared_id("apikey", "ada"), "name": "ada", "expires_at": None, "addresses": None},
        "roles": ["tenant_viewer", "tenant_user"],
        "permissions": sorted(ROLES["tenant_user"]),
        "models": None,
        "scopes": None,
        "reach": "tenant",
        "tenant_header": None,
    }


async def test_a_key_with_an_end_and_a_list_says_so() -> None:
    data = (await ControlPlane(HOUSE).get("/v1/me", "laptop")).json["data"]
    assert data["key"]["expires_at"] == "2030-01-31T12:00:00.000005Z"
    assert data["models"] == ["a", "z"]


async def test_a_key_that_carries_less_says_what_and_from_where() -> None:
    data = (await ControlPlane(HOUSE).get("/v1/me", "narrow")).json["data"]
    assert data["scopes"] == ["models:list", "models:use"]
    assert data["key"]["addresses"] == ["127.0.0.0/8"]
    assert data["permissions"] == sorted(ROLES["tenant_user"]), "what the user may do, whatever the key carries"


async def test_who_may_act_on_several_tenants_learns_how_to_choose_one() -> None:
    data = (await ControlPlane(HOUSE).get("/v1/me", "rob")).json["data"]
    assert (data["reach"], data["tenant_header"]) == ("partner", "X-ScaiGrid-Tenant")


async def test_who_comes_with_a_token_has_no_key() -> None:
    plane = ControlPlane(
        HOUSE, identity=Vouched(name="Zoe", email="z@example.com", tenant="acme", roles=("tenant_viewer",))
    )
    data = (await plane.ask("GET", "/v1/me", token=TOKEN)).json["data"]
    assert data["key"] is None
    assert (data["user"]["name"], data["user"]["email"], data["tenant"]["name"]) == ("Zoe", "z@example.com", "acme")
    assert (data["roles"], data["scopes"], data["models"]) == (["tenant_viewer"], None, None)


async def test_no_permission_is_needed_to_ask() -> None:
    plane = ControlPlane(config(users={"bob": entities.User(roles=())}, keys={"bob": declared("bob", "bob")}))
    answer = await plane.get("/v1/me", "bob")
    assert (answer.status, answer.json["data"]["roles"], answer.json["data"]["permissions"]) == (200, [], [])


async def test_the_key_itself_is_in_no_answer() -> None:
    assert b"sgk_" not in (await ControlPlane(HOUSE).get("/v1/me")).body


async def test_it_takes_no_parameters() -> None:
    answer = await ControlPlane(HOUSE).get("/v1/me?verbose=1")
    assert (answer.status, answer.details) == (422, {"verbose": "is not a known parameter"})
