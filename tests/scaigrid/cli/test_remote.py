"""A command asks a running gateway: where, as whom, and what it says where that does not work."""

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scaigrid import __version__
from scaigrid.cli.command import FAILED, WRONG, Failed
from scaigrid.cli.remote import DEFAULT_URL, connected, remote_arguments
from tests.harness.behaviours import answer, reset
from tests.harness.ports import free_port
from tests.harness.provider import Endpoint, Provider
from tests.scaigrid.cli.gateway import KEY, page, refusal, told


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture
def gateway(server: Provider, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    monkeypatch.setenv("SCAIGRID_API_KEY", KEY)
    endpoint = server.at(f"/{request.node.originalname}")
    monkeypatch.setenv("SCAIGRID_URL", endpoint.url)
    return endpoint


def _given(*arguments: str) -> Any:
    parser = ArgumentParser()
    remote_arguments(parser)
    return parser.parse_args(arguments)


def _get(*arguments: str, path: str = "/v1/x", **query: str | None) -> Any:
    with connected(_given(*arguments)) as remote:
        return remote.get(path, **query)


def _failure(*arguments: str) -> Failed:
    with pytest.raises(Failed) as caught:
        _get(*arguments)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)
    return caught.value


def test_it_asks_with_the_key_of_the_environment(gateway: Endpoint) -> None:
    gateway.then(told({"a": 1}))
    assert _get("--tenant", "acme", a="b", c=None) == {"a": 1}
    seen = gateway.seen()
    assert seen.header("authorization") == f"Bearer {KEY}"
    assert (seen.header("x-scaigrid-tenant"), seen.header("user-agent")) == ("acme", f"scaigrid/{__version__}")
    assert (seen.method, seen.path.rpartition("/")[2]) == ("GET", "x?a=b")


def test_arguments_go_before_the_environment(gateway: Endpoint, server: Provider, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sgk_from_the_file\n")
    other = server.at("/another").then(told(None))
    assert _get("--url", other.url, "--key-file", str(file)) is None
    assert other.seen().header("authorization") == "Bearer sgk_from_the_file"
    assert not gateway.requests


def test_a_body_is_sent_as_json(gateway: Endpoint) -> None:
    gateway.then(told({"made": True}, 201))
    with connected(_given()) as remote:
        assert remote.post("/v1/x", {"name": "ü"}) == {"made": True}
    seen = gateway.seen()
    assert (seen.method, seen.json, seen.header("content-type")) == ("POST", {"name": "ü"}, "application/json")


def test_a_list_is_read_to_its_end(gateway: Endpoint) -> None:
    gateway.then(page(1, 2, following="next"), page(3))
    with connected(_given()) as remote:
        assert list(remote.items("/v1/x", status="active", user_id=None)) == [1, 2, 3]
    assert [seen.path.partition("?")[2] for seen in gateway.requests] == [
        "status=active",
        "status=active&cursor=next",
    ]


def test_a_refusal_is_told_in_the_words_of_the_gateway(gateway: Endpoint) -> None:
    gateway.then(refusal("VALIDATION_ERROR", "The request is not valid.", 422, name="is taken\x1b[31m"))
    failure = _failure()
    assert (str(failure), failure.code) == (
        "scaigrid: VALIDATION_ERROR: The request is not valid. (name: is taken\\x1b[31m) [req_12345678]",
        FAILED,
    )


@pytest.mark.parametrize("body", [b"<html>", b'{"error": "x"}', b'{"error": {"code": "x"}}', b"[]", b""])
@pytest.mark.parametrize("status", [200, 404])
def test_somebody_else_at_the_address_is_not_taken_for_a_gateway(gateway: Endpoint, body: bytes, status: int) -> None:
    gateway.then(answer(body, status=status))
    assert f"does not answer as ScaiGrid does (status {status})" in str(_failure())


@pytest.mark.parametrize("data", [None, [], {"items": [1]}])
def test_what_is_no_list_is_not_read_as_one(gateway: Endpoint, data: Any) -> None:
    gateway.then(told(data))
    with connected(_given()) as remote, pytest.raises(Failed, match="does not answer as ScaiGrid does"):
        list(remote.items("/v1/x"))


def test_a_key_follows_no_redirection(gateway: Endpoint, server: Provider) -> None:
    elsewhere = server.at("/elsewhere")
    gateway.then(answer(b"", status=307, headers=[("location", elsewhere.url)]))
    assert "does not answer as ScaiGrid does" in str(_failure())
    assert not elsewhere.requests


def test_nobody_there_is_said_with_the_reason(gateway: Endpoint) -> None:
    assert "cannot be reached" in str(_failure("--url", f"http://127.0.0.1:{free_port()}"))
    gateway.then(reset)
    assert "cannot be reached" in str(_failure())


def test_without_a_word_about_the_address_it_is_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCAIGRID_API_KEY", KEY)
    monkeypatch.delenv("SCAIGRID_URL", raising=False)
    assert DEFAULT_URL == "http://127.0.0.1:8000"
    with connected(_given()) as remote:
        assert vars(remote)["_url"] == DEFAULT_URL


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://here", "http://", "http://[", "http://a:b/", "nothing"])
def test_what_is_no_address_is_refused(gateway: Endpoint, url: str) -> None:
    assert gateway.unused == 0
    failure = _failure("--url", url)
    assert failure.code == WRONG


def test_a_proxy_is_not_asked_for_this_machine(gateway: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key would go through it."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    gateway.then(told(1))
    assert _get() == 1


def test_without_a_key_it_says_where_one_is_taken_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for value in ("", "  "):
        monkeypatch.setenv("SCAIGRID_API_KEY", value)
        failure = _failure()
        assert (str(failure), failure.code) == (
            "scaigrid: set SCAIGRID_API_KEY to your API key, or give --key-file FILE",
            WRONG,
        )
    assert "No such file" in str(_failure("--key-file", str(tmp_path / "none")))


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff\xfe", "sgk_ü".encode(), b"sgk_a\nsgk_b"])
def test_a_file_without_a_key_is_refused_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    failure = _failure("--key-file", str(file))
    assert failure.code == WRONG
    assert "words" not in str(failure)
    assert "sgk_" not in str(failure)
