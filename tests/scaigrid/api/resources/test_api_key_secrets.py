"""What opens is told once; a key is made, rotated and revoked by nobody who could get farther by it."""

import hashlib
import re
from typing import Any

import pytest

from scaigrid.config import entities
from scaigrid.config.terms import KEY_PATTERN
from tests.harness import databases
from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import TOKEN, ControlPlane, Vouched, corporation, model
from tests.scaigrid.api.people import (
    CONFLICT,
    DENIED,
    INVALID,
    MANAGED,
    NO_SCOPE,
    NOT_THERE,
    TENANT,
    make_caller,
    make_help_desk,
    make_key,
    make_user,
    refused,
    tenant,
    user,
)

PATH = "/v1/api-keys"


async def _made(plane: ControlPlane, **fields: Any) -> dict[str, Any]:
    who = {name: fields.pop(name) for name in ("who", "token") if name in fields} or {"who": "user_a"}
    answer = await plane.ask("POST", PATH, {"name": "k", **fields}, **who)
    assert answer.status == 201, answer.body
    found: dict[str, Any] = answer.json["data"]
    return found


async def _opens(plane: ControlPlane, text: str) -> str:
    """`ok`, or why it does not."""
    answer = await plane.ask("GET", "/v1/me", token=text)
    return "ok" if answer.status == 200 else answer.code


# -- making ----------------------------------------------------------------------------------------------------------


async def test_a_key_opens_once_it_is_made_and_is_its_users(plane: ControlPlane) -> None:
    answer = await plane.ask("POST", PATH, {"name": "laptop"}, who="user_a")
    made = answer.json["data"]
    assert answer.status == 201
    assert answer.headers["location"] == f"{PATH}/{made['id']}"
    assert re.fullmatch(KEY_PATTERN, made["key"])
    assert made["key"].startswith(made["prefix"])
    assert (made["user_id"], made["name"], made["scopes"], made["status"]) == (user("user_a"), "laptop", None, "active")
    me = (await plane.ask("GET", "/v1/me", token=made["key"])).json["data"]
    assert (me["user"]["id"], me["key"]["id"]) == (user("user_a"), made["id"])


async def test_what_tells_the_key_is_stored_by_nobody_on_its_way(plane: ControlPlane) -> None:
    made = await plane.ask("POST", PATH, {"name": "k"}, who="user_a")
    rotated = await plane.ask("POST", f"{PATH}/{made.json['data']['id']}/rotate", who="user_a")
    assert made.headers["cache-control"] == rotated.headers["cache-control"] == "no-store"


async def test_only_its_digest_is_kept(plane: ControlPlane, database_url: str) -> None:
    made = await _made(plane)
    rotated = (await plane.ask("POST", f"{PATH}/{made['id']}/rotate", who="user_a")).json["data"]
    (row,) = databases.execute(database_url, "SELECT document FROM resources WHERE id = $1", made["id"])
    assert hashlib.sha256(rotated["key"].encode()).hexdigest() in row["document"]
    kept = repr(databases.execute(database_url, "SELECT * FROM resources")) + repr(plane.kept.records)
    for text in (made["key"], rotated["key"]):
        assert text not in kept
        assert text[12:] not in kept


async def test_no_other_answer_tells_a_key(plane: ControlPlane) -> None:
    made = await _made(plane)
    path = f"{PATH}/{made['id']}"
    answers = [
        await plane.get(path, "user_a"),
        await plane.get(PATH, "admin_a"),
        await plane.ask("PATCH", path, {"name": "x"}, who="user_a"),
        await plane.ask("POST", f"{path}/revoke", who="user_a"),
    ]
    for answer in answers:
        assert answer.status == 200
        assert made["key"].encode() not in answer.body
        assert b"sha256" not in answer.body


async def test_a_key_for_somebody_else_is_made_by_who_manages_it(plane: ControlPlane) -> None:
    for who in ("admin_a", "partner_one", "super"):
        assert (await _made(plane, who=who, assigned_user_id=user("user_a")))["user_id"] == user("user_a")
    own = await _made(plane, who="partner_one")
    assert own["user_id"] == user("partner_one"), "its own, though its roles hold keys by users:manage alone"


async def test_the_users_of_others_are_not_there(plane: ControlPlane) -> None:
    for who, whose in (
        ("user_a", "viewer_a"),
        ("user_a", "admin_a"),
        ("admin_a", "user_b"),
        ("admin_a", "user_c"),
        ("partner_one", "user_c"),
        ("super", "nobody"),
    ):
        body = {"name": "k", "assigned_user_id": user(whose)}
        answer = await plane.ask("POST", PATH, body, who=who)
        assert (refused(answer), list(answer.details)) == (NOT_THERE, ["assigned_user_id"])


