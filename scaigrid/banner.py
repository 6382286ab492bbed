"""What `scaigrid serve` tells the person who started it: where, what, for whom, and what to mind."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from scaigrid.config.schema import Config
from scaigrid.config.terms import DEMO_KEY

_MOST = 12


def banner(config: Config, path: Path) -> str:
    """A few lines for a terminal; lists are cut at a dozen."""
    server = config.server
    host = f"[{server.host}]" if ":" in server.host else server.host
    address = f"http://{host}:{server.port}"
    rows = [
        ("address", f"{address}   native /v1, OpenAI /oai/v1, Anthropic /anthropic"),
        (
            "config",
            f"{path}   data in {server.data_dir}, workers: {server.workers}, store: {config.store.type}",
        ),
        ("models", _listed(f"{slug} -> {_targets(config, slug)}" for slug in config.models)),
        ("issuers", _listed(config.identity.issuers)),
        ("keys", _listed(f"{name} ({key.user})" for name, key in config.keys.items())),
        ("budgets", _listed(config.budgets)),
        ("enabled", _listed(_enabled(config))),
    ]
    lines = [f"ScaiGrid {_version()}"]
    lines += [f"  {name:<8} {text}" for name, text in rows if text]
    lines += [f"  warning  {text}" for text in warnings(config)]
    return "\n".join(lines)


def warnings(config: Config) -> Sequence[str]:
    """What works and may not be meant."""
    found: list[str] = []
    for name, key in config.keys.items():
        if key.key is not None and key.key.reveal() == DEMO_KEY:
            found.append(f"key {name} is the published demo key: good for this machine only")
    simulated = [name for name, provider in config.providers.items() if provider.type == "simulator"]
    if simulated:
        found.append(f"provider {', '.join(simulated)} is a simulator: its answers come from no model")
    if not config.keys and not config.identity.issuers:
        found.append("no keys are declared and no issuers of tokens: only keys made over the API are let in")
    if not config.models:
        found.append("no models are declared")
    free = [slug for slug, model in config.models.items() if model.unpriced == "free"]
    if free and config.budgets:
        found.append(f"unpriced and free, so no cost budget bounds them: {', '.join(free[:_MOST])}")
    off = [name for name, section in config.links().items() if not getattr(section, "enabled", True)]
    if off:
        found.append(f"turned off: {', '.join(off)}")
    return found


def _targets(config: Config, slug: str) -> str:
    route = config.models[slug].route
    return "nowhere" if route is None else ", ".join(target.backend for target in route.targets)


def _enabled(config: Config) -> Iterable[str]:
    if config.metrics.enabled:
        yield "/metrics"
    yield "/health"
    yield "/docs"


def _listed(entries: Iterable[str]) -> str:
    every = list(entries)
    more = len(every) - _MOST
    return ", ".join(every[:_MOST]) + (f" and {more} more" if more > 0 else "")


def _version() -> str:
    from scaigrid import __version__

    return __version__
