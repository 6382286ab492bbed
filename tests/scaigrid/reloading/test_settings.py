"""Which settings a file says otherwise than the process was started with."""

from typing import Any, cast

import msgspec
import pytest

from scaigrid.app import Composed
from scaigrid.config.schema import Config
from scaigrid.reloading.settings import differing
from scaigrid.secrets import decode_secret

ISSUER = {"issuer": "https://id.example.test", "audience": ["scaigrid"]}


def config(**sections: Any) -> Config:
    return cast("Config", msgspec.convert(sections, Composed, dec_hook=decode_secret))


@pytest.mark.parametrize(
    ("started", "now", "told"),
    [
        ({}, {}, []),
        ({}, {"server": {"port": 9001, "watch": False}}, ["server.port", "server.watch"]),
        ({"log": {"level": "debug"}}, {}, ["log.level"]),
        ({}, {"chain": {"intake": {"max_body_bytes": 2048}}}, ["chain.intake.max_body_bytes"]),
        ({}, {"identity": {"issuers": {"corp": ISSUER}}}, ["identity.issuers.corp"]),
        ({}, {"database": {"encryption_key": "k" * 32}}, ["database.encryption_key"]),
        (
            {"identity": {"issuers": {"corp": ISSUER}}},
            {"identity": {"issuers": {"corp": {**ISSUER, "timeout_seconds": 1}}}},
            ["identity.issuers.corp.timeout_seconds"],
        ),
    ],
)
def test_each_setting_that_differs_is_named(started: dict[str, Any], now: dict[str, Any], told: list[str]) -> None:
    assert list(differing(config(**started), config(**now))) == told


def test_what_is_in_the_database_is_no_setting() -> None:
    assert list(differing(config(), config(users={"ann": {}}, partners={"acme": {}}))) == []


def test_no_value_is_told() -> None:
    now = config(database={"encryption_key": "not-to-be-seen-by-anybody-" + "k" * 32})
    assert "not-to-be-seen" not in "".join(differing(config(), now))