async def test_who_acts_on_a_tenant_makes_keys_for_its_users(plane: ControlPlane) -> None:
    acting = {TENANT: "b"}
    answer = await plane.ask("POST", PATH, {"name": "k"}, who="partner_one", headers=acting)
    assert (refused(answer), list(answer.details)) == (NOT_THERE, ["assigned_user_id"])
    body = {"name": "k", "assigned_user_id": user("user_b")}
    answer = await plane.ask("POST", PATH, body, who="partner_one", headers=acting)
    assert (answer.status, answer.json["data"]["tenant_id"]) == (201, tenant("b"))


# -- making: escalation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "whose"),
    [
        ("admin_a", "super"),
        ("admin_a", "partner_one"),
        ("admin_a", "partner_one_viewer"),
        ("partner_one", "super"),
    ],
)
async def test_nobody_makes_a_key_of_a_user_beyond_itself(plane: ControlPlane, who: str, whose: str) -> None:
    answer = await plane.ask("POST", PATH, {"name": "k", "assigned_user_id": user(whose)}, who=who)
    assert refused(answer) == DENIED
    narrow = {"name": "k", "assigned_user_id": user(whose), "scopes": ["models:list"]}
    assert refused(await plane.ask("POST", PATH, narrow, who=who)) == DENIED


async def test_who_is_no_administrator_makes_no_key_of_who_may_do_more(plane: ControlPlane) -> None:
    desk = await make_help_desk(plane)
    for whose in ("admin_a", "user_a"):
        body = {"name": "k", "assigned_user_id": user(whose)}
        assert refused(await plane.ask("POST", PATH, body, token=desk)) == DENIED
    assert (await _made(plane, token=desk, assigned_user_id=user("viewer_a")))["user_id"] == user("viewer_a")


async def test_a_key_that_was_made_by_who_is_no_administrator_gives_it_nothing_later(plane: ControlPlane) -> None:
    """Its user becomes an administrator; who made its key, and may have kept it, does not."""
    desk = await make_help_desk(plane)
    ada = await make_user(plane, roles=["tenant_viewer"])
    made = await _made(plane, token=desk, assigned_user_id=ada)
    assert made["scopes"] == ["accounting:view_own", "models:list", "users:manage"]
    await plane.ask("PUT", f"/v1/users/{ada}/roles", {"roles": ["tenant_admin"]}, who="admin_a")
    assert refused(await plane.ask("POST", "/v1/accounting/budgets", {}, token=made["key"])) == NO_SCOPE


@pytest.mark.parametrize(
    ("who", "role", "lost"),
    [("admin_a", "partner_admin", "partner_admin"), ("partner_one", "super_admin", "super_admin")],
)
async def test_a_key_reaches_no_farther_than_who_made_it_whatever_its_user_becomes(
    plane: ControlPlane, who: str, role: str, lost: str
) -> None:
    """Else a tenant's administrator would make keys of everybody, and wait for one of them to be promoted."""
    ada = await make_user(plane)
    made = await _made(plane, who=who, assigned_user_id=ada)
    assert made["reach"] == {"admin_a": "tenant", "partner_one": "partner"}[who]
    own = await make_key(plane, ada)
    await plane.ask("PUT", f"/v1/users/{ada}/roles", {"roles": ["tenant_user", role]}, who="super")
    told = (await plane.ask("GET", "/v1/me", token=made["key"])).json["data"]
    assert (told["roles"], told["reach"] != "platform") == (["tenant_user"], True)
    assert lost in (await plane.ask("GET", "/v1/me", token=own)).json["data"]["roles"]


async def test_such_a_key_opens_no_way_around_that(plane: ControlPlane) -> None:
    """It makes and rotates keys of its user: those reach no farther either."""
    ada = await make_user(plane)
    made = await _made(plane, who="admin_a", assigned_user_id=ada)
    other = await plane.ask("POST", PATH, {"name": "k", "assigned_user_id": ada}, who="super")
    await plane.ask("PUT", f"/v1/users/{ada}/roles", {"roles": ["tenant_user", "partner_admin"]}, who="super")
    again = await _made(plane, token=made["key"])
    taken = await plane.ask("POST", f"{PATH}/{other.json['data']['id']}/rotate", token=made["key"])
    itself = await plane.ask("POST", f"{PATH}/{made['id']}/rotate", token=made["key"])
    for got in (again, taken.json["data"], itself.json["data"]):
        assert got["reach"] == "tenant"
        assert (await plane.ask("GET", "/v1/me", token=got["key"])).json["data"]["roles"] == ["tenant_user"]


