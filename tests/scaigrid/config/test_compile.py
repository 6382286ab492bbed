"""A configuration becomes the graph that requests read."""

import hashlib
from decimal import Decimal

import pytest

from adapters import ADAPTERS
from scaigrid.config import schema
from scaigrid.config.compile import compile_snapshot
from scaigrid.config.snapshot import Principal, Snapshot
from scaigrid.errors import Level
from scaigrid.secrets import Secret

KEY = "sgk_" + "k" * 32
DIGEST = hashlib.sha256(KEY.encode()).digest()


def compiled(**sections: object) -> Snapshot:
    config: dict[str, object] = {
        "users": {"ann": schema.User()},
        "keys": {"ann": schema.Key(user="ann", key=Secret(KEY))},
        "providers": {
            "up": schema.Provider(type="custom", base_url="http://127.0.0.1:9/v1/", api_key=Secret("sk-provider"))
        },
        "backends": {
            "one": schema.Backend(provider="up", model="m-1", cost=schema.Cost(input=Decimal("0.5"))),
            "two": schema.Backend(provider="up", model="m-2"),
        },
        "models": {"acme/chat": model("one")},
    }
    return compile_snapshot(schema.Config(**(config | sections)), ADAPTERS)  # type: ignore[arg-type]  # sections by name


def model(*backends: str, **fields: object) -> schema.Model:
    targets = tuple(schema.RouteTarget(backend=name) for name in backends)
    return schema.Model(route=schema.Route(targets=targets), **({"unpriced": "free"} | fields))  # type: ignore[arg-type]


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
    users = {"ann": schema.User(limits=schema.Limits(requests_per_minute=None))}
    keys = {"ann": schema.Key(user="ann", key=Secret(KEY), limits=schema.Limits(requests_per_minute=0))}
    assert limits(compiled(users=users, keys=keys).keys[DIGEST]) == [("key", 0), ("tenant", 1000), ("partner", 5000)]


def test_two_keys_of_one_user_share_its_limit_and_not_each_other_s() -> None:
    other = "sgk_" + "o" * 32
    keys = {name: schema.Key(user="ann", key=Secret(key)) for name, key in (("ann", KEY), ("other", other))}
    snapshot = compiled(keys=keys)
    first = snapshot.keys[DIGEST].windows
    second = snapshot.keys[hashlib.sha256(other.encode()).digest()].windows
    assert [one.bucket.key == two.bucket.key for one, two in zip(first, second, strict=True)] == [
        False,
        True,
        True,
        True,
    ]


def test_ids_are_the_same_in_every_process() -> None:
    first, second = compiled(), compiled()
    assert first.keys[DIGEST].user.id == second.keys[DIGEST].user.id
    assert first.keys[DIGEST].user.id != first.keys[DIGEST].tenant.id


def test_a_budget_stands_with_whom_it_bounds() -> None:
    owners: list[tuple[Level, str]] = [("partner", "default"), ("tenant", "default"), ("user", "ann"), ("key", "ann")]
    budgets: dict[str, schema.Budget] = {
        scope: schema.Budget(scope=scope, of=of, period="total", cost_limit=Decimal(1)) for scope, of in owners
    }
    budgets["model"] = schema.Budget(scope="model", of="acme/chat", period="total", request_limit=1)
    snapshot = compiled(budgets=budgets)
    assert [fund.level for fund in snapshot.keys[DIGEST].funds] == ["key", "user", "tenant", "partner"]
    assert [fund.level for fund in snapshot.models["acme/chat"].funds] == ["model"]
    assert snapshot.anonymous.funds == snapshot.keys[DIGEST].funds[2:]


def test_each_amount_of_a_budget_is_a_fund() -> None:
    budget = schema.Budget(
        scope="user", of="ann", period="daily", cost_limit=Decimal("0.5"), token_limit=7, request_limit=3
    )
    funds = compiled(budgets={"b": budget}).keys[DIGEST].funds
    assert [(fund.kind, fund.limit) for fund in funds] == [("cost", 500_000_000), ("tokens", 7), ("requests", 3)]


def test_left_out_prices_follow_the_nearest_one() -> None:
    prices = schema.Prices(
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
        prices = schema.Prices(output=Decimal(output))
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
        schema.RouteTarget(backend="two", priority=5),
        schema.RouteTarget(backend="one", priority=0, weight=3),
    )
    route = compiled(models={"m": schema.Model(route=schema.Route(targets=targets), unpriced="free")}).models["m"].route
    assert [[(each.backend.name, each.weight) for each in tier] for tier in route.tiers] == [[("one", 3)], [("two", 1)]]


def test_a_backend_is_ready_to_be_called() -> None:
    (one, _) = compiled().backends
    assert (one.target.base_url, one.target.model) == ("http://127.0.0.1:9/v1", "m-1")
    assert ("authorization", "Bearer sk-provider") in [(name.lower(), value) for name, value in one.target.headers]
    assert one.cost.input == 500_000_000


def test_every_secret_is_known_so_that_it_can_be_kept_out_of_texts() -> None:
    assert set(compiled().secrets) == {KEY, "sk-provider"}
