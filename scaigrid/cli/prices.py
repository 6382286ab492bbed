"""`scaigrid prices`: what the providers of a configuration charge by their public lists, beside what it declares."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from scaigrid.cli.command import WRONG, Command, Failed, file_argument, json_argument

if TYPE_CHECKING:
    from scaigrid.config.schema import Config
    from scaigrid.public_prices import Cost, Public

_NOTE = """\
Prices of the public lists that this release of genai-prices came with, in US dollars. Nothing was changed: with --yaml
they are written as the section of a configuration file, for you to check and to take over."""


def _arguments(parser: ArgumentParser) -> None:
    file_argument(parser)
    parser.add_argument("--backend", action="append", default=[], metavar="NAME", help="only this backend")
    parser.add_argument("--yaml", action="store_true", help="write the section `backends` with the listed costs")
    json_argument(parser, "declared and listed costs of each backend")


def _run(given: Namespace) -> int:
    from scaigrid.cli.configured import whole
    from scaigrid.public_prices import NoLists

    config = whole(given.file)
    unknown = [name for name in given.backend if name not in config.backends]
    if unknown:
        raise Failed(f"scaigrid: {given.file} declares no backend {unknown[0]!r}", WRONG)
    names = given.backend or sorted(config.backends)
    try:
        found = {name: _listed(config, name) for name in names}
    except NoLists as error:
        raise Failed(f"scaigrid: {error}") from error
    if given.json:
        import msgspec

        print(msgspec.json.encode(_object(config, found)).decode())
    elif given.yaml:
        print(_yaml(found), end="")
    else:
        for line in _lines(config, found):
            print(line)
    return 0


def _listed(config: "Config", name: str) -> "Public | None":
    from datetime import UTC, datetime

    from scaigrid.clock import SystemClock
    from scaigrid.public_prices import find

    backend = config.backends[name]
    provider = config.providers[backend.provider]
    return find(provider.type, provider.base_url, backend.model, datetime.fromtimestamp(SystemClock().now(), UTC))


def _declared(config: "Config", name: str) -> "Cost":
    """What the file says of a backend's cost, without what it leaves out."""
    import msgspec

    told = msgspec.structs.asdict(config.backends[name].cost)
    return {field: value for field, value in told.items() if value is not None and field != "tiers"}


def _object(config: "Config", found: Mapping[str, "Public | None"]) -> dict[str, object]:
    def one(name: str, public: "Public | None") -> dict[str, object]:
        listed = None if public is None else {"as": public.name, "cost": public.cost, "left_out": public.left_out}
        return {"model": config.backends[name].model, "declared": config.backends[name].cost, "listed": listed}

    return {"backends": {name: one(name, public) for name, public in found.items()}}


def _yaml(found: Mapping[str, "Public | None"]) -> str:
    from scaigrid.config.emit import mapping, of_value, written

    costs = {name: of_value({"cost": public.cost}) for name, public in found.items() if public is not None}
    return written(mapping({"backends": mapping(costs)}))


def _lines(config: "Config", found: Mapping[str, "Public | None"]) -> Iterator[str]:
    from scaigrid.cli.table import table

    rows: list[tuple[str, ...]] = []
    for name, public in found.items():
        model = config.backends[name].model
        if public is None:
            rows.append((name, model, "not listed", "", "", ""))
            continue
        declared = _declared(config, name)
        for field, price in public.cost.items():
            if field != "tiers":
                said = declared.get(field)
                rows.append((name, model, public.name, field, "" if said is None else format(said, "f"), f"{price:f}"))
        tiers = [f"above {tier['above']} tokens" for tier in public.cost.get("tiers", ())]
        rows += [(name, model, public.name, tier, "", "see --yaml") for tier in tiers]
        rows += [(name, model, public.name, key, "", "has no place in a cost") for key in public.left_out]
    yield from table(("BACKEND", "MODEL", "LISTED AS", "PRICE OF", "DECLARED", "LISTED"), rows)
    yield _NOTE


COMMAND = Command(
    name="prices",
    help="show the public prices of the backends' models, and change nothing (needs the extra `prices`)",
    arguments=_arguments,
    run=_run,
)
