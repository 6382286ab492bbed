"""Keep the exact pins in pyproject.toml and the hashed requirements.lock equal to what uv resolves.

    python .ci/pins.py write                      resolve, keeping every pin there is; pin what is new
    python .ci/pins.py write --upgrade [NAME ...] drop all pins (or only those of NAME) first
    python .ci/pins.py check                      resolve again; exit 1 and say what differs

`uv.lock` is not in the repository, because it names the index that it was resolved from. What a checkout needs to
resolve the same set anywhere are the versions (`[tool.uv] constraint-dependencies`, every group) and, for those who
install without uv, the runtime set with hashes (`requirements.lock`). The resolution happens in a temporary folder,
so neither a `uv.lock` that lies about nor one that is wanted there has a part in it.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^constraint-dependencies = \[\n(?: {4}.*\n)*\]\n", re.MULTILINE)
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\]+?))?(?: \\)?")
HASH = re.compile(r" +--hash=(?P<hash>sha256:[0-9a-f]{64})(?: \\)?")
EXPORT = ("uv", "export", "--quiet", "--frozen", "--format", "requirements-txt")
PLAIN = ("--no-emit-project", "--no-header", "--no-annotate")


class PinError(Exception):
    """A message for the person at the terminal."""


@dataclass(frozen=True)
class Requirement:
    """One line of an export: `marker` is empty where the requirement holds everywhere."""

    name: str
    version: str
    marker: str
    hashes: frozenset[str]

    def __str__(self) -> str:
        return f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")


def run(*command: str, folder: Path) -> str:
    """Run a command in `folder` and return its standard output."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        raise PinError(f"{command[0]} is not installed") from missing
    if done.returncode:
        raise PinError(f"{' '.join(command[:2])} failed:\n{done.stderr.strip()}")
    return done.stdout


def parse(export: str) -> list[Requirement]:
    """Read an export in requirements format; any line of another shape (an address, a comment, a path) is refused."""
    found: list[Requirement] = []
    for line in export.splitlines():
        if match := HASH.fullmatch(line):
            last = found.pop()
            found.append(Requirement(last.name, last.version, last.marker, last.hashes | {match["hash"]}))
        elif match := REQUIREMENT.fullmatch(line):
            found.append(Requirement(match["name"], match["version"], match["marker"] or "", frozenset()))
        else:
            raise PinError(f"a line that is neither `name==version` nor a hash: {line!r}")
    return found


def pins(everything: Sequence[Requirement]) -> list[str]:
    """Sorted constraints. A marker stays only where one name has several versions: elsewhere it only narrows."""
    versions: dict[str, set[str]] = {}
    for one in everything:
        versions.setdefault(one.name, set()).add(one.version)
    lines = {
        (one.name, f"{one.name}=={one.version}" if len(versions[one.name]) == 1 else str(one)) for one in everything
    }
    return [line for _, line in sorted(lines)]


def block(constraints: Sequence[str]) -> str:
    """The `constraint-dependencies` table entry as it stands in pyproject.toml."""
    return "constraint-dependencies = [\n" + "".join(f'    "{pin}",\n' for pin in constraints) + "]\n"


def replace_block(pyproject: str, constraints: Sequence[str]) -> str:
    """The same pyproject.toml with its pins replaced."""
    if len(BLOCK.findall(pyproject)) != 1:
        raise PinError("pyproject.toml needs exactly one `constraint-dependencies = [` block under [tool.uv]")
    return BLOCK.sub(lambda _: block(constraints), pyproject)


def current_pins(pyproject: str) -> list[str]:
    """The pins that pyproject.toml has now."""
    settings: dict[str, list[str]] = tomllib.loads(pyproject)["tool"]["uv"]
    return settings.get("constraint-dependencies", [])


