"""What somebody may do is the sum of all that was given to it, each as far as its giver reaches."""

from typing import Any

from scaigrid import roles
from scaigrid.config.terms import RoleName
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.control.standing import Standings
from scaigrid.control.state import State

DESK = docs.CustomRole(
    name="desk", tenant_id="t", core_permissions=("users:manage",), module_permissions=("mail:box:write",)
)


def _state(*users: docs.User, groups: dict[str, docs.Group] | None = None, **mappings: docs.RoleMapping) -> State:
    """`ada`, `eve`, ... by their names; the custom role `desk`."""
    named: list[tuple[str, str, docs.Document]] = [("role", "desk", DESK)]
    named += [("user", user.name, user) for user in users]
    named += [("group", name, group) for name, group in (groups or {}).items()]
    named += [("role_mapping", name, mapping) for name, mapping in mappings.items()]
    return State.of(Resource(kind=kind, id=id_, origin="api", document=document) for kind, id_, document in named)


def _user(name: str, *held: RoleName, **fields: Any) -> docs.User:
    return docs.User(name=name, tenant_id="t", roles=held, **fields)


def _group(*members: str) -> docs.Group:
    return docs.Group(name="g", tenant_id="t", user_ids=members)


def test_own_roles_custom_roles_and_permissions_of_modules_add_up() -> None:
    user = _user("ada", "tenant_viewer", custom_role_ids=("desk",), module_permissions=("mail:box:read",))
    standing = Standings(_state(user)).of_user("ada")
    assert (standing.roles, standing.custom_role_ids, standing.reach) == (("tenant_viewer",), ("desk",), "tenant")
    assert standing.permissions == roles.ROLES["tenant_viewer"] | {"users:manage", "mail:box:read", "mail:box:write"}


def test_what_groups_give_is_among_it_once() -> None:
    mappings = {
        "one": docs.RoleMapping(name="one", group_id="g", role="tenant_user"),
        "two": docs.RoleMapping(name="two", group_id="g", custom_role_id="desk"),
        "far": docs.RoleMapping(name="far", group_id="other", role="tenant_admin"),
    }
    groups = {"g": _group("ada"), "other": _group("eve")}
    standings = Standings(_state(_user("ada", "tenant_user"), _user("eve"), groups=groups, **mappings))
    standing = standings.of_user("ada")
    assert (standing.roles, standing.custom_role_ids) == (("tenant_user",), ("desk",))
    assert standings.of_user("eve").roles == ("tenant_admin",)
    assert standings.of_mapping(mappings["two"]).permissions == {"users:manage", "mail:box:write"}
    assert standings.of_mapping(mappings["far"]).roles == ("tenant_admin",)


def test_a_permission_reaches_as_far_as_the_role_that_gives_it() -> None:
    user = _user("ada", "partner_viewer", "tenant_admin", custom_role_ids=("desk",))
    standing = Standings(_state(user)).of_user("ada")
    assert standing.reach == "partner"
    assert standing.powers["accounting:view_partner"] == "partner"
    assert (standing.powers["users:manage"], standing.powers["mail:box:write"]) == ("tenant", "tenant")
    stronger = Standings(_state(_user("ada", "partner_admin", custom_role_ids=("desk",)))).of_user("ada")
    assert stronger.powers["users:manage"] == "partner"


def test_roles_that_reach_too_far_for_somebody_are_left_out() -> None:
    user = _user("ada", "tenant_user", "partner_admin", "super_admin")
    standings = Standings(_state(user))
    assert standings.of_document(user, (), "tenant").roles == ("tenant_user",)
    assert standings.of_document(user, (), "partner").roles == ("tenant_user", "partner_admin")


def test_who_holds_a_custom_role_by_itself_or_in_a_group() -> None:
    mapping = docs.RoleMapping(name="m", group_id="g", custom_role_id="desk")
    users = (_user("ada", custom_role_ids=("desk",)), _user("eve"), _user("bob"))
    assert Standings(_state(*users, groups={"g": _group("eve")}, m=mapping)).holders("desk") == {"ada", "eve"}
