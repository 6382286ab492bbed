"""What a provider says was used is what a call costs, in the answer and in the ledger, to the nano-unit."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import pytest

from scaigrid.api.prices import sent
from scaigrid.config.terms import Cost
from scaigrid.control.prices import price_list
from scaigrid.pricing import to_decimal
from scaigrid.types import Usage
from tests.harness.behaviours import answer, completion
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, UNLIMITED, chat, http_client, secret
from tests.harness.provider import Endpoint, Provider
from tests.scaigrid.price_classes import Case, Said, cases

TOLD: Final[dict[str, tuple[Case, Said]]] = {
    f"m{place}": (case, case.said)
    for place, case in enumerate(cases())
    if case.said is not None and case.said.by == "openai"
}
"""By the name of a model with these prices, the rows of the table that a provider of this protocol can say."""
COST: Final = Cost(input=Decimal("0.5"), output=Decimal(1), request=Decimal("0.000000001"))
COLUMNS: Final = {
    "tokens_in": "input",
    "tokens_cache_read": "cache_read",
    "tokens_cache_write": "cache_write",
    "tokens_cache_write_1h": "cache_write_1h",
    "tokens_out": "output",
    "tokens_reasoning": "reasoning",
    "tokens_audio_in": "audio_input",
    "tokens_audio_out": "audio_output",
    "tokens_image_in": "image_input",
    "tokens_image_out": "image_output",
}


def config(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "partners": {"default": {"limits": UNLIMITED}},
        "tenants": {"default": {"limits": UNLIMITED}},
        "users": {"ann": {"limits": UNLIMITED}},
        "keys": {"ann": {"user": "ann", "key": secret("prices"), "limits": UNLIMITED}},
        "providers": {"p": {"type": "openai", "base_url": endpoint.url, "api_key": "provider-key"}},
        "backends": {"b": {"provider": "p", "model": "m", "cost": sent(COST)}},
        "models": {
            name: {"prices": sent(case.prices), "route": {"targets": [{"backend": "b"}]}}
            for name, (case, _) in TOLD.items()
        },
    }


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(config(provider.at("/prices/v1")), tmp_path_factory.mktemp("prices")) as running:
        yield running


@pytest.mark.parametrize("name", TOLD, ids=[case.name for case, _ in TOLD.values()])
def test_what_was_used_is_charged_in_its_class(gateway: Gateway, provider: Provider, name: str) -> None:
    case, said = TOLD[name]
    provider.at("/prices/v1").always(answer({**completion(), "usage": json.loads(bytes(said.usage[0]))}))
    with http_client(gateway, secret("prices")) as client:
        got = client.post(CHAT_URL["native"], json=chat(name)).json()["data"]
    wanted = Usage(**case.usage)
    assert got["cost"] == to_decimal(case.cost_nano)
    assert got["usage"]["total_tokens"] == wanted.total
    (row,) = gateway.usage(1, model=name)
    assert {column: row[column] for column in COLUMNS} == {
        column: getattr(wanted, field) for column, field in COLUMNS.items()
    }
    assert (row["cost"], row["backend_cost"]) == (case.cost_nano, price_list(COST).cost(wanted))
    versions = (price_list(case.prices).version, price_list(COST).version)
    assert (row["price_version"], row["backend_price_version"]) == versions
