"""The composition root: what is put together, in which order, and what the command line may say instead of the file."""

import json
import re
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from middlewares import CHAIN
from scaigrid.app import Composed, Overrides, Unfit, build, load_config
from scaigrid.asgi import ASGIApp
from scaigrid.config.load import ConfigErrors
from tests.harness.checkout import ROOT

DEMO = ROOT / "config" / "demo.yaml"


def test_the_section_of_the_chain_is_made_from_the_chain() -> None:
    (section,) = (field for field in msgspec.structs.fields(Composed) if field.name == "chain")
    assert [field.name for field in msgspec.structs.fields(section.type)] == [link.name for link in CHAIN]


@pytest.mark.parametrize("link", [link.name for link in CHAIN if "enabled" not in link.config.__struct_fields__])
def test_a_link_that_must_stand_cannot_be_turned_off(tmp_path: Path, link: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"chain:\n  {link}:\n    enabled: false\n")
    with pytest.raises(ConfigErrors, match=f"c.yaml:3: chain.{link}.enabled: "):
        load_config(path)


def test_the_links_that_nothing_may_do_without_must_stand() -> None:
    switchable = {link.name for link in CHAIN if "enabled" in link.config.__struct_fields__}
    assert not switchable & {"request_id", "errors", "tenancy", "intake", "route_resolve"}


def test_a_request_walks_the_links_in_the_order_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app: Any = build(load_config(DEMO))
    walked: list[str] = []
    while type(app).__module__.startswith("middlewares."):
        walked.append(type(app).__module__.removeprefix("middlewares."))
        app = cast(ASGIApp, app.app)
    assert walked == [link.name for link in CHAIN if link.place == "edge"]


def test_the_command_line_overrides_the_file() -> None:
    server = load_config(DEMO, Overrides(port=9001)).server
    assert (server.host, server.port) == ("127.0.0.1", 9001)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (Overrides(workers=2), "server.workers: 2 workers would each count by themselves"),
        (Overrides(host="0.0.0.0"), "keys.demo: this is the published demo key"),
        (Overrides(port=0), "--port: 0 is not a port: give 1 to 65535"),
        (Overrides(port=65_536), "--port: 65536 is not a port: give 1 to 65535"),
        (Overrides(workers=0), "--workers: 0 is not a number of workers: give 1 or more"),
    ],
)
def test_what_does_not_go_with_the_file_is_refused(overrides: Overrides, text: str) -> None:
    with pytest.raises(Unfit, match=text):
        load_config(DEMO, overrides)


@pytest.mark.parametrize("path", sorted((ROOT / "config").rglob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_in_the_repository_is_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"\$\{(\w+)\}", path.read_text()):
        monkeypatch.setenv(name, "sgk_" + "x" * 32)
    # A key file has a form of its own.
    account = {"client_email": "a@example.com", "private_key": "-----BEGIN PRIVATE KEY-----"}
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", json.dumps(account))
    load_config(path)
