"""A configuration of a deployment with many tenants, made from numbers: the same ones give the same file."""

import hashlib
from typing import Any, Final

UNLIMITED: Final = {"requests_per_minute": None}
PROVIDER_KEY: Final = "pk-of-the-provider-not-to-be-seen"


def population(*, partners: int = 3, tenants: int = 30, users: int = 300, provider: str) -> dict[str, Any]:
    """The sections of a file. Tenants and users are spread evenly; each user has a key, each tenant a bit of all."""
    made: dict[str, Any] = {
        "partners": {f"partner-{n}": {"display_name": f"Partner {n}", "limits": UNLIMITED} for n in range(partners)},
        "tenants": {},
        "roles": {},
        "users": {},
        "groups": {},
        "role_mappings": {},
        "keys": {},
        "budgets": {},
        "providers": {
            "main": {"type": "openai", "base_url": provider, "api_key": PROVIDER_KEY, "headers": {"x-org": "acme"}},
        },
        "backends": {
            "small": {"provider": "main", "model": "m-small", "cost": {"input": "0.05", "output": "0.40"}},
            "large": {"provider": "main", "model": "m-large", "cost": {"input": "1.25", "output": "10"}},
        },
        "models": {
            "acme/small": model("small", "0.10", display_name="Small"),
            "acme/large": model("large", "2.50", access="granted", system_prompt="You are kind.\nYou are brief.\n"),
        },
        "model_groups": {"all": {"models": ["acme/small", "acme/large"]}},
        "model_access": {},
    }
    for number in range(tenants):
        _tenant(made, number, partners)
    for number in range(users):
        _user(made, number, tenants)
    return made


def model(backend: str, price: str, **more: Any) -> dict[str, Any]:
    """A chat model on one backend."""
    return {
        "context_window": 100_000,
        "max_output_tokens": 1000,
        "prices": {"input": price, "output": price},
        "default_params": {"temperature": 0.2, "stop": ["\n\n"]},
        "route": {"targets": [{"backend": backend}]},
        **more,
    }


def key_of(user: int) -> str:
    """The key of that user."""
    return f"sgk_user_{user:035}"


def _tenant(made: dict[str, Any], number: int, partners: int) -> None:
    name = f"tenant-{number}"
    made["tenants"][name] = {"partner": f"partner-{number % partners}", "limits": UNLIMITED}
    made["roles"][f"auditor-{number}"] = {
        "name": "auditor",
        "tenant": name,
        "core_permissions": ["accounting:view_tenant"],
    }
    made["groups"][f"staff-{number}"] = {"name": "staff", "tenant": name, "users": []}
    made["role_mappings"][f"staff-{number}"] = {"group": f"staff-{number}", "custom_role": f"auditor-{number}"}
    made["budgets"][name] = {"scope": "tenant", "of": name, "period": "monthly", "cost_limit": f"{100 + number}.50"}
    made["model_access"][name] = {"subject": "tenant", "of": name, "model_group": "all"}
    made["models"][f"tenant/{name}/chat"] = model("small", "0.20")


def _user(made: dict[str, Any], number: int, tenants: int) -> None:
    name, tenant = f"user-{number}", number % tenants
    made["users"][name] = {
        "tenant": f"tenant-{tenant}",
        "email": f"{name}@example.test",
        "roles": ["tenant_admin"] if number < tenants else ["tenant_user"],
        "limits": UNLIMITED,
    }
    made["groups"][f"staff-{tenant}"]["users"].append(name)
    made["keys"][name] = {
        "name": "laptop",
        "user": name,
        "sha256": hashlib.sha256(key_of(number).encode()).hexdigest(),
        "limits": UNLIMITED,
    }
