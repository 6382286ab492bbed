"""The resources of the control plane: one file for each, one line for each file."""

from typing import Any

from litestar.handlers import BaseRouteHandler

from scaigrid.api.collection import Collection
from scaigrid.api.resources import api_key_secrets, group_members, user_rights
from scaigrid.api.resources.api_keys import ApiKeys
from scaigrid.api.resources.backend_health import backend_health
from scaigrid.api.resources.backends import Backends
from scaigrid.api.resources.budgets import Budgets
from scaigrid.api.resources.custom_roles import CustomRoles
from scaigrid.api.resources.discover import discover
from scaigrid.api.resources.groups import Groups
from scaigrid.api.resources.model_access import ModelAccess
from scaigrid.api.resources.model_groups import ModelGroups
from scaigrid.api.resources.partners import Partners
from scaigrid.api.resources.providers import Providers
from scaigrid.api.resources.role_mappings import RoleMappings
from scaigrid.api.resources.routes import Routes
from scaigrid.api.resources.tenants import Tenants
from scaigrid.api.resources.users import Users

COLLECTIONS: tuple[Collection[Any, Any], ...] = (
    Partners(),
    Tenants(),
    Users(),
    Groups(),
    RoleMappings(),
    CustomRoles(),
    ApiKeys(),
    Providers(),
    Backends(),
    Routes(),
    ModelGroups(),
    ModelAccess(),
    Budgets(),
)
"""In the order of the reference. Each gets its routes from `crud.py`, and its rows in the reference."""

BESIDE: tuple[BaseRouteHandler, ...] = (
    *user_rights.HANDLERS,
    *group_members.HANDLERS,
    *api_key_secrets.HANDLERS,
    discover,
    backend_health,
)
"""What can be asked of them besides; the rows are in `operations/`."""
