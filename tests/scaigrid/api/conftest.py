"""A control plane over a real database, of each kind."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from scaigrid.config import entities
from scaigrid.config.schema import Config
from tests.scaigrid.api.control_plane import ControlPlane, config, declared


def platform(**sections: Any) -> Config:
    """Two partners (`one`, `two`); tenants `a` and `b` of `one`, `c` of `two`; a user and key for each role.

    The key of a user is called as the user: `super`, `partner_one`, `partner_one_viewer`, `partner_two`, and for each
    of the tenants `admin_a`, `user_a`, `viewer_a` ...
    """
    users: dict[str, entities.User] = {
        "super": entities.User(tenant="a", roles=("super_admin",)),
        "partner_one": entities.User(tenant="a", roles=("partner_admin",)),
        "partner_one_viewer": entities.User(tenant="a", roles=("partner_viewer",)),
        "partner_two": entities.User(tenant="c", roles=("partner_admin",)),
    }
    for tenant in ("a", "b", "c"):
        users[f"admin_{tenant}"] = entities.User(tenant=tenant, roles=("tenant_admin",))
        users[f"user_{tenant}"] = entities.User(tenant=tenant, roles=("tenant_user",))
        users[f"viewer_{tenant}"] = entities.User(tenant=tenant, roles=("tenant_viewer",))
    return config(
        **{
            "partners": {"one": entities.Partner(), "two": entities.Partner()},
            "tenants": {
                "a": entities.Tenant(partner="one"),
                "b": entities.Tenant(partner="one"),
                "c": entities.Tenant(partner="two"),
            },
            "users": users,
            "keys": {name: declared(name, name) for name in users},
            **sections,
        }
    )


@pytest.fixture
async def plane(database_url: str) -> AsyncGenerator[ControlPlane]:
    """The platform of `platform()`, on SQLite and on PostgreSQL."""
    made = await ControlPlane(platform(), url=database_url).open()
    yield made
    await made.close()
