import msgspec
import pytest

from scaigrid.config.strict import Strict


class Section(Strict):
    """As any section of the file."""

    port: int = 8000


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `prot`"):
        msgspec.convert({"prot": 1}, Section)


def test_a_value_does_not_change_after_loading() -> None:
    section = msgspec.convert({"port": 1}, Section)
    with pytest.raises(AttributeError, match="immutable"):
        section.port = 2  # type: ignore[misc]  # the point
    assert section.port == 1