def without(constraints: Sequence[str], names: Collection[str]) -> list[str]:
    """Drop the pins of `names`; with no names, all of them."""
    unknown = sorted(set(names) - {pin.partition("==")[0] for pin in constraints})
    if unknown:
        raise PinError(f"no pin to upgrade: {', '.join(unknown)}")
    return [pin for pin in constraints if names and pin.partition("==")[0] not in names]


def resolve(pyproject: str) -> tuple[list[str], str]:
    """The pins and the text of requirements.lock, resolved afresh for every Python and platform of a pyproject.toml."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pyproject.toml").write_text(pyproject)
        run("uv", "lock", "--quiet", folder=folder)
        everything = run(*EXPORT, *PLAIN, "--all-groups", "--all-extras", "--no-hashes", folder=folder)
        lock = run(*EXPORT, *PLAIN, "--no-dev", "--all-extras", folder=folder)
    bare = [str(one) for one in parse(lock) if not one.hashes]
    if bare:
        raise PinError(f"no hash for {', '.join(bare)}")
    return pins(parse(everything)), lock


def listed(title: str, items: Collection[str]) -> list[str]:
    """A titled list of lines, nothing when it is empty."""
    return [f"{title}: {', '.join(sorted(items))}"] if items else []


def differences(pyproject: str, lock: str) -> list[str]:
    """What a fresh resolution says against the two files, one line each; empty when they are right.

    A hash that the release has and the lock lacks is no difference: authors add wheels to a release that is out, and
    the lock stays right. A hash that the release lacks is one.
    """
    want_pins, want_lock = resolve(pyproject)
    have_pins, have = current_pins(pyproject), parse(lock)
    want = {str(one): one.hashes for one in parse(want_lock)}
    found = listed("pyproject.toml lacks the pins", set(want_pins) - set(have_pins))
    found += listed("pyproject.toml pins what nothing needs", set(have_pins) - set(want_pins))
    if not found and have_pins != want_pins:
        found.append("pyproject.toml: the pins are not sorted")
    found += listed("requirements.lock lacks", set(want) - {str(one) for one in have})
    found += listed("requirements.lock has what nothing needs", {str(one) for one in have} - set(want))
    for one in have:
        if not one.hashes:
            found.append(f"requirements.lock: {one} has no hash")
        elif not one.hashes <= want.get(str(one), one.hashes):
            found.append(f"requirements.lock: {one} lists a hash that the release does not have")
    return found


def write(upgrade: list[str] | None) -> None:
    """Rewrite both files; `upgrade` is None to keep the pins, empty to drop all, else the names whose pins go."""
    project, lock_file = ROOT / "pyproject.toml", ROOT / "requirements.lock"
    before = project.read_text()
    kept = current_pins(before) if upgrade is None else without(current_pins(before), upgrade)
    constraints, lock = resolve(replace_block(before, kept))
    project.write_text(replace_block(before, constraints))
    lock_file.write_text(lock)
    changed = set(constraints) ^ set(current_pins(before))
    print(f"{len(constraints)} pins, {len(parse(lock))} of them at run time")
    print(f"changed: {', '.join(sorted(changed)) or 'none'}")


def check() -> None:
    """Fail where the files are not what a fresh resolution gives."""
    found = differences((ROOT / "pyproject.toml").read_text(), (ROOT / "requirements.lock").read_text())
    if found:
        raise PinError("\n".join([*found, "run `just pins` and commit the two files"]))
    print("pins: pyproject.toml and requirements.lock are what uv resolves")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 is fine, 1 has its reason on standard error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(required=True)
    writer = commands.add_parser("write", help="rewrite the pins and requirements.lock")
    writer.add_argument("--upgrade", nargs="*", metavar="NAME", help="drop these pins first, or all of them")
    writer.set_defaults(act=lambda given: write(given.upgrade))
    commands.add_parser("check", help="resolve again and compare").set_defaults(act=lambda _: check())
    given = parser.parse_args(arguments)
    act: Callable[[argparse.Namespace], None] = given.act
    try:
        act(given)
    except PinError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
