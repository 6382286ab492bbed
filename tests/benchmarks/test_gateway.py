import re
from pathlib import Path

import pytest
import yaml

from benchmarks import chat, gateway
from benchmarks.errors import RigError
from scaigrid.config.load import load
from scaigrid.config.schema import Config

METRICS = """\
# HELP scaigrid_requests_total Requests answered.
# TYPE scaigrid_requests_total counter
scaigrid_requests_total{model="bench/chat",protocol="openai",status="200"} 41.0
scaigrid_requests_total{model="bench/chat",protocol="native",status="200"} 1.0
scaigrid_requests_total{model="bench/chat",protocol="openai",status="499"} 2.0
scaigrid_requests_total{model="none",protocol="native",status="200"} 1000.0
scaigrid_tokens_total{direction="input",model="bench/chat",tenant_id="tenant_1"} 6132.0
scaigrid_taken_total{kind="requests",level="tenant",of="limit"} 42.0
scaigrid_taken_total{kind="cost",level="model",of="budget"} 3.187884e+06
scaigrid_budget_spent{budget="bench-key",kind="cost"} 3.187884e+06
scaigrid_backend_inflight_requests{backend_id="be_1"} 3.0
scaigrid_backend_inflight_requests{backend_id="be_2"} 1.0
scaigrid_ledger_backlog 84.0
"""


def test_the_gateway_accepts_the_configuration(tmp_path: Path) -> None:
    config = _config(tmp_path)
    assert config.keys["bench-key"].key is not None
    assert config.providers["bench"].base_url == "http://127.0.0.1:8001/v1"
    assert config.server.host == "127.0.0.1"


def test_every_level_has_a_limit_and_every_budget_all_three_kinds(tmp_path: Path) -> None:
    config = _config(tmp_path)
    assert {budget.scope for budget in config.budgets.values()} == {*gateway.LIMITED, "model"}
    assert config.budgets.keys() == gateway.BUDGETS.keys()
    for budget in config.budgets.values():
        assert budget.cost_limit
        assert budget.token_limit
        assert budget.request_limit
    for holders in (config.partners, config.tenants, config.users, config.keys):
        (holder,) = holders.values()
        assert holder.limits.requests_per_minute == 1_000_000_000


def test_no_key_stands_in_the_file(tmp_path: Path) -> None:
    text = yaml.safe_dump(gateway.configuration(provider=8001, data_folder=tmp_path))
    assert chat.GATEWAY_KEY not in text
    assert chat.PROVIDER_KEY not in text


def _config(folder: Path) -> Config:
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(gateway.configuration(provider=8001, data_folder=folder)))
    variables = re.findall(r"\$\{(\w+)\}", file.read_text())
    return load(file, Config, env=dict.fromkeys(variables, chat.GATEWAY_KEY))


def test_counters_are_those_of_our_model_over_all_dialects() -> None:
    assert gateway.counters(METRICS) == {
        "metrics: status 200": 42,
        "metrics: status 499": 2,
        "metrics: input tokens": 6132,
        "limits of the tenant: requests": 42,
        "budgets of the model: cost": 3_187_884,
        "budget bench-key: cost": 3_187_884,
    }


def test_the_pulse_adds_up_what_calls_move_and_no_scrape() -> None:
    assert gateway.read_pulse(METRICS) == gateway.Pulse(requests=44, under_way=4, backlog=84)


def test_without_a_backlog_nobody_can_say_when_it_is_done() -> None:
    with pytest.raises(RigError, match="scaigrid_ledger_backlog"):
        gateway.read_pulse(METRICS.replace("scaigrid_ledger_backlog", "another"))
