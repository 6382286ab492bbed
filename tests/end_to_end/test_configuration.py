"""Configuration as code, on a deployment of 3 partners, 30 tenants and 300 users that serves meanwhile."""

import copy
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.behaviours import answer, completion
from tests.harness.commands import Ended, scaigrid
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, chat, http_client
from tests.harness.population import PROVIDER_KEY, key_of, population
from tests.harness.provider import Provider

SOON = 5.0
"""Seconds in which a change is in force everywhere."""

Start = Callable[..., Gateway]


@pytest.fixture
def config(provider: Provider) -> dict[str, Any]:
    endpoint = provider.at("/population/v1").always(answer(completion()))
    return population(provider=endpoint.url)


class Operator:
    """A person with an editor and a command line beside a running gateway."""

    def __init__(self, gateway: Gateway, config: dict[str, Any], watch: bool) -> None:
        self.gateway = gateway
        self.config = copy.deepcopy(config)
        self._server = {"data_dir": str(gateway.data), "drain_seconds": 0, "watch": watch}

    def save(self, file: Path | None = None) -> Path:
        """As an editor does it: all at once."""
        target = file or self.gateway.file
        draft = target.with_suffix(".draft")
        draft.write_text(json.dumps({"server": self._server, **self.config}))
        draft.replace(target)
        return target

    def run(self, command: str, *arguments: str | Path, file: Path | None = None) -> Ended:
        return scaigrid(command, file or self.gateway.file, *arguments, directory=self.gateway.directory)

    def status(self, user: int, model: str = "acme/small") -> int:
        """What a call with that user's key is answered."""
        with http_client(self.gateway, key_of(user)) as client:
            return client.post(CHAT_URL["openai"], json=chat(model)).status_code

    def sees(self, user: int, status: int, model: str = "acme/small") -> None:
        eventually(lambda: self.status(user, model) == status, f"user {user} is answered {status}", seconds=SOON)

    def reloads(self, *causes: str) -> list[dict[str, Any]]:
        """The log's lines about reloads for these reasons."""
        return [line for line in self.gateway.lines() if line.get("cause") in causes]


@pytest.fixture
def operator(start: Start, config: dict[str, Any]) -> Iterator[Operator]:
    gateway = start({**config, "server": {"watch": False}})
    yield Operator(gateway, config, watch=False)
    assert gateway.stop() == 0
    assert gateway.strays() == []


@pytest.fixture
def watched(start: Start, config: dict[str, Any]) -> Iterator[Operator]:
    gateway = start(config)
    yield Operator(gateway, config, watch=True)
    assert gateway.stop() == 0
    assert gateway.strays() == []


