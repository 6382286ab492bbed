import asyncio
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from scaigrid.log import REQUEST_ID, LineSink, Scrubber
from tests.harness.eventually import becomes
from tests.harness.logs import logging_to
from tests.harness.services import Written

SECRET = "sgk_a-secret-0123456789"


class Pipe:
    """A pipe, as the standard output of a supervised process is one."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)

    def read(self) -> bytes:
        try:
            return os.read(self.reading, 2**20)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        for end in (self.reading, self.writing):
            try:
                os.close(end)
            except OSError:
                continue


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


# -- the sink --------------------------------------------------------------------------------------------------------


def test_without_a_loop_a_line_is_written_at_once(pipe: Pipe) -> None:
    LineSink(pipe.writing).write(b"one")
    assert pipe.read() == b"one\n"


async def test_within_a_loop_lines_are_gathered_for_a_moment(pipe: Pipe) -> None:
    sink = LineSink(pipe.writing)
    sink.write(b"one")
    sink.write(b"two")
    assert pipe.read() == b""
    assert await becomes(pipe.read, "the lines are written") == b"one\ntwo\n"


async def test_a_lot_of_lines_is_not_gathered(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        sink = LineSink(file.fileno())
        for _ in range(17):
            sink.write(b"x" * 4000)
        assert (tmp_path / "log").stat().st_size == 17 * 4001


async def test_what_is_gathered_can_be_written_early(pipe: Pipe) -> None:
    sink = LineSink(pipe.writing)
    sink.write(b"last words")
    sink.flush()
    assert pipe.read() == b"last words\n"
    sink.flush()
    assert pipe.read() == b""


async def test_after_a_moment_the_next_lines_are_gathered_anew(pipe: Pipe) -> None:
    sink = LineSink(pipe.writing)
    for word in (b"one", b"two"):
        sink.write(word)
        assert await becomes(pipe.read, "the line is written") == word + b"\n"


def test_a_reader_who_is_gone_does_not_take_the_gateway_along(pipe: Pipe) -> None:
    sink = LineSink(pipe.writing)
    os.close(pipe.reading)
    sink.write(b"nobody reads this")
    sink.write(b"nor this")


def test_a_full_pipe_gets_the_rest_of_a_line_when_there_is_room(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def a_little(fd: int, data: memoryview) -> int:
        return write(fd, data[:3])

    monkeypatch.setattr(os, "write", a_little)
    LineSink(pipe.writing).write(b"in small pieces")
    assert pipe.read() == b"in small pieces\n"


# -- the scrubber ----------------------------------------------------------------------------------------------------


def test_a_known_secret_is_masked_wherever_it_stands() -> None:
    scrub = Scrubber([SECRET])
    assert scrub(f'{{"a":"{SECRET}","b":"x{SECRET}x"}}'.encode()) == b'{"a":"***","b":"x***x"}'
    assert scrub(b"nothing to hide") == b"nothing to hide"


def test_a_short_secret_is_left_or_it_would_mangle_every_line() -> None:
    assert Scrubber(["abc", "1234567"])(b"abc 1234567") == b"abc 1234567"
    assert Scrubber(["12345678"])(b"12345678") == b"***"


def test_a_new_configuration_brings_new_secrets() -> None:
    scrub = Scrubber(["old-secret"])
    scrub.learn(["new-secret"])
    assert scrub(b"old-secret new-secret") == b"old-secret ***"


# -- the loggers -----------------------------------------------------------------------------------------------------


@pytest.fixture
def written() -> Iterator[Written]:
    sink = Written()
    with logging_to(sink, secrets=[SECRET]):
        yield sink


def log() -> Any:
    return structlog.get_logger()


def test_an_event_is_a_line_of_json(written: Written) -> None:
    log().info("something_happened", count=3, where="here")
    (line,) = written.lines
    timestamp = line.pop("timestamp")
    assert line == {"event": "something_happened", "level": "info", "count": 3, "where": "here"}
    assert timestamp.endswith("Z")


def test_a_line_is_tagged_with_the_request_that_it_is_about(written: Written) -> None:
    token = REQUEST_ID.set("req_1")
    log().info("inside")
    log().info("another", request_id="req_2")
    REQUEST_ID.reset(token)
    log().info("outside")
    assert [line.get("request_id") for line in written.lines] == ["req_1", "req_2", None]


async def test_each_task_tags_with_its_own_request(written: Written) -> None:
    async def work(name: str) -> None:
        REQUEST_ID.set(name)
        await asyncio.sleep(0)
        log().info("working")

    await asyncio.gather(*(work(f"req_{number}") for number in range(3)))
    assert sorted(line["request_id"] for line in written.lines) == ["req_0", "req_1", "req_2"]


def test_what_is_less_severe_than_asked_is_not_written() -> None:
    sink = Written()
    with logging_to(sink, level="warning"):
        log().info("quiet")
        logging.getLogger("some.package").info("quiet too")
        log().warning("heard")
    assert [line["event"] for line in sink.lines] == ["heard"]


def test_the_standard_library_s_records_have_the_same_form(written: Written) -> None:
    logging.getLogger("some.package").warning("%s went %s", "it", "wrong")
    (line,) = written.lines
    assert (line["event"], line["level"], line["logger"]) == ("it went wrong", "warning", "some.package")


def test_httpx_s_addresses_are_not_written(written: Written) -> None:
    logging.getLogger("httpx").info("HTTP Request: GET https://example.test/?key=1")
    assert written.lines == []


def test_an_exception_is_told_without_the_values_of_its_variables(written: Written) -> None:
    body = "the caller's own words"
    try:
        raise ZeroDivisionError(len(body))
    except ZeroDivisionError:
        log().exception("it_broke")
    (line,) = written.lines
    (told,) = line["exception"]
    assert (line["level"], told["exc_type"], told["exc_value"]) == ("error", "ZeroDivisionError", str(len(body)))
    assert told["frames"][-1]["name"] == "test_an_exception_is_told_without_the_values_of_its_variables"
    assert body not in json.dumps(line)


def test_a_library_s_exception_is_told_too(written: Written) -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logging.getLogger("some.package").exception("it broke")
    (line,) = written.lines
    assert line["exception"][0]["exc_type"] == "ZeroDivisionError"


@pytest.mark.parametrize("how", ["in the event", "in a value", "in an exception"])
def test_a_secret_is_masked_in_whatever_is_logged(written: Written, how: str) -> None:
    if how == "in the event":
        logging.getLogger("some.package").error("key %s refused", SECRET)
    elif how == "in a value":
        log().error("refused", details={"keys": [SECRET]})
    else:
        try:
            raise ValueError(SECRET)
        except ValueError:
            log().exception("refused")
    (raw,) = written.raw
    assert SECRET.encode() not in raw
    assert b"***" in raw


def test_what_json_has_no_word_for_is_written_as_text(written: Written) -> None:
    log().info("odd", value=object, path=os.fspath)
    (line,) = written.lines
    assert isinstance(line["value"], str)
