"""One command line serves and one tests, and README, documentation, justfile and CI agree on them."""

import json
import re
import subprocess
import sysconfig
from pathlib import Path

from tests.harness.checkout import ROOT, files

SERVE = "pip install uv && uv run --no-dev scaigrid serve config/demo.yaml"
TEST = "pip install uv && uv run just test"
FIRST_SCREEN = 24


def test_the_first_screen_of_the_readme_shows_both_commands() -> None:
    screen = (ROOT / "README.md").read_text().splitlines()[:FIRST_SCREEN]
    assert [line for line in screen if line.startswith("pip ")] == [SERVE, TEST]


def test_no_text_tells_another_way_to_begin() -> None:
    begins = re.compile(r"pip install uv\b[^`'\n]*")
    texts = [path for path in files() if path.suffix == ".md" or path.parts[0] == ".ci"]
    told = {match.strip() for path in texts for match in begins.findall((ROOT / path).read_text())}
    assert told == {SERVE, TEST}


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert f"section test '{TEST}'\n" in (ROOT / ".ci" / "run").read_text()


def test_ci_runs_what_just_runs() -> None:
    just = Path(sysconfig.get_path("scripts"), "just")
    dump = subprocess.run([just, "--dump", "--dump-format", "json"], cwd=ROOT, capture_output=True, check=True)
    book = json.loads(dump.stdout)
    recipes = [dependency["recipe"] for dependency in book["recipes"][book["first"]]["dependencies"]]
    steps = re.search(r"^for step in (.*); do$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert steps is not None
    assert ["test", *steps[1].split()] == recipes
