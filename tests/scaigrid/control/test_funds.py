"""A budget becomes a fund for each amount that it limits, with all that it does at its limit."""

from fractions import Fraction
from typing import Any

import msgspec

from scaigrid.config import schema
from scaigrid.config.snapshot import Fund
from scaigrid.control.declared import resources_of
from scaigrid.control.funds import funds_of
from scaigrid.control.state import State
from scaigrid.ids import declared_id
from scaigrid.secrets import decode_secret


def funds(**sections: Any) -> list[Fund]:
    config: dict[str, Any] = {
        "partners": {"p": {}},
        "tenants": {"a": {"partner": "p"}},
        "users": {"ann": {"tenant": "a"}},
        "groups": {"team": {"tenant": "a", "users": ["ann"]}},
        "models": {"tenant/a/own": {"unpriced": "free", "route": None}, "m": {"unpriced": "free", "route": None}},
        **sections,
    }
    made = msgspec.convert(config, schema.Config, dec_hook=decode_secret)
    return list(funds_of(State.of(resources_of(made))))


def test_what_it_does_at_its_limit_goes_along() -> None:
    said = {"hard_action": "throttle", "soft_limit_pct": "0.3", "throttle_per_minute": 7, "on_store_failure": "allow"}
    (fund,) = funds(budgets={"b": {"scope": "user", "of": "ann", "period": "daily", "request_limit": 2, **said}})
    assert (fund.action, fund.soft, fund.throttle) == ("throttle", Fraction(3, 10), 7)
    assert fund.at(0).on_store_failure == fund.window.on_store_failure == "allow"


def test_unsaid_it_blocks_warns_at_four_fifths_and_is_denied_without_its_store() -> None:
    (fund,) = funds(budgets={"b": {"scope": "user", "of": "ann", "period": "daily", "request_limit": 2}})
    assert (fund.action, fund.soft, fund.on_store_failure) == ("block", Fraction(4, 5), "deny")


def test_no_part_no_warning() -> None:
    budget = {"scope": "user", "of": "ann", "period": "daily", "request_limit": 2, "soft_limit_pct": None}
    assert funds(budgets={"b": budget})[0].soft is None


def test_a_key_s_own_budget_has_all_that_others_have() -> None:
    budget = {"token_limit": 5, "hard_action": "notify", "soft_limit_pct": "0.5"}
    (fund,) = funds(keys={"k": {"user": "ann", "sha256": "0" * 64, "budget": budget}})
    assert (fund.level, fund.kind, fund.action, fund.soft) == ("key", "tokens", "notify", Fraction(1, 2))


def test_each_fund_says_whose_tenant_and_partner_it_is_about() -> None:
    scopes = {"partner": "p", "tenant": "a", "user": "ann", "group": "team", "model": "m"}
    budgets = {scope: {"scope": scope, "of": of, "period": "total", "request_limit": 1} for scope, of in scopes.items()}
    budgets["own"] = {**budgets["model"], "of": "tenant/a/own"}
    tenant, partner = declared_id("tenant", "a"), declared_id("partner", "p")
    assert {fund.name: (fund.tenant_id, fund.partner_id) for fund in funds(budgets=budgets)} == {
        "partner": (None, partner),
        "tenant": (tenant, partner),
        "user": (tenant, partner),
        "group": (tenant, partner),
        "model": (None, None),
        "own": (tenant, partner),
    }
