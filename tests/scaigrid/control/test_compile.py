"""A configuration becomes the graph that requests read."""

import hashlib
from decimal import Decimal

import msgspec
import pytest

from adapters import ADAPTERS
from scaigrid.config import entities, routing, schema, terms
from scaigrid.config.key_budget import KeyBudget
from scaigrid.config.snapshot import Principal, Snapshot
from scaigrid.control.compile import compile_snapshot, compile_state
from scaigrid.control.declared import resources_of
from scaigrid.control.state import State
from scaigrid.credentials.fetching import Fetching
from scaigrid.credentials.signers import Signers
from scaigrid.errors import Level
from scaigrid.secrets import Secret
from tests.harness.clock import StillClock
from tests.harness.upstream import ScriptedUpstream

KEY = "sgk_" + "k" * 32
DIGEST = hashlib.sha256(KEY.encode()).digest()


AWS = entities.Provider(
    type="bedrock",
    options={"region": "eu-central-1"},
    credentials={"access_key_id": Secret("AKIDEXAMPLE012345"), "secret_access_key": Secret("secret-of-some-length")},
)


def compiled(signers: Signers | None = None, **sections: object) -> Snapshot:
    config: dict[str, object] = {
        "users": {"ann": entities.User()},
        "keys": {"ann": entities.Key(user="ann", key=Secret(KEY))},
        "providers": {
            "up": entities.Provider(type="custom", base_url="http://127.0.0.1:9/v1/", api_key=Secret("sk-provider"))
        },
        "backends": {
            "one": entities.Backend(provider="up", model="m-1", cost=terms.Cost(input=Decimal("0.5"))),
            "two": entities.Backend(provider="up", model="m-2"),
        },
        "models": {"acme/chat": model("one")},
    }
    made = schema.Config(**(config | sections))  # type: ignore[arg-type]  # sections by name
    if signers is None:
        return compile_snapshot(made, ADAPTERS)
    return compile_state(State.of(resources_of(made)), made, ADAPTERS, signers)


def model(*backends: str, **fields: object) -> entities.Model:
    targets = tuple(routing.RouteTarget(backend=name) for name in backends)
    return entities.Model(route=routing.Route(targets=targets), **({"unpriced": "free"} | fields))  # type: ignore[arg-type]


def limits(principal: Principal) -> list[tuple[str, int]]:
    return [(take.bucket.level, take.bucket.limit) for take in principal.windows]


def test_a_key_is_found_by_its_digest_and_kept_nowhere() -> None:
    snapshot = compiled()
    assert snapshot.keys[DIGEST].user.name == "ann"
    assert KEY not in repr(snapshot.keys)


def test_partner_and_tenant_are_there_where_none_is_declared() -> None:
    principal = compiled().keys[DIGEST]
    assert (principal.partner.name, principal.tenant.name) == ("default", "default")


def test_the_published_limits_hold_where_none_is_given() -> None:
    assert limits(compiled().keys[DIGEST]) == [("key", 60), ("user", 120), ("tenant", 1000), ("partner", 5000)]


def test_null_is_no_limit_and_zero_is_a_limit() -> None:
    users = {"ann": entities.User(limits=terms.Limits(requests_per_minute=None))}
    keys = {"ann": entities.Key(user="ann", key=Secret(KEY), limits=terms.Limits(requests_per_minute=0))}
    assert limits(compiled(users=users, keys=keys).keys[DIGEST]) == [("key", 0), ("tenant", 1000), ("partner", 5000)]


def test_two_keys_of_one_user_share_its_limit_and_not_each_other_s() -> None:
    other = "sgk_" + "o" * 32
    keys = {name: entities.Key(user="ann", key=Secret(key)) for name, key in (("ann", KEY), ("other", other))}
    snapshot = compiled(keys=keys)
    first = snapshot.keys[DIGEST].windows
    second = snapshot.keys[hashlib.sha256(other.encode()).digest()].windows
    assert [one.bucket.key == two.bucket.key for one, two in zip(first, second, strict=True)] == [
        False,
        True,
        True,
        True,
    ]


