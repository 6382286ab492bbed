"""`scaigrid check`: is a configuration valid?"""

from argparse import Namespace

from scaigrid.cli.command import Command, file_argument


def _run(given: Namespace) -> int:
    from scaigrid.cli.configured import whole
    from scaigrid.cli.noted import print_notes
    from scaigrid.control.declared import resources_of

    config = whole(given.file)
    print(f"{given.file}: valid ({len(config.models)} models, {len(config.keys)} keys)")
    print_notes(resources_of(config))
    return 0


COMMAND = Command(name="check", help="validate a configuration without serving it", arguments=file_argument, run=_run)
