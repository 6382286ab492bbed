"""`/v1/modules`: the modules that are installed. This version has none."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from litestar import Request, route

from scaigrid.api.collection import PageQuery
from scaigrid.api.envelope import ListEnvelope, listed
from scaigrid.api.handling import READ, exchange_in
from scaigrid.api.query import read_query
from scaigrid.api.requirement import ANYONE
from scaigrid.cursor import Cursor
from scaigrid.dialects.shapes import OPEN, AnswerShape

_CURSOR = Cursor(str)


class ModulePage(AnswerShape):
    """A page that a module adds to the console."""

    page_id: str
    title: str
    icon: str | None
    path: str
    parent_nav: str | None
    """The entry of the navigation that it stands under."""
    permission: str | None
    """Who sees it."""


class ModulePermission(AnswerShape):
    """A permission that a module brings, for custom roles and key scopes."""

    key: str
    """`{module}:resource:action`."""
    display_name: str
    description: str


class ModuleItem(AnswerShape, kw_only=True):
    """A module."""

    id: str
    module_id: str
    """Its name in addresses: `/v1/modules/{module_id}`."""
    display_name: str
    version: str
    description: str
    status: Annotated[Literal["active", "available", "error", "disabled"], OPEN]
    """`active`: the caller's tenant can use it. `available`: nobody has enabled it. `error`: it did not start."""
    admin_pages: Sequence[ModulePage]
    dependencies: Sequence[str]
    """The `module_id` of each module that it needs."""
    permissions: Sequence[ModulePermission]


@route("/v1/modules", http_method=READ, guards=[ANYONE])
async def modules(request: Request[Any, Any, Any]) -> ListEnvelope[ModuleItem]:
    _CURSOR.read(read_query(request, PageQuery).cursor)
    installed: Sequence[ModuleItem] = ()
    return listed(exchange_in(request), installed, None)