def test_a_model_has_limits_of_its_own_and_none_unsaid() -> None:
    given = terms.Limits(requests_per_day=3, tokens_per_minute=4, concurrent_requests=5, on_store_failure="allow")
    made = compiled(
        models={"a": model("one", limits=given, max_output_tokens=1, max_image_tokens=7), "b": model("one")}
    )
    limited, free = made.models["a"], made.models["b"]
    buckets = [*(take.bucket for take in limited.windows), *limited.token_windows]
    assert [(one.level, one.kind, one.limit, one.on_store_failure) for one in buckets] == [
        ("model", "requests", 3, "allow"),
        ("model", "concurrency", 5, "allow"),
        ("model", "tokens", 4, "allow"),
    ]
    assert {one.key.rpartition(":")[2] for one in buckets} == {limited.id}
    assert (free.windows, free.token_windows) == ((), ())
    assert (limited.max_image_tokens, free.max_image_tokens) == (7, None)


def test_ids_are_the_same_in_every_process() -> None:
    first, second = compiled(), compiled()
    assert first.keys[DIGEST].user.id == second.keys[DIGEST].user.id
    assert first.keys[DIGEST].user.id != first.keys[DIGEST].tenant.id


def test_a_budget_stands_with_whom_it_bounds() -> None:
    owners: list[tuple[Level, str]] = [("partner", "default"), ("tenant", "default"), ("user", "ann"), ("key", "ann")]
    budgets: dict[str, entities.Budget] = {
        scope: entities.Budget(scope=scope, of=of, period="total", cost_limit=Decimal(1)) for scope, of in owners
    }
    budgets["model"] = entities.Budget(scope="model", of="acme/chat", period="total", request_limit=1)
    snapshot = compiled(budgets=budgets)
    assert [fund.level for fund in snapshot.keys[DIGEST].funds] == ["key", "user", "tenant", "partner"]
    assert [fund.level for fund in snapshot.models["acme/chat"].funds] == ["model"]
    assert snapshot.anonymous.funds == snapshot.keys[DIGEST].funds[2:]


def test_each_amount_of_a_budget_is_a_fund() -> None:
    budget = entities.Budget(
        scope="user", of="ann", period="daily", cost_limit=Decimal("0.5"), token_limit=7, request_limit=3
    )
    funds = compiled(budgets={"b": budget}).keys[DIGEST].funds
    assert [(fund.kind, fund.limit) for fund in funds] == [("cost", 500_000_000), ("tokens", 7), ("requests", 3)]


def test_left_out_prices_follow_the_nearest_one() -> None:
    prices = terms.Prices(
        input=Decimal("0.01875"), output=Decimal(2), cache_write=Decimal("0.5"), request=Decimal("0.001")
    )
    price = compiled(models={"acme/chat": model("one", prices=prices, unpriced=None)}).models["acme/chat"].price
    assert price is not None
    assert (price.input, price.cache_read, price.cache_write, price.cache_write_1h, price.output, price.request) == (
        18_750_000,
        18_750_000,
        500_000_000,
        500_000_000,
        2_000_000_000,
        1_000_000,
    )


def test_the_version_of_a_price_list_changes_with_its_prices() -> None:
    def version(output: int) -> str:
        prices = terms.Prices(output=Decimal(output))
        price = compiled(models={"m": model("one", prices=prices, unpriced=None)}).models["m"].price
        assert price is not None
        return price.version

    assert version(1) == version(1) != version(2)


@pytest.mark.parametrize(("unpriced", "priced"), [("free", True), ("refuse", False)])
def test_unpriced_says_free_or_refused(unpriced: str, priced: bool) -> None:
    price = compiled(models={"m": model("one", unpriced=unpriced)}).models["m"].price
    assert (price is not None) is priced
    assert price is None or price.free


