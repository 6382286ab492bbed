"""What the file declares by handles becomes documents that refer to each other by id."""

import hashlib

from scaigrid.config import entities
from scaigrid.control import documents as docs
from scaigrid.control.declared import key_digest, or_default, route_id
from scaigrid.control.state import State
from scaigrid.ids import declared_id
from scaigrid.secrets import Secret
from tests.harness.deployment import declared

KEY = "sgk_" + "k" * 40


def test_partner_and_tenant_are_there_where_none_is_declared() -> None:
    assert [(one.kind, one.name, one.origin) for one in declared()] == [
        ("partner", "default", "config"),
        ("tenant", "default", "config"),
    ]
    assert or_default({}, entities.Partner()) == {"default": entities.Partner()}
    acme = {"acme": entities.Partner()}
    assert or_default(acme, entities.Partner()) is acme


def test_an_id_follows_from_the_handle_and_not_from_the_name() -> None:
    state = State.of(declared(users={"ann": {"name": "Ann B."}}))
    assert state.document(docs.User, declared_id("user", "ann")).name == "Ann B."


def test_an_entry_may_name_its_id() -> None:
    id_ = "user_" + "a" * 32
    keys = {"k": {"user": "ann", "key": KEY}}
    state = State.of(declared(users={"ann": {"id": id_, "origin": "api"}}, keys=keys))
    user = state.get("user", id_)
    assert user is not None
    assert user.origin == "api"
    assert state.document(docs.ApiKey, declared_id("apikey", "k")).user_id == id_


def test_a_key_is_kept_by_its_hash_and_its_first_characters() -> None:
    digest = hashlib.sha256(KEY.encode())
    state = State.of(declared(users={"ann": {}}, keys={"k": {"user": "ann", "key": KEY}}))
    key = state.document(docs.ApiKey, declared_id("apikey", "k"))
    assert (key.sha256, key.prefix) == (digest.hexdigest(), KEY[:12])
    assert key_digest(entities.Key(user="ann", key=Secret(KEY))) == digest.digest()
    assert key_digest(entities.Key(user="ann", sha256=digest.hexdigest())) == digest.digest()


def test_a_key_names_models_by_their_slugs() -> None:
    models = {"a": {"name": "acme/chat", "unpriced": "free", "route": None}, "b": {"unpriced": "free", "route": None}}
    keys = {"k": {"user": "ann", "key": KEY, "models": ["a", "b", "gone"]}}
    state = State.of(declared(users={"ann": {}}, models=models, keys=keys))
    assert state.document(docs.ApiKey, declared_id("apikey", "k")).models == ("acme/chat", "b", "gone")


def test_a_route_is_a_resource_of_its_own_with_the_origin_of_its_model() -> None:
    id_ = "model_" + "a" * 32
    model = {"id": id_, "origin": "api", "unpriced": "free", "route": {"targets": [{"backend": "one", "weight": 3}]}}
    resources = declared(
        providers={"up": {"type": "custom"}}, backends={"one": {"provider": "up", "model": "m"}}, models={"m": model}
    )
    (route,) = (one for one in resources if one.kind == "route")
    assert (route.id, route.origin, route.name) == (route_id(id_), "api", id_)
    assert isinstance(route.document, docs.Route)
    assert route.document.targets == (docs.Target(backend_id=declared_id("be", "one"), weight=3),)


def test_a_model_that_goes_nowhere_has_no_route() -> None:
    kinds = [one.kind for one in declared(models={"m": {"unpriced": "free", "route": None}})]
    assert kinds == ["partner", "tenant", "model"]


def test_grants_say_partner_or_tenant() -> None:
    resources = declared(
        providers={"up": {"type": "custom"}},
        backends={"one": {"provider": "up", "model": "m", "granted_to": ["partner/default", "tenant/default"]}},
    )
    (backend,) = (one.document for one in resources if one.kind == "backend")
    assert isinstance(backend, docs.Backend)
    assert backend.granted_to == (declared_id("partner", "default"), declared_id("tenant", "default"))


def test_each_resource_stands_behind_those_that_it_refers_to() -> None:
    resources = declared(
        users={"ann": {}},
        keys={"k": {"user": "ann", "key": KEY}},
        budgets={"b": {"scope": "key", "of": "k", "period": "daily", "request_limit": 1}},
        model_groups={"g": {"models": ["m"]}},
        model_access={"a": {"subject": "user", "of": "ann", "model_group": "g"}},
        models={"m": {"unpriced": "free", "route": None}},
    )
    seen: set[str] = set()
    for one in resources:
        assert {reference.id for reference in one.is_a.references(one.document)} <= seen
        seen.add(one.id)
