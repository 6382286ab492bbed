"""The commented configuration is written from the Structs, and is one."""

import re
from pathlib import Path

from scaigrid.app import Composed, load_config
from scaigrid.config.manual import manual
from scaigrid.config.schema import Config
from tests.harness.checkout import ROOT
from tests.scaigrid.config.test_schema import structs

FILE = ROOT / "config" / "scaigrid.yaml"


def test_the_file_in_the_repository_is_fresh() -> None:
    assert FILE.read_text() == manual(Composed), "run: scaigrid manual > config/scaigrid.yaml"


def test_it_is_a_valid_configuration_that_says_what_holds_without_it(tmp_path: Path) -> None:
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    assert load_config(FILE) == load_config(empty)


def test_every_key_of_every_section_is_in_it() -> None:
    named = set(re.findall(r"^[ #-]*([a-z0-9_]+):", FILE.read_text(), re.MULTILINE))
    assert {name for struct in structs() for name in struct.__struct_fields__} - named == set()


def test_no_line_is_too_long_to_read() -> None:
    assert max(map(len, FILE.read_text().splitlines())) <= 120


def test_the_documentation_of_a_key_is_the_line_above_it() -> None:
    assert "  # TCP port.\n  port: 8000\n" in FILE.read_text()
    assert Config.__doc__