async def test_its_user_lifts_that_with_a_key_that_nobody_else_has_made(plane: ControlPlane) -> None:
    ada = await make_user(plane)
    made = await _made(plane, who="admin_a", assigned_user_id=ada)
    own = await make_key(plane, ada)
    rotated = (await plane.ask("POST", f"{PATH}/{made['id']}/rotate", token=own)).json["data"]
    assert rotated["reach"] is None


BOUNDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"scopes": ["api_keys:manage", "models:use"]}, {"scopes": ["models:use", "accounting:view_own"]}),
    ({"models": ["m/one"]}, {"models": ["m/one", "m/two"]}),
    ({"addresses": ["127.0.0.0/8"]}, {"addresses": ["126.0.0.0/7"]}),
    ({"expires_at": "2027-02-01T00:00:00.000000Z"}, {"expires_at": "2027-02-01T00:00:01Z"}),
]


@pytest.mark.parametrize(("bound", "wider"), BOUNDS)
async def test_a_key_makes_none_that_may_do_more_and_hands_on_what_it_is_bound_by(
    database_url: str, bound: dict[str, Any], wider: dict[str, Any]
) -> None:
    plane = await ControlPlane(platform(models={"m/one": model(), "m/two": model()}), url=database_url).open()
    made = await _made(plane, **bound)
    (field,) = bound
    answer = await plane.ask("POST", PATH, {"name": "k", **wider}, token=made["key"])
    assert (refused(answer), list(answer.details)) == (NO_SCOPE, [field])
    assert (await _made(plane, token=made["key"]))[field] == bound[field], "left out, and null too, is the maker's"
    assert (await _made(plane, token=made["key"], **{field: None}))[field] == bound[field]
    await plane.close()


async def test_a_key_with_a_cap_makes_none_that_would_not_count_against_it(plane: ControlPlane) -> None:
    for cap in ({"budget": {"request_limit": 1}}, {"limits": {"requests_per_minute": 100}}):
        made = await _made(plane, **cap)
        for body in ({}, cap):
            answer = await plane.ask("POST", PATH, {"name": "k", **body}, token=made["key"])
            assert (refused(answer), list(answer.details)) == (NO_SCOPE, list(cap))


async def test_an_administrators_narrow_key_makes_only_narrow_ones_for_others(plane: ControlPlane) -> None:
    key = await make_caller(plane, roles=["tenant_admin"], key={"scopes": ["users:manage", "models:use"]})
    made = await _made(plane, token=key, assigned_user_id=user("user_a"))
    assert made["scopes"] == ["models:use", "users:manage"]
    body = {"name": "k", "assigned_user_id": user("user_a"), "scopes": ["models:list"]}
    assert refused(await plane.ask("POST", PATH, body, token=key)) == NO_SCOPE


# -- with a token instead of a key -----------------------------------------------------------------------------------


async def test_who_signs_in_with_a_token_makes_keys_of_its_own(database_url: str) -> None:
    users = {"ada": entities.User(tenant="a", external_id="corp|42", roles=("tenant_user",))}
    configured = platform(users=users, keys={}, identity=corporation("declared"))
    plane = await ControlPlane(configured, url=database_url, identity=Vouched(roles=("tenant_admin",))).open()
    made = await _made(plane, token=TOKEN)
    assert (made["user_id"], made["scopes"], made["reach"]) == (user("ada"), None, None)
    told = (await plane.ask("GET", "/v1/me", token=made["key"])).json["data"]
    assert told["roles"] == ["tenant_user"], "what the token alone says ends with it"
    await plane.close()


async def test_who_is_known_by_a_token_alone_is_told_what_it_lacks(database_url: str) -> None:
    configured = platform(identity=corporation("any"))
    vouched = Vouched(tenant="a", roles=("tenant_user",))
    plane = await ControlPlane(configured, url=database_url, identity=vouched).open()
    answer = await plane.ask("POST", PATH, {"name": "k"}, token=TOKEN)
    assert refused(answer) == CONFLICT
    assert "external_id" in answer.json["error"]["message"]
    await plane.close()


# -- rotating --------------------------------------------------------------------------------------------------------