def test_targets_stand_in_tiers_by_priority() -> None:
    targets = (
        routing.RouteTarget(backend="two", priority=5),
        routing.RouteTarget(backend="one", priority=0, weight=3),
    )
    route = (
        compiled(models={"m": entities.Model(route=routing.Route(targets=targets), unpriced="free")}).models["m"].route
    )
    assert [[(each.backend.name, each.weight) for each in tier] for tier in route.tiers] == [[("one", 3)], [("two", 1)]]


def test_a_backend_is_ready_to_be_called() -> None:
    (one, _) = compiled().backends
    assert (one.target.base_url, one.target.model) == ("http://127.0.0.1:9/v1", "m-1")
    assert ("authorization", "Bearer sk-provider") in [(name.lower(), value) for name, value in one.target.headers]
    assert one.cost.input == 500_000_000


def test_every_credential_is_known_so_that_it_can_be_kept_out_of_texts() -> None:
    provider = entities.Provider(
        type="custom",
        base_url="http://127.0.0.1:9/v1/",
        api_key=Secret("sk-provider"),
        headers={"x-org": Secret("org"), "x-token": Secret("a-token-of-some-length")},
    )
    backends = {"one": entities.Backend(provider="up", model="m", api_key=Secret("sk-backend"))}
    snapshot = compiled(providers={"up": provider}, backends=backends)
    assert set(snapshot.secrets) == {"sk-provider", "sk-backend", "a-token-of-some-length"}


def test_a_backends_own_credential_goes_before_its_providers() -> None:
    backends = {"one": entities.Backend(provider="up", model="m", api_key=Secret("sk-backend"))}
    headers = dict(compiled(backends=backends).backends[0].target.headers)
    assert "Bearer sk-backend" in headers.values()
    assert "Bearer sk-provider" not in headers.values()


def test_a_backend_knows_what_its_answers_may_not_hold_but_no_key_that_is_a_word() -> None:
    provider = entities.Provider(type="custom", base_url="http://127.0.0.1:9/v1/", api_key=Secret("sk-of-the-provider"))
    guarded = entities.Provider(
        type="custom",
        base_url="http://127.0.0.1:9/v1/",
        headers={"X-Api-Token": Secret("a-token-of-some-length"), "x-org": Secret("the-name-of-an-organisation")},
    )
    bearer = entities.Provider(
        type="custom",
        base_url="http://127.0.0.1:9/v1/",
        headers={"Authorization": Secret("Bearer sk-of-the-third-provider")},
    )
    backends = {
        "one": entities.Backend(provider="up", model="m"),
        "two": entities.Backend(provider="up", model="m", api_key=Secret("sk-of-the-backend")),
        "local": entities.Backend(provider="local", model="m"),
        "guarded": entities.Backend(provider="guarded", model="m"),
        "bearer": entities.Backend(provider="bearer", model="m"),
    }
    local = entities.Provider(type="custom", base_url="http://127.0.0.1:9/v1/", api_key=Secret("EMPTY"))
    providers = {"up": provider, "local": local, "guarded": guarded, "bearer": bearer}
    snapshot = compiled(providers=providers, backends=backends, models={})
    assert {one.name: one.credentials for one in snapshot.backends} == {
        "one": (b"sk-of-the-provider",),
        "two": (b"sk-of-the-backend", b"sk-of-the-provider"),
        "local": (),
        "guarded": (b"a-token-of-some-length",),
        # Whoever tells it does so without the word before it.
        "bearer": (b"sk-of-the-third-provider",),
    }
    assert "sk-of-the-third-provider" in snapshot.secrets


def test_a_model_without_a_route_has_no_candidates() -> None:
    snapshot = compiled(models={"m": entities.Model(route=None, unpriced="free")})
    assert (snapshot.models["m"].route.tiers, snapshot.models["m"].backend_count) == ((), 0)


