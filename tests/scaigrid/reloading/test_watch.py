"""A change of a file is seen once, and not before it is whole."""

import os
from pathlib import Path

import pytest

from scaigrid.reloading.watch import Watch, sign_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text("one")
    return path


def write(file: Path, text: str, seconds: int) -> None:
    """`seconds` tell one writing from another, whatever the disk's clock can do."""
    file.write_text(text)
    os.utime(file, ns=(seconds * 10**9, seconds * 10**9))


def test_a_file_that_stays_says_nothing(file: Path) -> None:
    watch = Watch(file, sign_of(file))
    assert [watch.changed() for _ in range(3)] == [None, None, None]


def test_a_change_is_told_once_it_has_stayed_for_two_looks(file: Path) -> None:
    watch = Watch(file, sign_of(file))
    write(file, "two", 1)
    assert watch.changed() is None
    assert watch.changed() == sign_of(file)
    assert watch.changed() is None


def test_a_file_that_is_being_written_is_waited_for(file: Path) -> None:
    watch = Watch(file, sign_of(file))
    for second in range(1, 5):
        write(file, "x" * second, second)
        assert watch.changed() is None
    assert watch.changed() is not None


def test_an_empty_file_is_about_to_be_written(file: Path) -> None:
    watch = Watch(file, sign_of(file))
    write(file, "", 1)
    assert [watch.changed() for _ in range(3)] == [None, None, None]
    write(file, "two", 2)
    assert [watch.changed() is None for _ in range(2)] == [True, False]


def test_a_file_that_is_gone_is_waited_for(file: Path) -> None:
    watch = Watch(file, sign_of(file))
    file.unlink()
    assert sign_of(file) is None
    assert [watch.changed() for _ in range(2)] == [None, None]
    write(file, "two", 2)
    assert [watch.changed() is None for _ in range(2)] == [True, False]


def test_another_file_in_its_place_is_a_change(file: Path, tmp_path: Path) -> None:
    """So editors and configuration maps do it; size and time may be the same."""
    write(file, "one", 1)
    watch = Watch(file, sign_of(file))
    write(tmp_path / "other", "two", 1)
    (tmp_path / "other").replace(file)
    assert [watch.changed() is None for _ in range(2)] == [True, False]


def test_a_file_behind_a_link_is_looked_at(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    watch = Watch(link, sign_of(link))
    (tmp_path / "v2.yaml").write_text("two")
    link.unlink()
    link.symlink_to(tmp_path / "v2.yaml")
    assert [watch.changed() is None for _ in range(2)] == [True, False]


def test_what_was_read_for_another_reason_is_no_news(file: Path) -> None:
    watch = Watch(file, sign_of(file))
    write(file, "two", 1)
    watch.note()
    assert [watch.changed() for _ in range(2)] == [None, None]
    write(file, "three", 2)
    assert [watch.changed() is None for _ in range(2)] == [True, False]


def test_what_could_not_be_taken_is_told_again(file: Path) -> None:
    watch = Watch(file, sign_of(file))
    write(file, "two", 1)
    assert [watch.changed() is None for _ in range(3)] == [True, False, True]
    watch.again()
    assert watch.changed() is not None
    assert watch.changed() is None


def test_what_was_written_before_the_first_look_is_seen(file: Path) -> None:
    sign = sign_of(file)
    write(file, "two", 1)
    watch = Watch(file, sign)
    assert [watch.changed() is None for _ in range(2)] == [True, False]
