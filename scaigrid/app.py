"""The composition root: config -> services -> chain -> Litestar.

Only here do the core, the links and the providers meet. A request walks what is put together below: edge links,
Litestar, call links, forwarder; nothing in that line knows this file.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from adapters import ADAPTERS
from middlewares import CHAIN
from scaigrid.asgi import ASGIApp
from scaigrid.config import references
from scaigrid.config.load import load
from scaigrid.config.schema import Config
from scaigrid.config.snapshot import Snapshot
from scaigrid.config.strict import Strict
from scaigrid.control.compile import compile_state
from scaigrid.control.state import State
from scaigrid.credentials.signers import Signers
from scaigrid.forwarder import Forwarder
from scaigrid.middleware import Link, Middleware, Services
from scaigrid.notice import Notice
from scaigrid.process import die_with_parent

__all__ = ["ADAPTERS", "Chain", "Composed", "Overrides", "Unfit", "build", "call", "edge", "load_config", "worker_app"]

_RATE_LIMIT = next(cast("Link[Any]", link) for link in CHAIN if link.name == "rate_limit")
"""Stands around the control plane too, where it counts requests."""


class _Composed(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file; what no section can judge alone is judged here, where the providers are known."""

    def check(self) -> Sequence[references.Fault]:
        return tuple(references.check(self, ADAPTERS))


Chain = msgspec.defstruct(
    "Chain",
    [(link.name, link.config, link.config()) for link in CHAIN],
    bases=(Strict,),
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    namespace={"__doc__": "The links of the chain, outermost first. They are tuned here, never reordered."},
)
"""The YAML section of the chain, made from the chain."""

Composed = msgspec.defstruct(
    "Config",
    [("chain", Chain, Chain())],
    bases=(_Composed,),
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    namespace={"__doc__": Config.__doc__},
)


class Overrides(msgspec.Struct, frozen=True):
    """What the command line says instead of the file."""

    host: str | None = None
    port: int | None = None
    workers: int | None = None


class Unfit(Exception):
    """What the command line asks for does not go with the file; one sentence for each fault."""


_NONE = Overrides()


def load_config(path: Path, overrides: Overrides = _NONE) -> Config:
    """The configuration as it will be served. Raises ConfigErrors for the file, Unfit for the command line."""
    config = cast(Config, load(path, Composed, env=os.environ))
    given = {name: value for name, value in msgspec.structs.asdict(overrides).items() if value is not None}
    if given:
        _judge(overrides)
        config = msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, **given))
        faults = [f"{'.'.join(map(str, where))}: {reason}" for where, reason in references.check(config, ADAPTERS)]
        if faults:
            raise Unfit("\n".join(faults))
    return config


def _judge(overrides: Overrides) -> None:
    """The bounds of the schema, for those values that do not come through it."""
    faults: list[str] = []
    if overrides.port is not None and not 1 <= overrides.port <= 65_535:
        faults.append(f"--port: {overrides.port} is not a port: give 1 to 65535")
    if overrides.workers is not None and overrides.workers < 1:
        faults.append(f"--workers: {overrides.workers} is not a number of workers: give 1 or more")
    if faults:
        raise Unfit("\n".join(faults))


def edge(app: ASGIApp, config: Config, services: Services) -> ASGIApp:
    """`app` inside the links that stand around the whole application."""
    return _wrapped(app, "edge", config, services)


def call(app: ASGIApp, config: Config, services: Services) -> ASGIApp:
    """`app` inside the links of an inference call."""
    return _wrapped(app, "call", config, services)


def _wrapped(app: ASGIApp, place: str, config: Config, services: Services) -> ASGIApp:
    for link in reversed(CHAIN):
        if link.place == place:
            app = _linked(cast("Link[Any]", link), app, config, services)
    return app


def _linked(link: Link[Any], app: ASGIApp, config: Config, services: Services) -> Middleware:
    return link.make(app, config.links()[link.name], services)


def worker_app(path: Path, overrides: Overrides) -> ASGIApp:
    """What one worker process serves. It loads the file by itself, for a worker may be born long after its parent."""
    die_with_parent()
    return build(load_config(path, overrides), Notice())


def build(config: Config, notice: Notice | None = None) -> ASGIApp:
    """The whole gateway as one ASGI application; its lifespan opens and closes what it owns.

    With a `notice` it is a process of its own, and hears from it and by SIGTERM that it has to stop.
    """
    # Litestar and SQLAlchemy take longer to import than the rest to run: whoever only checks a file is spared them.
    from scaigrid.runtime import Runtime
    from scaigrid.web import web

    def compiled(state: State, signers: Signers) -> Snapshot:
        return compile_state(state, config, ADAPTERS, signers)

    runtime = Runtime(config, compiled, notice)
    services = runtime.services
    forwarder = Forwarder(
        services, runtime.upstreams, config.forwarder, runtime.drains, shared=config.store.type != "memory"
    )
    surfaces = call(forwarder, config, services)

    def counted(app: ASGIApp) -> ASGIApp:
        return _linked(_RATE_LIMIT, app, config, services)

    return edge(web(config, runtime, ADAPTERS, surfaces, counted), config, services)
