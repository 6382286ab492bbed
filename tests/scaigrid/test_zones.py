import pytest

from scaigrid.zones import known


@pytest.mark.parametrize("name", ["UTC", "Europe/Amsterdam", "America/Argentina/Ushuaia"])
async def test_a_zone_is_known_by_its_name(name: str) -> None:
    """In a running loop: its file may be read there, for there are few and each is read once."""
    assert known(name)


@pytest.mark.parametrize("name", ["", "Europe", "europe/nowhere", "../UTC", "/etc/passwd", "A" * 5000, "a\0b", "é"])
async def test_anything_else_is_not(name: str) -> None:
    assert not known(name)
