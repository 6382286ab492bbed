"""What the gateway is put into containers with says the same as the gateway; `just containers` lints the rest."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from scaigrid.config.schema import Config, Server
from tests.harness.checkout import ROOT

SPARE = 20
"""Seconds that whatever kills a gateway in the end waits beyond its own times, as `server.shutdown_seconds` says."""
COMPOSE: Any = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
GATEWAYS = [service for name, service in COMPOSE["services"].items() if name.startswith("gateway-")]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SCALE = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / "scale.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the files name as ${NAME}."""
    values = {
        "SCAIGRID_DATABASE_URL": "postgresql://scaigrid:password@postgres:5432/scaigrid",
        "SCAIGRID_STORE_URL": "valkey://:password@valkey:6379/0",
        "SCAIGRID_ENCRYPTION_KEY": "k" * 32,
        "SCAIGRID_ADMIN_KEY": "sgk_admin_" + "0" * 34,
        "STORE_PASSWORD": "password",
        "DATABASE_PASSWORD": "password",
        "ENCRYPTION_KEY": "k" * 32,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def checked(path: Path) -> Config:
    """As `scaigrid check` does it."""
    from scaigrid.cli.configured import whole

    return whole(path)


@pytest.mark.usefixtures("secrets")
def test_the_configuration_of_the_compose_file_is_valid_and_its_times_fit() -> None:
    config = checked(ROOT / "deploy" / "scaigrid.yaml")
    assert config.store.type == "valkey", "two gateways count together"
    needed = config.server.drain_seconds + config.server.shutdown_seconds + SPARE
    assert len(GATEWAYS) == 2
    for gateway in GATEWAYS:
        assert int(gateway["stop_grace_period"].removesuffix("s")) >= needed


@pytest.mark.usefixtures("secrets")
def test_what_the_page_of_scale_says_to_run_is_valid(tmp_path: Path) -> None:
    assert len(SCALE) == 3
    for number, text in enumerate(SCALE):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        assert checked(file).server.workers == yaml.safe_load(text)["server"]["workers"]


def test_every_service_is_confined_and_no_store_is_reachable_from_outside() -> None:
    for name, service in COMPOSE["services"].items():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "healthcheck" in service, name
        if service not in GATEWAYS:
            assert (service.get("ports"), service["networks"]) == (None, ["back"]), name
            assert service["user"].partition(":")[0] != "0", name
    assert COMPOSE["networks"]["back"] == {"internal": True}
    mine = [volume for gateway in GATEWAYS for volume in gateway["volumes"]]
    assert len(set(mine)) == 2, "each has a data directory of its own"


def test_no_secret_stands_in_the_compose_file() -> None:
    """Each comes from the environment, and a missing one is an error and not an empty password."""
    told = [pair for service in COMPOSE["services"].values() for pair in service["environment"].items()]
    secret = [(key, value) for key, value in told if key.endswith(("PASSWORD", "KEY", "URL"))]
    assert len(secret) == 2 * 4 + 2
    assert [key for key, value in secret if not re.search(r"\$\{[A-Z_]+:\?", value)] == []


def test_the_chart_has_the_times_that_its_probes_need() -> None:
    values: Any = yaml.safe_load((ROOT / "deploy" / "helm" / "scaigrid" / "values.yaml").read_text())
    text = (ROOT / "deploy" / "helm" / "scaigrid" / "templates" / "gateways.yaml").read_text()
    ready = text[text.index("readinessProbe") :]
    period, failures = (int(re.findall(rf"{word}: (\d+)", ready)[0]) for word in ("periodSeconds", "failureThreshold"))
    assert values["drainSeconds"] >= period * failures
    assert f"add .Values.drainSeconds .Values.shutdownSeconds {SPARE} " in text


def test_the_image_is_nobodys_and_takes_what_is_pinned_and_nothing_else() -> None:
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    assert "--require-hashes --requirement requirements.lock" in DOCKERFILE
    assert re.findall(r"^COPY (?!--from)(.*) \./$", DOCKERFILE, re.MULTILINE) == [
        "requirements.lock",
        "dist/scaigrid-*.whl",
    ]
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert ignored == ["*", "!requirements.lock", "!dist/", "dist/*", "!dist/scaigrid-*.whl"]
    assert "STOPSIGNAL SIGTERM" in DOCKERFILE


def test_the_health_check_of_the_image_asks_where_its_command_listens() -> None:
    (port,) = re.findall(r'^CMD \["serve", .*"--port", "(\d+)"\]$', DOCKERFILE, re.MULTILINE)
    assert f"http://127.0.0.1:{port}/health'" in DOCKERFILE
    assert f"EXPOSE {port}" in DOCKERFILE
    assert int(port) == Server().port
