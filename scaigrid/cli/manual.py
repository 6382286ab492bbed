"""`scaigrid manual`: what is written from the code: the configuration's manual and schema, and what belongs to both."""

from argparse import ArgumentParser, Namespace

from scaigrid.cli.command import Command


def _arguments(parser: ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--schema", action="store_true", help="the configuration's JSON Schema instead, for editors")
    form.add_argument("--openapi", action="store_true", help="the OpenAPI document of every surface instead")
    form.add_argument("--providers", action="store_true", help="the types of providers and their options instead")
    form.add_argument("--permissions", action="store_true", help="the table of endpoints and roles instead")


def _run(given: Namespace) -> int:
    print(_written(given), end="")
    return 0


def _written(given: Namespace) -> str:
    if given.openapi:
        from scaigrid.api import document

        return document.written()
    if given.permissions:
        from scaigrid.api import permissions

        return permissions.written()
    if given.providers:
        from scaigrid.app import ADAPTERS
        from scaigrid.config import provider_manual

        return provider_manual.written(ADAPTERS)
    from scaigrid.app import Composed
    from scaigrid.config import json_schema, manual

    return json_schema.written(Composed) if given.schema else manual.manual(Composed)


COMMAND = Command(
    name="manual",
    help="print every key of the configuration, with its documentation",
    arguments=_arguments,
    run=_run,
)
