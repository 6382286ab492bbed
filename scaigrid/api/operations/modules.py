"""Modules."""

from scaigrid.api import examples
from scaigrid.api.collection import PageQuery
from scaigrid.api.envelope import ListEnvelope
from scaigrid.api.modules import ModuleItem, ModulePage, ModulePermission
from scaigrid.api.operation import Area, Operation

_ITEM = ModuleItem(
    id="module_019ab3d0c2c85e1f0a7b3c4d5e6f7a8b",
    module_id="prompts",
    display_name="Prompts",
    version="1.0.0",
    description="Prompt templates that a tenant shares.",
    status="active",
    admin_pages=(
        ModulePage(
            page_id="templates",
            title="Templates",
            icon="document",
            path="/admin/modules/prompts/templates",
            parent_nav="Modules",
            permission="prompts:template:manage",
        ),
    ),
    dependencies=(),
    permissions=(
        ModulePermission(
            key="prompts:template:manage", display_name="Manage templates", description="Make and change templates."
        ),
    ),
)

AREA = Area(
    "Modules",
    "What is installed besides the core.",
    (
        Operation(
            path="/v1/modules",
            name="listModules",
            summary="List modules",
            description="This version has none: the list is empty.",
            query=PageQuery,
            answer=ListEnvelope[ModuleItem],
            example=examples.listed(_ITEM),
        ),
    ),
)
