"""What holds for every resource, whoever makes it."""

from decimal import Decimal

import msgspec
import pytest

from adapters import ADAPTERS
from scaigrid.config import entities, routing, schema, terms
from scaigrid.control import documents as docs
from scaigrid.control.declared import resources_of, route_id
from scaigrid.control.resource import Resource
from scaigrid.control.rules import faults, in_use
from scaigrid.control.state import State
from scaigrid.errors import Code, GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import Modality

_CONFIG = schema.Config(
    tenants={"a": entities.Tenant(), "b": entities.Tenant()},
    users={"ann": entities.User(tenant="a", external_id="corp|1"), "bob": entities.User(tenant="b")},
    groups={"team": entities.Group(tenant="a")},
    roles={"extra": entities.CustomRole(tenant="b")},
    keys={"ann": entities.Key(user="ann", sha256="0" * 64)},
    providers={
        "sim": entities.Provider(type="simulator"),
        "claude": entities.Provider(type="anthropic"),
        "orders": entities.Provider(type="cohere"),
    },
    backends={
        "one": entities.Backend(provider="sim", model="m"),
        "two": entities.Backend(provider="claude", model="m"),
        "three": entities.Backend(provider="orders", model="m"),
    },
    models={
        "chat": entities.Model(
            route=routing.Route(targets=(routing.RouteTarget(backend="one"),)),
            unpriced="free",
            max_output_tokens=10,
        ),
        "vectors": entities.Model(route=None, unpriced="free", modality=Modality.EMBEDDING),
        "order": entities.Model(route=None, unpriced="free", modality=Modality.RERANK),
    },
)
STATE = State.of(resources_of(_CONFIG))


def _id(kind: str, name: str) -> str:
    return next(resource.id for resource in STATE.all(kind).values() if resource.name == name)


def _found(kind: str, document: docs.Document, id_: str = "new", state: State = STATE) -> dict[str, str]:
    resource = Resource(kind=kind, id=id_, origin="api", document=document)
    return {fault.field: fault.message for fault in faults(resource, state, ADAPTERS)}


def _route(model: str, *targets: docs.Target) -> docs.Route:
    return docs.Route(name=_id("model", model), model_id=_id("model", model), targets=targets)


A, B = _id("tenant", "a"), _id("tenant", "b")
CASES: tuple[tuple[str, docs.Document, set[str]], ...] = (
    ("user", docs.User(name="u", tenant_id=A), set()),
    ("user", docs.User(name="u", tenant_id=A, custom_role_ids=(_id("role", "extra"),)), {"custom_role_ids[0]"}),
    ("user", docs.User(name="u", tenant_id=A, external_id="corp|1"), {"external_id"}),
    ("group", docs.Group(name="g", tenant_id=A, user_ids=(_id("user", "ann"),)), set()),
    ("group", docs.Group(name="g", tenant_id=A, user_ids=(_id("user", "bob"),)), {"user_ids[0]"}),
    ("group", docs.Group(name="g", tenant_id=A, user_ids=(_id("user", "ann"),) * 2), {"user_ids[1]"}),
    ("role", docs.CustomRole(name="r", tenant_id=A, core_permissions=("users:manage",)), set()),
    ("role", docs.CustomRole(name="r", tenant_id=A, core_permissions=("models:manage",)), {"core_permissions[0]"}),
    ("role_mapping", docs.RoleMapping(name="m", group_id=_id("group", "team"), role="tenant_admin"), set()),
    ("role_mapping", docs.RoleMapping(name="m", group_id=_id("group", "team"), role="super_admin"), {"role"}),
    (
        "role_mapping",
        docs.RoleMapping(name="m", group_id=_id("group", "team"), custom_role_id=_id("role", "extra")),
        {"custom_role_id"},
    ),
    ("api_key", docs.ApiKey(name="k", user_id=_id("user", "ann"), sha256="1" * 64, scopes=("models:use",)), set()),
    ("api_key", docs.ApiKey(name="k", user_id=_id("user", "ann"), sha256="1" * 64, scopes=("no:such",)), {"scopes[0]"}),
    ("api_key", docs.ApiKey(name="k", user_id=_id("user", "ann"), sha256="1" * 64, models=("none",)), {"models[0]"}),
    ("provider", docs.Provider(name="p", type="openai"), set()),
    ("provider", docs.Provider(name="p", type="custom"), {"base_url"}),
    ("provider", docs.Provider(name="p", type="nobody"), {"type"}),
    ("provider", docs.Provider(name="p", type="openai", headers={"Host": Secret("x")}), {"headers.Host"}),
    ("provider", docs.Provider(name="p", type="openai", headers={"x": Secret("a\nb")}), {"headers.x"}),
    ("provider", docs.Provider(name="p", type="bedrock", options={"region": "us-east-1"}), set()),
    ("provider", docs.Provider(name="p", type="bedrock"), {"base_url"}),
    ("provider", docs.Provider(name="p", type="openai", options={"region": "us-east-1"}), {"options.region"}),
    ("provider", docs.Provider(name="p", type="openai", credentials={"key": Secret("x")}), {"credentials"}),
    ("provider", docs.Provider(name="p", type="google", credentials={"key": Secret("x")}), {"credentials.key"}),
    ("model", docs.Model(name="m", unpriced="free"), set()),
    ("model", docs.Model(name="m"), {"prices"}),
    ("model", docs.Model(name="tenant/a/m", unpriced="free"), set()),
    ("model", docs.Model(name="tenant/z/m", unpriced="free"), {"slug"}),
    ("route", _route("vectors", docs.Target(backend_id=_id("backend", "one"))), set()),
    ("route", _route("vectors"), {"targets"}),
    ("route", _route("vectors", docs.Target(backend_id=_id("backend", "two"))), {"targets[0].backend_id"}),
    ("route", _route("vectors", *[docs.Target(backend_id=_id("backend", "one"))] * 2), {"targets[1].backend_id"}),
    ("route", _route("vectors", docs.Target(backend_id=_id("backend", "one"), weight=0)), {"targets"}),
    ("route", _route("order", docs.Target(backend_id=_id("backend", "three"))), set()),
    ("route", _route("order", docs.Target(backend_id=_id("backend", "two"))), {"targets[0].backend_id"}),
    ("model_group", docs.ModelGroup(name="g", scope="tenant"), {"scope_id"}),
    ("model_access", docs.ModelAccess(name="x", subject_type="tenant", subject_id=A), {"model_id"}),
    ("budget", docs.Budget(name="b", scope="tenant", scope_id=A, period="daily", request_limit=1), set()),
    ("budget", docs.Budget(name="b", scope="tenant", scope_id=A, period="daily", cost_limit=Decimal(1)), set()),
)


