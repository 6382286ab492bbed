"""What a request sees: by how far its permission reaches, and by the tenant that it acts on."""

import msgspec
import pytest

from scaigrid.api.view import View, missing
from scaigrid.config import entities
from scaigrid.errors import Code, GatewayError
from scaigrid.roles import Reach
from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.people import TENANT, tenant
from tests.scaigrid.api.test_sight import STATE, view

SLUGS = {tenant(slug): slug for slug in "abc"}


def reached(of: View) -> str:
    """The slugs of the tenants in reach."""
    return "".join(sorted(SLUGS[one.id] for one in STATE.all("tenant").values() if of.reaches(one)))


@pytest.mark.parametrize(
    ("who", "acting_on", "seen"),
    [
        ("super", None, "abc"),
        ("super", "c", "c"),
        ("partner_one", None, "ab"),
        ("partner_one", "b", "b"),
        ("partner_two", None, "c"),
        ("admin_a", None, "a"),
        ("user_b", None, "b"),
    ],
)
def test_a_caller_reaches_what_its_roles_do_within_the_tenant_that_it_acts_on(
    who: str, acting_on: str | None, seen: str
) -> None:
    assert reached(view(who, acting_on)) == seen


@pytest.mark.parametrize(("reach", "seen"), [("platform", "abc"), ("partner", "ab"), ("tenant", "a"), (None, "abc")])
def test_what_a_route_asks_for_may_reach_less_far_than_the_roles(reach: Reach | None, seen: str) -> None:
    assert reached(msgspec.structs.replace(view("super"), reach=reach)) == seen


def test_something_new_belongs_to_the_named_tenant_or_to_the_callers_own() -> None:
    assert view("super", "c").acting_tenant == tenant("c")
    assert view("partner_two").acting_tenant == tenant("c")


def test_what_is_out_of_reach_is_refused_like_what_is_not_there() -> None:
    caller = view("admin_a")
    assert caller.known("tenant", tenant("a"), "tenant_id") is STATE.get("tenant", tenant("a"))
    expected = missing("tenant", "tenant_id")
    for id_ in (tenant("b"), "tenant_nowhere"):
        with pytest.raises(GatewayError) as caught:
            caller.known("tenant", id_, "tenant_id")
        told = caught.value
        assert (told.code, told.message, told.details) == (expected.code, expected.message, expected.details)


def test_what_is_missing_is_named_by_its_kind() -> None:
    assert (missing("model").code, missing("model").details) == (Code.MODEL_NOT_FOUND, ())
    assert missing("tenant").message == "There is no such tenant."
    (detail,) = missing("tenant", "tenant_id").details
    assert detail.field == "tenant_id"


async def test_the_header_names_a_tenant_by_id_or_by_slug(plane: ControlPlane) -> None:
    for named in ("b", tenant("b")):
        answer = await plane.get("/v1/tenants", "partner_one", headers={TENANT: named})
        assert [item["slug"] for item in answer.json["data"]["items"]] == ["b"]
    made = await plane.ask("POST", "/v1/users", {"name": "new"}, who="partner_one", headers={TENANT: "b"})
    assert made.json["data"]["tenant_id"] == tenant("b")


async def test_a_tenant_out_of_reach_is_answered_like_one_that_does_not_exist(plane: ControlPlane) -> None:
    for who, out_of_reach in (("partner_one", "c"), ("admin_a", "b"), ("admin_a", tenant("b"))):
        answers = [await plane.get("/v1/users", who, headers={TENANT: named}) for named in (out_of_reach, "nowhere")]
        assert [(one.status, one.code, list(one.details)) for one in answers] == [(404, "NOT_FOUND", [TENANT])] * 2
        assert answers[0].details == answers[1].details
        assert answers[0].json["error"]["message"] == answers[1].json["error"]["message"]


async def test_the_header_reaches_no_farther_than_the_role_that_gives_the_permission(database_url: str) -> None:
    """A viewer of the partner's who administers a tenant manages the users of that tenant alone."""
    both = entities.User(tenant="a", roles=("partner_viewer", "tenant_admin"))
    users = {**platform().users, "user_a": both}
    plane = await ControlPlane(platform(users=users), url=database_url).open()
    own, other = [await plane.get("/v1/users", "user_a", headers={TENANT: slug}) for slug in "ab"]
    await plane.close()
    assert (own.status, other.status, list(other.details)) == (200, 404, [TENANT])
    assert {item["tenant_id"] for item in own.json["data"]["items"]} == {tenant("a")}
