"""What is written in this repository holds anywhere: no address of an index, no path of one machine."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.harness.checkout import ROOT, files

# In parts, so that this file passes its own test.
INDEX_HOSTS = [
    ".".join(parts)
    for parts in (
        ("files", "pythonhosted", "org"),
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("deb", "debian", "org"),
    )
]
HERE = [str(path) for path in (ROOT, Path.home()) if len(path.parts) > 1]
FORBIDDEN = re.compile("|".join([*map(re.escape, INDEX_HOSTS), *(rf"{re.escape(path)}(?![\w-])" for path in HERE)]))
FRAGMENT = re.compile(r"\d{3}-[a-z0-9]+(?:-[a-z0-9]+)*\.md")
RECORD = re.compile(r"(\d{4})-[a-z0-9]+(?:-[a-z0-9]+)*\.md")


LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
NAMED = re.compile(r"`([\w.-]+(?:/[\w.-]*)+)`")


def under(folder: str) -> list[str]:
    """The names of the files directly in `folder`."""
    return [path.name for path in files() if path.parent == Path(folder)]


def test_no_file_names_an_index_or_a_path_of_this_machine() -> None:
    found = [
        f"{path}:{number}: {match[0]}"
        for path in files()
        for number, line in enumerate((ROOT / path).read_text(errors="replace").splitlines(), 1)
        if (match := FORBIDDEN.search(line))
    ]
    assert found == []


def test_every_relative_link_leads_somewhere() -> None:
    texts = [path for path in files() if path.suffix == ".md"]
    links = [(path, link) for path in texts for link in LINK.findall((ROOT / path).read_text())]
    assert [f"{path}: {link}" for path, link in links if not (ROOT / path.parent / link).exists()] == []


@pytest.mark.parametrize("text", ["README.md", "CONTRIBUTING.md"])
def test_every_path_that_a_first_text_names_is_there(text: str) -> None:
    """`x/` and `y` in a path such as `scaigrid/x/y.py` stand for any."""
    named = [path for path in NAMED.findall((ROOT / text).read_text()) if "/x/" not in path]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_lock_file_of_uv_is_not_committed() -> None:
    """It names the index it was resolved from."""
    ignored = subprocess.run(["git", "check-ignore", "--quiet", "uv.lock"], cwd=ROOT, check=False)
    tracked = subprocess.run(["git", "ls-files", "uv.lock"], cwd=ROOT, capture_output=True, check=True)
    assert (ignored.returncode, tracked.stdout) == (0, b"")


def test_every_direct_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pinned = {pin.partition("==")[0] for pin in project["tool"]["uv"]["constraint-dependencies"]}
    wanted = [
        *project["project"]["dependencies"],
        *(one for group in project["dependency-groups"].values() for one in group),
    ]
    assert {re.split(r"[^\w-]", one)[0] for one in wanted} - pinned == set()


def test_decision_records_are_numbered_without_a_gap() -> None:
    numbers = [int(match[1]) if (match := RECORD.fullmatch(name)) else name for name in under("docs/adr")]
    assert numbers == list(range(1, len(numbers) + 1))


def test_changelog_fragments_have_a_number_and_a_slug() -> None:
    names = [name for name in under("changelog") if name != "README.md"]
    assert [name for name in names if not FRAGMENT.fullmatch(name)] == []
    assert len({name[:3] for name in names}) == len(names), "two fragments with one number"


@pytest.mark.parametrize("path", [path for path in files() if path.name == "pyproject.toml"], ids=str)
def test_the_version_is_written_once(path: Path) -> None:
    """At run time it comes from the installed metadata."""
    version = tomllib.loads((ROOT / path).read_text())["project"]["version"]
    sources = [one for one in files() if one.suffix == ".py" and one.parts[0] != "tests"]
    assert [str(one) for one in sources if f'"{version}"' in (ROOT / one).read_text()] == []
