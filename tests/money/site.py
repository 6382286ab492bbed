"""The gateway that the facts are shown of: one model with a price of nine places, and callers with a purse each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from scaigrid.ids import declared_id
from tests.harness import databases
from tests.harness.gateway import Gateway
from tests.harness.lanes import UNLIMITED, secret
from tests.harness.valkey import Valkey
from tests.money.orders import COST, MOST_OUTPUT, PRICES, WINDOW

PATIENT: Final = 5.0
"""Seconds to wait for the store where nothing is wrong with it: here the machine is the slow one."""


def config(
    url: str,
    users: Mapping[str, Mapping[str, Any]],
    *,
    budgets: Mapping[str, Mapping[str, Any]] | None = None,
    store: Valkey | None = None,
    store_seconds: float = PATIENT,
    database: str | None = None,
    workers: int = 1,
    model: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A configuration. `url` is the provider's; each user has a key of its name; nobody else has a limit."""
    made: dict[str, Any] = {
        "server": {"workers": workers},
        "log": {"level": "info"},
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": {name: {"limits": UNLIMITED, **user} for name, user in users.items()},
        "keys": {name: {"user": name, "key": secret(name), "limits": UNLIMITED} for name in users},
        "providers": {"p": {"type": "openai", "base_url": url, "api_key": "provider-key"}},
        "backends": {"b": {"provider": "p", "model": "upstream-model", "cost": dict(COST)}},
        "models": {
            "m": {
                "context_window": WINDOW,
                "max_output_tokens": MOST_OUTPUT,
                "prices": dict(PRICES),
                "route": {"targets": [{"backend": "b"}]},
                **(model or {}),
            }
        },
        "budgets": dict(budgets or {}),
    }
    if store is not None:
        made["store"] = {"type": "valkey", "url": store.url, "timeout_seconds": store_seconds}
    if database is not None:
        made["database"] = {
            "url": database.replace("postgresql+asyncpg", "postgres"),
            "encryption_key": "k" * 32,
        }
    for section, entries in more.items():
        made[section] = {**made.get(section, {}), **entries}
    return made


def budget(scope: str, of: str, **limits: Any) -> dict[str, Any]:
    """A budget that never starts anew."""
    return {"scope": scope, "of": of, "period": "total", **limits}


def money(nano: int) -> str:
    """Nano-units as a configuration has them."""
    whole, rest = divmod(nano, 10**9)
    return f"{whole}.{rest:09}"


def database_of(gateway: Gateway) -> str:
    """Where a gateway keeps its ledger that was told nothing about it."""
    return f"sqlite+aiosqlite:///{gateway.data / 'scaigrid.db'}"


def rows(database: str) -> list[dict[str, Any]]:
    """The ledger, past all of our code."""
    return databases.execute(database, "SELECT * FROM usage")


def spent(gateway: Gateway) -> dict[tuple[str, str], int]:
    """By name and kind of a budget: what the gateway says is spent of it."""
    metrics = gateway.metrics()
    found = {(told["budget"], told["kind"]): told for told in metrics.labels("scaigrid_budget_spent")}
    return {which: int(metrics.value("scaigrid_budget_spent", **told)) for which, told in found.items()}


def user_id(name: str) -> str:
    return declared_id("user", name)


def journal(data: Path) -> list[str]:
    """What lies in a gateway's journal."""
    return sorted(path.name for path in (data / "journal").iterdir())


def budget_id(name: str) -> str:
    return declared_id("budget", name)


def of_scope(scope: str, of: str) -> str:
    """The condition under which a row of the ledger belongs to a party; members of a group are named in the row."""
    if scope == "model":
        return f"model = '{of}'"
    if scope == "group":
        return f"' ' || groups || ' ' LIKE '% {declared_id('group', of)} %'"
    prefix = {"key": "apikey"}.get(scope, scope)
    return f"{scope}_id = '{declared_id(prefix, of)}'"
