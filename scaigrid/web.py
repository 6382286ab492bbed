"""Litestar, which owns the routes: the inference surfaces as raw ASGI handlers, the control plane as controllers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from litestar import Litestar, Router, asgi
from litestar.enums import HttpMethod
from litestar.exceptions import LitestarException
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler
from litestar.types import Receive as LitestarReceive
from litestar.types import Scope as LitestarScope
from litestar.types import Send as LitestarSend

from scaigrid.adapter import Adapter
from scaigrid.api import Sources, faults, routes
from scaigrid.asgi import ASGIApp, Receive, Scope, Send
from scaigrid.config.schema import Config
from scaigrid.dialect import Dialect, Resource
from scaigrid.errors import Code, GatewayError
from scaigrid.ledger.audit_queries import AuditLog
from scaigrid.ledger.queries import LedgerReader
from scaigrid.ledger.timeline_queries import Timelines
from scaigrid.resources import find
from scaigrid.runtime import Runtime


def web(
    config: Config,
    runtime: Runtime,
    adapters: Mapping[str, Adapter],
    surfaces: ASGIApp,
    counted: Callable[[ASGIApp], ASGIApp],
) -> ASGIApp:
    """The application inside the edge links. `counted` puts the rate limit around the control plane."""
    services = runtime.services
    sources = Sources(
        services,
        reader=LedgerReader(runtime.engine),
        timelines=Timelines(runtime.engine),
        audit_log=AuditLog(runtime.engine),
        ready=runtime,
        config=config,
        control=runtime.control,
        adapters=adapters,
        upstreams=runtime.upstreams,
        signers=runtime.signers,
    )
    api = routes(lambda: sources)
    control = [
        Router("/", route_handlers=list(api.governed), middleware=[counted]),  # type: ignore[list-item]  # ASGI is untyped at this seam
        *api.open,
    ]
    paths = [path for dialect in services.dialects for path in dialect.operations]
    app = assemble(paths, surfaces, control, runtime.lifespan)
    return Kept(app, surfaces, services.dialects)


def assemble(
    paths: Sequence[str],
    surfaces: ASGIApp,
    control: Sequence[ControllerRouterHandler],
    lifespan: Callable[[Litestar], AbstractAsyncContextManager[None]],
) -> ASGIApp:
    """Litestar with the inference surfaces at `paths` and the routes of the control plane."""
    app = Litestar(
        route_handlers=[*(_surface(path, surfaces) for path in paths), *control],
        lifespan=[lifespan],
        exception_handlers={Exception: faults.surface},
        openapi_config=None,
        logging_config=None,
    )
    for each in app.routes:
        if isinstance(each, HTTPRoute):
            _tell_all_methods(each, app)
    return _Unwrapped(app)


def _tell_all_methods(path: HTTPRoute, app: Litestar) -> None:
    # What answers OPTIONS was made with the path's first handler, and knows nothing of those that were added to it.
    options = path.create_options_handler(path.path)
    options.owner = path.route_handlers[0].owner
    options.on_registration(app)
    model = options.create_kwargs_model(path_parameters=path.path_parameters)
    path.route_handler_map[HttpMethod.OPTIONS.value] = (options, model)


def _surface(path: str, surfaces: ASGIApp) -> Any:
    # copy_scope=False: the links hand each other the exchange in the scope. Raw, so that no stream is ever collected.
    @asgi(path, copy_scope=False, name=path)
    async def surface(scope: LitestarScope, receive: LitestarReceive, send: LitestarSend) -> None:
        if scope["method"] != "POST":  # type: ignore[typeddict-item]  # only HTTP comes here
            raise GatewayError(Code.METHOD_NOT_ALLOWED, headers=((b"allow", b"POST"),))
        await surfaces(scope, receive, send)  # type: ignore[arg-type]  # ASGI is untyped at this seam

    return surface


class Kept:
    """Sends what is asked of something that a provider keeps to `surfaces`, and everything else to `app`.

    Its paths have a name in them, and Litestar's router finds no raw handler at such a path.
    """

    def __init__(self, app: ASGIApp, surfaces: ASGIApp, dialects: Iterable[Dialect]) -> None:
        self.app = app
        self._surfaces = surfaces
        self._plain: set[str] = set()
        self._resources: dict[str, Mapping[str, Resource]] = {}
        for dialect in dialects:
            self._plain.update(dialect.operations)
            self._resources.update(dialect.resources)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        kept = find(self._resources, path) if path not in self._plain else None
        if kept is None:
            await self.app(scope, receive, send)
            return
        taken = kept[0]
        if scope["method"] not in taken:
            raise GatewayError(Code.METHOD_NOT_ALLOWED, headers=((b"allow", ", ".join(taken).encode()),))
        await self._surfaces(scope, receive, send)


class _Unwrapped:
    """Litestar wraps what fails after the first byte in an exception of its own; the cause is what we want."""

    def __init__(self, app: Litestar) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)  # type: ignore[arg-type]  # ASGI is untyped at this seam
        except LitestarException as error:
            cause: BaseException = error
            while isinstance(cause, LitestarException) and cause.__cause__ is not None:
                cause = cause.__cause__
            raise cause from None
