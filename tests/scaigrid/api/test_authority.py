"""Whom a caller covers: those who reach no farther, and for who is no administrator those who may do no more."""

from typing import Any

import msgspec
import pytest

from scaigrid import roles
from scaigrid.api.authority import Authority, judge
from scaigrid.config import entities
from scaigrid.control import documents as docs
from scaigrid.control.declared import resources_of
from scaigrid.control.standing import Standing
from scaigrid.control.state import State
from scaigrid.errors import Code, GatewayError
from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import ControlPlane, declared
from tests.scaigrid.api.people import user, view_of

USERS = {
    "desk": entities.User(tenant="a", roles=("tenant_viewer",), custom_roles=("desk",)),
    "both": entities.User(tenant="a", roles=("partner_viewer", "tenant_admin")),
    **platform().users,
}
CONFIGURED = platform(
    users=USERS,
    roles={"desk": entities.CustomRole(tenant="a", core_permissions=("users:manage",))},
    keys={name: declared(name, name) for name in USERS},
)
PLANE = ControlPlane(CONFIGURED)
STATE = State.of(resources_of(CONFIGURED))


def _standing(*held: str, **powers: roles.Reach) -> Standing:
    more: dict[str, roles.Reach] = {name.replace("_", ":"): reach for name, reach in powers.items()}
    return Standing(roles=held, custom_role_ids=(), powers={**more, **roles.spread(held)})


@pytest.mark.parametrize(
    ("who", "covered"),
    [
        ("super", {*roles.ROLES}),
        ("partner_one", {*roles.ROLES} - {"super_admin"}),
        ("admin_a", {"tenant_viewer", "tenant_user", "tenant_admin"}),
        ("both", {"tenant_viewer", "tenant_user", "tenant_admin"}),
        ("desk", {"tenant_viewer"}),
    ],
)
def test_a_caller_covers_the_roles_up_to_its_own(who: str, covered: set[str]) -> None:
    authority = Authority(view_of(PLANE, who))
    assert {role for role in roles.ROLES if authority.covers(_standing(role))} == covered


def test_who_is_no_administrator_covers_nothing_that_it_lacks() -> None:
    desk, admin = Authority(view_of(PLANE, "desk")), Authority(view_of(PLANE, "admin_a"))
    more = _standing("tenant_viewer", mail_read="tenant")
    assert (desk.covers(more), admin.covers(more)) == (False, True)
    with pytest.raises(GatewayError) as caught:
        desk.gives(more, "this")
    assert caught.value.message == "You cannot give this: you do not have mail:read yourself."


def test_what_lies_beyond_says_whose_it_is_to_give() -> None:
    with pytest.raises(GatewayError) as caught:
        Authority(view_of(PLANE, "admin_a")).gives(_standing("partner_viewer"), "this role")
    assert (caught.value.code, caught.value.message) == (
        Code.AUTHZ_PERMISSION_DENIED,
        "Only the partner's administrators give this role.",
    )


def test_a_key_made_for_another_carries_what_its_maker_could_give() -> None:
    scopes = frozenset({"users:manage", "models:use"})
    assert Authority(view_of(PLANE, "admin_a")).most is None
    assert Authority(view_of(PLANE, "admin_a", scopes=scopes)).most == scopes
    desk = frozenset({"users:manage", *roles.ROLES["tenant_viewer"]})
    assert Authority(view_of(PLANE, "desk")).most == desk
    assert Authority(view_of(PLANE, "desk", scopes=scopes)).most == frozenset({"users:manage"})


# -- what becomes of somebody ----------------------------------------------------------------------------------------


def _after(name: str, **changes: Any) -> State:
    resource = STATE.all("user")[user(name)]
    assert isinstance(resource.document, docs.User)
    document = msgspec.structs.replace(resource.document, **changes)
    return STATE.after([msgspec.structs.replace(resource, document=document)], (), 1)


def _judged(who: str, of: str, **changes: Any) -> Code | None:
    try:
        judge(view_of(PLANE, who, STATE), _after(of, **changes), (user(of),))
    except GatewayError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    ("who", "of", "held", "refusal"),
    [
        ("admin_a", "user_a", ("tenant_admin",), None),
        ("admin_a", "user_a", ("partner_viewer",), Code.AUTHZ_PERMISSION_DENIED),
        ("admin_a", "partner_one_viewer", (), Code.AUTHZ_PERMISSION_DENIED),
        ("admin_a", "super", (), Code.AUTHZ_PERMISSION_DENIED),
        ("partner_one", "partner_one_viewer", ("partner_admin",), None),
        ("desk", "viewer_a", (), None),
        ("desk", "user_a", ("tenant_viewer",), Code.AUTHZ_PERMISSION_DENIED),
        ("admin_a", "admin_a", ("tenant_user",), Code.CONFLICT),
        ("admin_a", "admin_a", ("tenant_admin", "tenant_user"), None),
        ("super", "super", ("partner_admin",), Code.CONFLICT),
        ("super", "super", ("super_admin", "tenant_viewer"), None),
    ],
)
def test_what_may_become_of_whom(who: str, of: str, held: tuple[str, ...], refusal: Code | None) -> None:
    assert _judged(who, of, roles=held) is refusal


def test_what_changes_nobodys_rights_is_nobodys_business() -> None:
    assert _judged("admin_a", "super", roles=("super_admin", "tenant_user")) is None
