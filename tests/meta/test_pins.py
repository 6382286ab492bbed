"""`.ci/pins.py`: what it reads, what it writes, and what it calls a difference. Nothing here asks an index."""

import pytest

from tests.harness.checkout import ROOT, script

ONE, OTHER = "a" * 64, "b" * 64
PYPROJECT = """[tool.uv]
compile-bytecode = true
constraint-dependencies = [
    "kept==1.0",
    "moved==1.0",
]

[tool.other]
"""
LOCK = f"kept==1.0 \\\n    --hash=sha256:{ONE} \\\n    --hash=sha256:{OTHER}\n"


pins = script("pins")


def found(monkeypatch: pytest.MonkeyPatch, resolved: list[str], resolved_lock: str, lock: str = LOCK) -> list[str]:
    """The differences of PYPROJECT and `lock` when uv resolves to the given."""

    def resolve(_: str) -> tuple[list[str], str]:
        return resolved, resolved_lock

    monkeypatch.setattr(pins, "resolve", resolve)
    differences: list[str] = pins.differences(PYPROJECT, lock)
    return differences


def test_an_export_is_read_with_its_markers_and_hashes() -> None:
    marked = f"win==2 ; sys_platform == 'win32' \\\n    --hash=sha256:{ONE}\n"
    kept, win = pins.parse(LOCK + marked)
    assert (str(kept), kept.hashes) == ("kept==1.0", {f"sha256:{ONE}", f"sha256:{OTHER}"})
    assert (str(win), win.marker) == ("win==2 ; sys_platform == 'win32'", "sys_platform == 'win32'")


@pytest.mark.parametrize("line", ["--index-url https://index.example.test", "-e .", "# from here", "name>=1", "a @ b"])
def test_an_export_with_anything_else_is_refused(line: str) -> None:
    with pytest.raises(pins.PinError, match="neither"):
        pins.parse(line)


def test_a_marker_is_pinned_only_where_versions_differ() -> None:
    export = "b==1 ; sys_platform == 'win32'\na==2 ; python_version >= '3.12'\na==1 ; python_version < '3.12'\n"
    assert pins.pins(pins.parse(export)) == [
        "a==1 ; python_version < '3.12'",
        "a==2 ; python_version >= '3.12'",
        "b==1",
    ]


def test_only_the_block_of_pins_is_rewritten() -> None:
    assert pins.replace_block(PYPROJECT, ["new==3"]) == PYPROJECT.replace('"kept==1.0",\n    "moved==1.0"', '"new==3"')
    assert pins.current_pins(pins.replace_block(PYPROJECT, [])) == []


def test_a_file_without_the_block_is_refused() -> None:
    with pytest.raises(pins.PinError, match="exactly one"):
        pins.replace_block("[tool.uv]\n", [])


def test_an_upgrade_drops_the_named_pins_or_all() -> None:
    have = pins.current_pins(PYPROJECT)
    assert pins.without(have, ["moved"]) == ["kept==1.0"]
    assert pins.without(have, []) == []
    with pytest.raises(pins.PinError, match="no pin to upgrade: absent"):
        pins.without(have, ["absent"])


def test_what_was_resolved_alike_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, ["kept==1.0", "moved==1.0"], LOCK) == []


def test_a_wheel_that_a_release_got_later_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    later = f"kept==1.0 \\\n    --hash=sha256:{ONE}\n"
    assert found(monkeypatch, ["kept==1.0", "moved==1.0"], LOCK, later) == []


def test_each_difference_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = f"kept==1.0 \\\n    --hash=sha256:{'c' * 64}\nextra==1\n"
    wanted = LOCK + f"fresh==1 \\\n    --hash=sha256:{ONE}\n"
    assert found(monkeypatch, ["kept==1.0", "moved==2.0"], wanted, foreign) == [
        "pyproject.toml lacks the pins: moved==2.0",
        "pyproject.toml pins what nothing needs: moved==1.0",
        "requirements.lock lacks: fresh==1",
        "requirements.lock has what nothing needs: extra==1",
        "requirements.lock: kept==1.0 lists a hash that the release does not have",
        "requirements.lock: extra==1 has no hash",
    ]


def test_pins_out_of_order_are_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, ["moved==1.0", "kept==1.0"], LOCK) == ["pyproject.toml: the pins are not sorted"]


def test_the_committed_lock_is_of_the_committed_pins() -> None:
    locked = {f"{one.name}=={one.version}" for one in pins.parse((ROOT / "requirements.lock").read_text())}
    assert locked <= {pin.partition(" ; ")[0] for pin in pins.current_pins((ROOT / "pyproject.toml").read_text())}