async def test_a_rotated_key_keeps_its_id_and_the_old_text_opens_no_more(plane: ControlPlane) -> None:
    made = await _made(plane, scopes=["api_keys:manage"])
    rotated = (await plane.ask("POST", f"{PATH}/{made['id']}/rotate", who="user_a")).json["data"]
    assert rotated["key"] != made["key"]
    assert (rotated["id"], rotated["scopes"], rotated["previous_until"]) == (made["id"], made["scopes"], None)
    assert (await _opens(plane, made["key"]), await _opens(plane, rotated["key"])) == ("AUTH_TOKEN_INVALID", "ok")


async def test_the_old_text_opens_for_as_long_as_it_is_to_overlap(plane: ControlPlane) -> None:
    made = await _made(plane)
    path = f"{PATH}/{made['id']}"
    rotated = (await plane.ask("POST", f"{path}/rotate", {"overlap_seconds": 60}, who="user_a")).json["data"]
    assert rotated["previous_until"] == "2027-01-15T08:01:00.000000Z"
    plane.clock.wall += 59
    assert (await _opens(plane, made["key"]), await _opens(plane, rotated["key"])) == ("ok", "ok")
    plane.clock.wall += 1
    assert (await _opens(plane, made["key"]), await _opens(plane, rotated["key"])) == ("SESSION_EXPIRED", "ok")
    assert (await plane.get(path, "user_a")).json["data"]["previous_until"] is None


async def test_a_second_rotation_ends_the_first_one_s_overlap(plane: ControlPlane) -> None:
    made = await _made(plane)
    path = f"{PATH}/{made['id']}/rotate"
    second = (await plane.ask("POST", path, {"overlap_seconds": 600}, who="user_a")).json["data"]
    third = (await plane.ask("POST", path, {"overlap_seconds": 600}, who="user_a")).json["data"]
    opens = [await _opens(plane, one["key"]) for one in (made, second, third)]
    assert opens == ["AUTH_TOKEN_INVALID", "ok", "ok"]


async def test_the_old_text_rotates_nothing(plane: ControlPlane) -> None:
    """Whoever found it would have the new one by it, and for ever."""
    made = await _made(plane)
    path = f"{PATH}/{made['id']}/rotate"
    await plane.ask("POST", path, {"overlap_seconds": 600}, who="user_a")
    answer = await plane.ask("POST", path, token=made["key"])
    assert (refused(answer), list(answer.details)) == (NO_SCOPE, ["expires_at"])


async def test_what_opens_no_more_is_not_rotated(plane: ControlPlane) -> None:
    gone, ends = await _made(plane), await _made(plane, expires_at="2027-01-15T08:01:00Z")
    await plane.ask("POST", f"{PATH}/{gone['id']}/revoke", who="user_a")
    plane.clock.wall += 60
    for made in (gone, ends):
        assert refused(await plane.ask("POST", f"{PATH}/{made['id']}/rotate", who="user_a")) == CONFLICT


async def test_a_body_of_a_rotation_is_read_as_strictly_as_any(plane: ControlPlane) -> None:
    made = await _made(plane)
    for body, field in (
        ({"overlap_seconds": -1}, "overlap_seconds"),
        ({"overlap_seconds": 2_592_001}, "overlap_seconds"),
        ({"overlap": 1}, "overlap"),
    ):
        answer = await plane.ask("POST", f"{PATH}/{made['id']}/rotate", body, who="user_a")
        assert (refused(answer), list(answer.details)) == (INVALID, [field])


# -- rotating: escalation --------------------------------------------------------------------------------------------


async def test_nobody_rotates_or_revokes_a_key_of_a_user_beyond_itself(plane: ControlPlane) -> None:
    for who, role in (("admin_a", "partner_viewer"), ("admin_a", "super_admin"), ("partner_one", "super_admin")):
        chief = await make_user(plane, roles=[role])
        made = await _made(plane, who="super", assigned_user_id=chief)
        for verb in ("rotate", "revoke"):
            assert refused(await plane.ask("POST", f"{PATH}/{made['id']}/{verb}", who=who)) == DENIED
        assert await _opens(plane, made["key"]) == "ok"


async def test_who_is_no_administrator_rotates_no_key_of_who_may_do_more(plane: ControlPlane) -> None:
    desk = await make_help_desk(plane)
    chief = await make_user(plane, roles=["tenant_admin"])
    made = await _made(plane, who="super", assigned_user_id=chief)
    for verb in ("rotate", "revoke"):
        assert refused(await plane.ask("POST", f"{PATH}/{made['id']}/{verb}", token=desk)) == DENIED


async def test_the_keys_of_others_are_not_there_to_be_rotated(plane: ControlPlane) -> None:
    made = await _made(plane, who="admin_a")
    for verb in ("rotate", "revoke"):
        for who in ("user_a", "admin_b", "partner_two"):
            assert refused(await plane.ask("POST", f"{PATH}/{made['id']}/{verb}", who=who)) == NOT_THERE
        assert refused(await plane.ask("POST", f"{PATH}/{made['id']}/{verb}", who="viewer_a")) == DENIED