def test_a_keys_own_budget_counts_its_calls_alone() -> None:
    budget = KeyBudget(period="monthly", cost_limit=Decimal(5))
    keys = {
        "ann": entities.Key(user="ann", key=Secret(KEY), budget=budget),
        "other": entities.Key(user="ann", sha256="0" * 64),
    }
    snapshot = compiled(keys=keys)
    assert [(fund.level, fund.kind, fund.limit) for fund in snapshot.keys[DIGEST].funds] == [
        ("key", "cost", 5_000_000_000)
    ]
    assert snapshot.keys[bytes(32)].funds == ()


def test_budgets_of_one_name_have_buckets_of_their_own() -> None:
    """Two tenants may each have a budget `monthly`."""
    budget = KeyBudget(period="total", request_limit=5)
    keys = {
        "a": entities.Key(user="ann", name="same", sha256="0" * 64, budget=budget),
        "b": entities.Key(user="ann", name="same", sha256="1" * 64, budget=budget),
    }
    one, two = compiled(keys=keys).funds
    assert (one.name, one.at(0).key) != (two.name, two.at(0).key)
    assert one.name == two.name


def test_options_reach_the_adapter_and_make_the_address() -> None:
    (one, _) = compiled(providers={"up": AWS}).backends
    assert one.target.base_url == "https://bedrock-runtime.eu-central-1.amazonaws.com"
    assert one.target.options.region == "eu-central-1"
    moved = msgspec.structs.replace(AWS, base_url="https://proxy.example/")
    assert compiled(providers={"up": moved}).backends[0].target.base_url == "https://proxy.example"


def test_what_a_backend_speaks_may_depend_on_options() -> None:
    def spoken(**options: str) -> frozenset[str]:
        provider = entities.Provider(type="openai", api_key=Secret("k"), options=options)
        return compiled(providers={"up": provider}).backends[0].target.speaks

    assert "openai/chat" in spoken()
    assert "openai/chat" not in spoken(api="responses")


def test_a_signer_stays_while_nothing_about_it_changes() -> None:
    signers = Signers(StillClock(), Fetching(ScriptedUpstream()))
    first, second = (compiled(signers, providers={"up": AWS}) for _ in range(2))
    (one, two), (again, _) = first.backends, second.backends
    assert one.signer is not None
    assert one.signer is two.signer is again.signer
    elsewhere = msgspec.structs.replace(AWS, options={"region": "us-east-1"})
    assert compiled(signers, providers={"up": elsewhere}).backends[0].signer is not one.signer


def test_a_backends_own_key_is_signed_by_nobody() -> None:
    signers = Signers(StillClock(), Fetching(ScriptedUpstream()))
    backends = {"one": entities.Backend(provider="up", model="m", api_key=Secret("sk-backend"))}
    (one,) = compiled(signers, providers={"up": AWS}, backends=backends).backends
    assert one.signer is None
    assert ("authorization", "Bearer sk-backend") in one.target.headers


def test_every_line_of_a_credential_is_known_so_that_it_can_be_kept_out_of_texts() -> None:
    key = "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0B\\nAQEFAASC\\n-----END PRIVATE KEY-----\\n"
    provider = entities.Provider(type="google", credentials={"service_account": Secret(f'{{"private_key":"{key}"}}')})
    assert "MIIEvQIBADANBgkqhkiG9w0B" in compiled(providers={"up": provider}).secrets
    assert {"AKIDEXAMPLE012345", "secret-of-some-length"} <= set(compiled(providers={"up": AWS}).secrets)


@pytest.mark.parametrize(("said", "drops"), [({}, False), ({"on_unsupported": "drop_with_header"}, True)])
def test_a_model_says_what_becomes_of_what_a_provider_has_no_word_for(said: dict[str, object], drops: bool) -> None:
    assert compiled(models={"m": model("one", **said)}).models["m"].drops_unsupported is drops


@pytest.mark.parametrize("said", ["cancel", "drain"])
def test_a_model_says_what_becomes_of_an_answer_whose_client_has_left(said: str) -> None:
    assert compiled(models={"m": model("one")}).models["m"].on_disconnect == "cancel"
    assert compiled(models={"m": model("one", on_disconnect=said)}).models["m"].on_disconnect == said
