"""The cells that are delivered with the code can be read, and each stands once."""

from scaigrid.api.conformance import cells


def test_the_file_is_read_and_says_nothing_twice() -> None:
    names = [(cell.provider, cell.dialect, cell.feature, cell.mode, cell.proof) for cell in cells()]
    assert len(names) == len(set(names))


def test_no_count_is_negative() -> None:
    assert not [cell for cell in cells() if min(cell.passed, cell.failed, cell.not_run) < 0]