@pytest.mark.parametrize("bound", [bound for bound, _ in BOUNDS] + [{"budget": {"request_limit": 9}}])
async def test_a_bound_key_opens_no_key_that_may_do_more(database_url: str, bound: dict[str, Any]) -> None:
    """By rotating another key of its user it would learn what opens that one."""
    plane = await ControlPlane(platform(models={"m/one": model(), "m/two": model()}), url=database_url).open()
    (declared,) = (await plane.get(f"{PATH}?origin=config", "user_a")).json["data"]["items"]
    free, bound_key = await _made(plane), await _made(plane, **bound)
    answer = await plane.ask("POST", f"{PATH}/{free['id']}/rotate", token=bound_key["key"])
    assert (refused(answer), list(answer.details)) == (NO_SCOPE, list(bound))
    itself = await plane.ask("POST", f"{PATH}/{bound_key['id']}/rotate", token=bound_key["key"])
    assert itself.status == 200, "itself it may rotate: it can do no more by that"
    assert refused(await plane.ask("POST", f"{PATH}/{declared['id']}/rotate", who="user_a")) == MANAGED
    await plane.close()


# -- revoking --------------------------------------------------------------------------------------------------------


async def test_a_revoked_key_opens_no_more_and_is_kept_for_the_record(plane: ControlPlane) -> None:
    made = await _made(plane)
    path = f"{PATH}/{made['id']}"
    await plane.ask("POST", f"{path}/rotate", {"overlap_seconds": 600}, who="user_a")
    rotated = (await plane.ask("POST", f"{path}/rotate", {"overlap_seconds": 600}, who="user_a")).json["data"]
    for _ in range(2):
        answer = await plane.ask("POST", f"{path}/revoke", who="admin_a")
        assert (answer.status, answer.json["data"]["status"]) == (200, "revoked")
    for text in (made["key"], rotated["key"]):
        assert await _opens(plane, text) == "AUTH_TOKEN_INVALID"
    for method, body in (("PATCH", {"name": "x"}), ("PUT", {"name": "x"})):
        assert (await plane.ask(method, path, body, who="user_a")).json["data"]["status"] == "revoked"


async def test_a_key_is_taken_back_though_one_of_its_models_is_gone(database_url: str) -> None:
    plane = await ControlPlane(platform(models={"m": model()}), url=database_url).open()
    made = await _made(plane, models=["m"])
    async with plane.control.change() as change:
        (gone,) = change.state.all("model").values()
        for route in change.state.users_of("model", gone.id):
            change.delete(route)
        change.delete(gone)
    assert (await plane.ask("POST", f"{PATH}/{made['id']}/rotate", who="user_a")).status == 200
    assert (await plane.ask("POST", f"{PATH}/{made['id']}/revoke", who="user_a")).status == 200
    await plane.close()


async def test_a_change_of_what_has_changed_since_is_refused(plane: ControlPlane) -> None:
    answer = await plane.ask("POST", PATH, {"name": "k"}, who="user_a")
    path, tag = f"{PATH}/{answer.json['data']['id']}", answer.headers["etag"]
    await plane.ask("PATCH", path, {"name": "x"}, who="user_a")
    for verb in ("rotate", "revoke"):
        late = await plane.ask("POST", f"{path}/{verb}", who="user_a", headers={"If-Match": tag})
        assert (late.status, late.code) == (412, "PRECONDITION_FAILED")


async def test_what_was_done_is_in_the_audit_log_without_the_key(plane: ControlPlane) -> None:
    made = await _made(plane)
    await plane.ask("POST", f"{PATH}/{made['id']}/rotate", who="user_a")
    await plane.ask("POST", f"{PATH}/{made['id']}/revoke", who="user_a")
    await plane.ask("POST", PATH, {"name": "k", "assigned_user_id": user("super")}, who="admin_a")
    rows = plane.kept.audit[-4:]
    assert [(row.action, row.status) for row in rows] == [
        ("api_key.create", "SUCCESS"),
        ("api_key.rotate", "SUCCESS"),
        ("api_key.revoke", "SUCCESS"),
        ("api_key.create", "FAILURE"),
    ]
    assert [row.resource_id for row in rows[:3]] == [made["id"]] * 3
    assert b'"status":"revoked"' in bytes(rows[2].after or b"")
    assert made["key"] not in repr(rows)