@pytest.mark.parametrize(("kind", "document", "fields"), CASES)
def test_a_resource_is_judged_by_its_kind(kind: str, document: docs.Document, fields: set[str]) -> None:
    assert set(_found(kind, document)) == fields


def test_a_budget_needs_bounds_and_bounds_stay_while_there_is_one() -> None:
    unbounded = STATE.after(
        [Resource(kind="model", id="model_x", origin="api", document=docs.Model(name="x", unpriced="free"))], (), 1
    )
    budget = docs.Budget(name="b", scope="tenant", scope_id=A, period="daily", token_limit=1)
    assert set(_found("budget", budget, state=unbounded)) == {"cost_limit"}
    assert _found("budget", msgspec.structs.replace(budget, hard_action="notify"), state=unbounded) == {}
    kept = STATE.after([Resource(kind="budget", id="budget_x", origin="api", document=budget)], (), 1)
    assert set(_found("model", docs.Model(name="x", unpriced="free"), state=kept)) == {"max_output_tokens"}


LIMITED = terms.Limits(tokens_per_day=1)
HOLDERS: tuple[tuple[str, docs.Document], ...] = (
    ("partner", docs.Partner(name="p", limits=LIMITED)),
    ("tenant", docs.Tenant(name="t", partner_id=_id("partner", "default"), limits=LIMITED)),
    ("user", docs.User(name="u", tenant_id=A, limits=LIMITED)),
    ("api_key", docs.ApiKey(name="k", user_id=_id("user", "ann"), sha256="1" * 64, limits=LIMITED)),
)


@pytest.mark.parametrize(("kind", "document"), HOLDERS, ids=[kind for kind, _ in HOLDERS])
def test_a_limit_on_tokens_needs_bounds_and_bounds_stay_while_there_is_one(kind: str, document: docs.Document) -> None:
    boundless = docs.Model(name="x", unpriced="free")
    unbounded = STATE.after([Resource(kind="model", id="model_x", origin="api", document=boundless)], (), 1)
    assert _found(kind, document) == {}
    assert set(_found(kind, document, state=unbounded)) == {"limits.tokens_per_day"}
    kept = STATE.after([Resource(kind=kind, id="holder", origin="api", document=document)], (), 1)
    assert set(_found("model", boundless, state=kept)) == {"max_output_tokens"}