def test_a_plan_for_a_fresh_database_is_one_object_and_touches_nothing(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    done = scaigrid("plan", "c.yaml", "--json", directory=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert set(done.told) == {"create", "change", "delete", "refused", "unchanged"}
    kinds = [step["kind"] for step in done.told["create"]]
    assert {kind: kinds.count(kind) for kind in ("partner", "tenant", "user", "api_key")} == {
        "partner": 3,
        "tenant": 30,
        "user": 300,
        "api_key": 300,
    }
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_what_is_applied_is_in_force_while_calls_go_on(operator: Operator) -> None:
    assert operator.status(7) == 200
    assert operator.status(300) == 401
    operator.config["users"]["new"] = {"tenant": "tenant-0"}
    operator.config["keys"]["new"] = {"user": "new", "key": key_of(300)}
    operator.config["tenants"]["tenant-7"]["suspended"] = True
    elsewhere = operator.save(operator.gateway.directory / "next.yaml")
    done = operator.run("apply", "--json", file=elsewhere)
    assert done.code == 0, done.err
    told = done.told
    assert [step["name"] for step in told["create"]] == ["new", "new"]
    assert [step["name"] for step in told["change"]] == ["tenant-7"]
    operator.sees(300, 200)
    operator.sees(7, 403)
    assert operator.status(8) == 200
    metrics = operator.gateway.metrics()
    assert metrics.value("scaigrid_config_epoch") == 2
    (labels,) = metrics.labels("scaigrid_config_info")
    assert len(labels["hash"]) == 12


def test_an_export_plans_to_nothing_and_holds_no_credential(operator: Operator) -> None:
    done = operator.run("export")
    assert done.code == 0, done.err
    assert PROVIDER_KEY not in done.out
    exported = operator.gateway.directory / "exported.yaml"
    exported.write_text(done.out)
    plan = operator.run("plan", "--json", "--exit-code", file=exported)
    assert plan.code == 0, plan.out
    assert plan.told["unchanged"] == sum(len(section) for section in operator.config.values()) + 32  # routes
    assert {name: len(yaml.safe_load(done.out)[name]) for name in ("partners", "tenants", "users", "keys")} == {
        "partners": 3,
        "tenants": 30,
        "users": 300,
        "keys": 300,
    }


def test_a_gateway_reads_its_file_again_when_it_is_asked(operator: Operator) -> None:
    del operator.config["keys"]["user-5"]
    operator.config["log"] = {"level": "debug"}
    operator.save()
    done = operator.run("reload", "--json")
    assert done.code == 0, done.err
    assert done.told["outcome"] == "applied"
    assert [step["name"] for step in done.told["plan"]["delete"]] == ["laptop"]
    assert done.told["restart_needed"] == ["log.level"]
    operator.sees(5, 401)
    (line,) = operator.reloads("reload")
    assert (line["event"], line["deleted"], line["restart_needed"]) == ("config_reloaded", 1, ["log.level"])


def test_it_does_so_in_its_own_environment(start: Start, config: dict[str, Any], tmp_path: Path) -> None:
    """The file names a variable that the gateway has, and that nobody has who asks it."""
    config["keys"]["user-0"] = {"user": "user-0", "key": "${OF_USER_0}", "limits": {"requests_per_minute": None}}
    directory = tmp_path / "own"
    own = Gateway(
        {**config, "server": {"watch": False}}, directory, environment={"OF_USER_0": key_of(0), "NO_COLOR": "1"}
    )
    with own as gateway:
        operator = Operator(gateway, config, watch=False)
        operator.config["tenants"]["tenant-0"]["suspended"] = True
        operator.save()
        assert "OF_USER_0" not in os.environ
        assert operator.run("plan").code == 2
        done = operator.run("reload")
        assert done.code == 0, done.err
        assert "~ tenant tenant-0" in done.out
        operator.sees(0, 403)


def test_a_bad_file_is_refused_and_the_old_one_serves_on(operator: Operator) -> None:
    good = copy.deepcopy(operator.config)
    operator.config["users"]["user-1"]["tenant"] = "nobody"
    operator.save()
    done = operator.run("reload")
    assert done.code == 2
    assert "users.user-1.tenant: there is no tenant 'nobody'" in done.err
    assert operator.status(1) == 200
    operator.config = good
    operator.config["providers"]["main"]["api_key"] = "stored:000000000000"
    operator.save()
    done = operator.run("reload", "--json")
    assert done.code == 1
    assert [step["name"] for step in done.told["plan"]["refused"]] == ["main"]
    assert operator.status(1) == 200
    assert [line["event"] for line in operator.reloads("reload")] == ["config_not_reloaded"] * 2


def test_a_change_of_the_file_is_in_force_by_itself(watched: Operator) -> None:
    watched.config["tenants"]["tenant-3"]["suspended"] = True
    watched.save()
    watched.sees(3, 403)
    watched.config["users"]["user-4"]["tenant"] = "nobody"
    watched.save()
    eventually(lambda: len(watched.reloads("watch")) == 2, "the bad file was told")
    bad = watched.reloads("watch")[-1]
    assert (bad["event"], bad["outcome"]) == ("config_not_reloaded", "invalid")
    assert any("there is no tenant 'nobody'" in error for error in bad["errors"])
    assert watched.status(4) == 200
    watched.config["users"]["user-4"]["tenant"] = "tenant-4"
    watched.config["tenants"]["tenant-3"]["suspended"] = False
    watched.save()
    watched.sees(3, 200)


def test_going_back_holds_until_the_file_changes_or_the_gateway_starts(watched: Operator, start: Start) -> None:
    watched.config["tenants"]["tenant-2"]["suspended"] = True
    watched.save()
    watched.sees(2, 403)
    done = watched.run("rollback")
    assert done.code == 0, done.err
    assert "as it was" in done.err
    watched.sees(2, 200)
    assert len(watched.reloads("watch")) == 1, "the file has not changed"
    history = watched.run("history", "--json").told["entries"]
    assert [(entry["seq"], entry["actor"]) for entry in history][1:] == [(2, "watch"), (1, "serve")]
    assert history[0]["source"] == "rollback to 1"
    ahead = {**watched.config, "server": {"data_dir": str(watched.gateway.data)}}
    assert watched.gateway.stop() == 0
    again = Operator(start(ahead, directory="again"), watched.config, watch=True)
    assert again.status(2) == 403, "a start applies the file"


def test_what_is_asked_of_nobody_is_said_to_be_so(operator: Operator) -> None:
    assert operator.gateway.stop() == 0
    done = operator.run("reload")
    assert done.code == 1
    assert f"no gateway runs on {operator.gateway.data}" in done.err
