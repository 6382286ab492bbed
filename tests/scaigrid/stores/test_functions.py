import re

from scaigrid.stores.functions import COUNTERS
from tests.harness.checkout import ROOT
from tests.harness.valkey import shared

NAME, LIBRARY = COUNTERS


def test_the_name_is_a_server_s_idea_of_one_and_is_made_from_the_text() -> None:
    assert re.fullmatch(r"scaigrid_[0-9a-f]{12}", NAME)
    assert LIBRARY.startswith(f"#!lua name={NAME}\n")
    assert "@name@" not in LIBRARY


def test_every_file_of_the_folder_is_part_of_it() -> None:
    for file in (ROOT / "scaigrid" / "stores" / "lua").iterdir():
        first_line = file.read_text().splitlines()[0]
        assert first_line.startswith("--[[ ")
        assert LIBRARY.count(first_line) == 1


def test_another_text_has_another_name_and_both_are_kept() -> None:
    """Two releases on one server: nobody's functions are replaced."""
    server = shared()
    names = {NAME, f"{NAME[:-1]}x"}
    for name in names:
        server.command("FUNCTION", "LOAD", "REPLACE", LIBRARY.replace(NAME, name))
    kept = server.command("FUNCTION", "LIST", "LIBRARYNAME", f"{NAME[:-1]}*")
    assert {library[1].decode() for library in kept} == names
    assert {len(library[5]) for library in kept} == {6}
    server.command("FUNCTION", "DELETE", f"{NAME[:-1]}x")
