"""What callers see and manage, on one table: models by whose they are, callers by how far they reach."""

import msgspec
import pytest

from adapters import ADAPTERS
from scaigrid.api.sight import everywhere, serves, sight
from scaigrid.api.view import View
from scaigrid.config import entities
from scaigrid.config.snapshot import Principal
from scaigrid.control import documents as docs
from scaigrid.control.declared import resources_of
from scaigrid.control.state import State
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange
from tests.scaigrid.api.conftest import platform
from tests.scaigrid.api.control_plane import ControlPlane, key_digest, model

MODELS = ("plain", "secret", "partner/one/x", "tenant/a/x", "tenant/b/x", "tenant/c/x")
CONFIG = platform(
    models={slug: model() if slug != "secret" else model(access="granted") for slug in MODELS},
    model_access={"ann": entities.ModelAccess(subject="user", of="user_b", model="secret")},
)
STATE = State.of(resources_of(CONFIG))
PLANE = ControlPlane(CONFIG)


def id_of(kind: str, name: str) -> str:
    return next(one.id for one in STATE.all(kind).values() if one.name == name)


def view(who: str, acting_on: str | None = None, **more: object) -> View:
    snapshot = PLANE.services.current.snapshot
    principal: Principal = msgspec.structs.replace(snapshot.keys[key_digest(who)], **more)
    exchange = Exchange(
        request_id="req_1",
        method="GET",
        path="/v1/models",
        dialect=PLANE.services.dialect_of("/v1/models"),
        snapshot=snapshot,
        principal=principal,
        started=0.0,
        started_at=0.0,
    )
    return View(
        exchange=exchange,
        state=STATE,
        services=PLANE.services,
        control=PLANE.control,
        adapters=ADAPTERS,
        tenant_id=None if acting_on is None else id_of("tenant", acting_on),
    )


def seen(of: View) -> set[str]:
    return {one.name for one in STATE.all("model").values() if sight(of).sees(one)}


def managed(of: View) -> set[str]:
    return {one.name for one in STATE.all("model").values() if sight(of).manages(one)}


EVERY = set(MODELS)
SEEN = {
    "super": EVERY,
    "partner_one": {"plain", "partner/one/x", "tenant/a/x", "tenant/b/x"},
    "partner_one_viewer": {"plain", "partner/one/x", "tenant/a/x"},  # as a user of tenant a
    "partner_two": {"plain", "tenant/c/x"},
    "admin_a": {"plain", "partner/one/x", "tenant/a/x"},
    "user_a": {"plain", "partner/one/x", "tenant/a/x"},
    "user_b": {"plain", "secret", "partner/one/x", "tenant/b/x"},
    "admin_c": {"plain", "tenant/c/x"},
}
MANAGED = {
    "super": EVERY,
    "partner_one": {"partner/one/x", "tenant/a/x", "tenant/b/x"},
    "partner_two": {"tenant/c/x"},
    "admin_a": {"tenant/a/x"},
    "admin_c": {"tenant/c/x"},
}


@pytest.mark.parametrize("who", SEEN)
def test_one_sees_what_one_may_use_and_what_is_ones_own(who: str) -> None:
    assert seen(view(who)) == SEEN[who]


@pytest.mark.parametrize("who", SEEN)
def test_one_manages_ones_own(who: str) -> None:
    assert managed(view(who)) == MANAGED.get(who, set())


@pytest.mark.parametrize("who", ["super", "partner_one"])
def test_who_acts_on_a_tenant_sees_and_manages_what_its_administrator_does(who: str) -> None:
    assert seen(view(who, "b")) == {"plain", "partner/one/x", "tenant/b/x"}
    assert managed(view(who, "b")) == {"tenant/b/x"}


def test_a_key_carries_no_more_than_its_scopes_and_its_models() -> None:
    assert managed(view("super", scopes=frozenset({"models:list"}))) == set()
    assert managed(view("super", scopes=frozenset({"admin:access"}))) == {one for one in MODELS if one.count("/") == 2}
    narrow = view("admin_a", models=frozenset({"plain"}))
    assert seen(narrow) == {"plain"}


def test_a_model_is_found_by_id_or_by_slug_where_it_is_seen() -> None:
    one = sight(view("admin_a")).model("tenant/a/x")
    assert sight(view("admin_a")).model(one.id) == one
    for hidden in ("tenant/b/x", id_of("model", "tenant/b/x"), "nowhere"):
        with pytest.raises(GatewayError) as caught:
            sight(view("admin_a")).model(hidden, "targets[0].model")
        assert (caught.value.code, caught.value.details[0].field) == (Code.MODEL_NOT_FOUND, "targets[0].model")


def backend(*parties: tuple[str, str]) -> docs.Backend:
    return docs.Backend(
        name="b", provider_id="p", model="m", granted_to=tuple(id_of(kind, name) for kind, name in parties)
    )


@pytest.mark.parametrize(
    ("party", "shown_to"),
    [
        (("partner", "one"), {"super", "partner_one", "admin_a"}),
        (("tenant", "a"), {"super", "partner_one", "admin_a"}),
        (("tenant", "b"), {"super", "partner_one"}),
        (("tenant", "c"), {"super", "partner_two", "admin_c"}),
    ],
)
def test_a_grant_is_seen_by_those_whose_models_it_serves(party: tuple[str, str], shown_to: set[str]) -> None:
    found = {who for who in MANAGED if sight(view(who)).is_granted(backend(party))}
    assert found == shown_to


def test_who_acts_on_a_tenant_sees_its_grants() -> None:
    assert sight(view("super", "b")).is_granted(backend(("tenant", "b")))
    assert sight(view("super", "b")).is_granted(backend(("partner", "one")))
    assert not sight(view("super", "b")).is_granted(backend(("tenant", "a")))


@pytest.mark.parametrize(
    ("party", "served"),
    [
        (("tenant", "a"), {"tenant/a/x"}),
        (("partner", "one"), {"tenant/a/x", "tenant/b/x", "partner/one/x"}),
        (("partner", "two"), {"tenant/c/x"}),
    ],
)
def test_a_grant_serves_the_models_of_whoever_got_it(party: tuple[str, str], served: set[str]) -> None:
    of = view("super")
    assert {one.name for one in STATE.all("model").values() if serves(of, backend(party), one)} == served


def test_a_permission_is_good_everywhere_for_the_platforms_own_while_they_act_on_no_tenant() -> None:
    assert everywhere(view("super"), "routing:manage")
    assert not everywhere(view("super", "a"), "routing:manage")
    assert not everywhere(view("super", scopes=frozenset({"routing:view"})), "routing:manage")
    assert not everywhere(view("admin_a"), "routing:view")