def test_a_models_own_limit_on_tokens_needs_its_own_bound() -> None:
    model = docs.Model(name="x", unpriced="free", limits=LIMITED)
    assert set(_found("model", model)) == {"max_output_tokens"}
    assert _found("model", msgspec.structs.replace(model, max_output_tokens=1)) == {}
    assert _found("model", msgspec.structs.replace(model, modality=Modality.EMBEDDING)) == {}


def test_a_models_modality_has_to_go_with_its_route() -> None:
    chat = docs.Model(name="chat", unpriced="free", modality=Modality.IMAGE)
    assert set(_found("model", chat, _id("model", "chat"))) == {"modality"}


@pytest.mark.parametrize(
    ("kind", "document", "code"),
    [
        ("tenant", docs.Tenant(name="t", partner_id="partner_x"), Code.NOT_FOUND),
        ("backend", docs.Backend(name="b", provider_id="prov_x", model="m"), Code.PROVIDER_NOT_FOUND),
        ("route", docs.Route(name="r", model_id="model_x", targets=()), Code.MODEL_NOT_FOUND),
        ("tenant", docs.Tenant(name="a", partner_id=_id("partner", "default")), Code.SLUG_CONFLICT),
        ("user", docs.User(name="ann", tenant_id=A), Code.SLUG_CONFLICT),
    ],
)
def test_what_is_not_there_and_what_is_taken_have_their_codes(kind: str, document: docs.Document, code: Code) -> None:
    with pytest.raises(GatewayError) as caught:
        _found(kind, document)
    assert caught.value.code is code


def test_a_name_is_taken_in_its_tenant_alone_and_never_by_itself() -> None:
    assert _found("user", docs.User(name="ann", tenant_id=B)) == {}
    assert _found("user", docs.User(name="ann", tenant_id=A), _id("user", "ann")) == {}


@pytest.mark.parametrize(
    ("kind", "name", "code", "named"),
    [
        ("provider", "sim", Code.PROVIDER_HAS_BACKENDS, "backend"),
        ("model", "chat", Code.MODEL_HAS_BACKENDS, "route"),
        ("user", "ann", Code.CONFLICT, "api_key"),
        ("tenant", "b", Code.CONFLICT, "user"),
    ],
)
def test_what_is_in_use_names_its_users(kind: str, name: str, code: Code, named: str) -> None:
    with pytest.raises(GatewayError) as caught:
        in_use(STATE.all(kind)[_id(kind, name)], STATE)
    assert caught.value.code is code
    assert named in {detail.field for detail in caught.value.details}


def test_what_nobody_uses_may_go() -> None:
    in_use(STATE.all("route")[route_id(_id("model", "chat"))], STATE)


def test_every_kind_of_price_is_a_price() -> None:
    assert _found("model", docs.Model(name="m", prices=terms.Prices(input=Decimal(1)))) == {}


OWN = STATE.after(
    [Resource(kind="model", id="model_own", origin="api", document=docs.Model(name="tenant/a/own", unpriced="free"))],
    (),
    1,
)


def test_a_party_keeps_the_name_that_stands_in_the_slugs_of_its_models() -> None:
    partner = _id("partner", "default")
    renamed = docs.Tenant(name="z", partner_id=partner)
    assert _found("tenant", renamed, A, STATE) == {}
    assert "tenant/a/own" in _found("tenant", renamed, A, OWN)["slug"]
    assert _found("tenant", docs.Tenant(name="a", partner_id=partner, suspended=True), A, OWN) == {}
    assert _found("tenant", renamed, B, OWN) == {}


def test_a_party_with_models_of_its_own_is_in_use() -> None:
    fresh = docs.Tenant(name="fresh", partner_id=_id("partner", "default"))
    tenant = Resource(kind="tenant", id="tenant_x", origin="api", document=fresh)
    model = docs.Model(name="tenant/fresh/own", unpriced="free")
    state = STATE.after([tenant], (), 1)
    in_use(tenant, state)
    state = state.after([Resource(kind="model", id="model_x", origin="api", document=model)], (), 2)
    with pytest.raises(GatewayError) as caught:
        in_use(tenant, state)
    assert caught.value.code is Code.CONFLICT
    assert [detail.field for detail in caught.value.details] == ["model"]


def test_a_backend_goes_to_no_provider_that_cannot_serve_its_models() -> None:
    route = _route("vectors", docs.Target(backend_id=_id("backend", "one")))
    state = STATE.after([Resource(kind="route", id="route_x", origin="api", document=route)], (), 1)
    moved = docs.Backend(name="one", provider_id=_id("provider", "claude"), model="m")
    assert _found("backend", moved, _id("backend", "one"), STATE) == {}
    assert "vectors" in _found("backend", moved, _id("backend", "one"), state)["provider_id"]
