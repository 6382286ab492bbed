"""How many calls a worker has room for, by its configuration."""

from pathlib import Path

from scaigrid.app import load_config
from scaigrid.config.schema import Config
from scaigrid.room import Room, most_calls


def test_it_is_what_the_chain_s_section_says(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("chain: { overload: { max_calls: 7 } }\n")
    assert most_calls(load_config(file)) == 7


def test_without_a_chain_it_is_the_default() -> None:
    assert most_calls(Config()) == Room().max_calls == 1000
