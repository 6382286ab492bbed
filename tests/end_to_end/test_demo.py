"""The demo configuration, as the README has it served: no provider, no provider key, and every call answered."""

from collections.abc import Iterator

import openai
import pytest
import yaml
from openai import OpenAI

from scaigrid.config.terms import DEMO_KEY
from tests.harness.checkout import ROOT
from tests.harness.eventually import PATIENCE
from tests.harness.gateway import Gateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    config["server"].pop("data_dir", None)
    config["server"].pop("port", None)
    with Gateway(config, tmp_path_factory.mktemp("demo")) as running:
        yield running
        assert running.stop() == 0
        assert running.strays() == []


@pytest.fixture
def sdk(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(api_key=DEMO_KEY, base_url=f"{gateway.url}/oai/v1", max_retries=0, timeout=PATIENCE) as client:
        yield client


def test_it_answers_a_chat(sdk: OpenAI) -> None:
    got = sdk.chat.completions.create(model="demo/chat", messages=[{"role": "user", "content": "Say hello."}])
    assert got.choices[0].message.content
    assert got.choices[0].finish_reason == "stop"
    assert got.usage is not None
    assert got.usage.total_tokens > 0


def test_it_streams_a_chat(sdk: OpenAI) -> None:
    got = sdk.chat.completions.create(
        model="demo/chat", messages=[{"role": "user", "content": "Say hello."}], stream=True
    )
    pieces = [choice.delta.content for chunk in got for choice in chunk.choices if choice.delta.content]
    assert len(pieces) > 1


def test_it_makes_vectors(sdk: OpenAI) -> None:
    got = sdk.embeddings.create(model="demo/embed", input=["one", "two"])
    assert len(got.data) == 2
    assert len(got.data[0].embedding) == len(got.data[1].embedding) > 1
    assert got.data[0].embedding != got.data[1].embedding


def test_it_calls_a_tool(sdk: OpenAI) -> None:
    got = sdk.chat.completions.create(
        model="demo/chat",
        messages=[{"role": "user", "content": "How is the weather in Delft?"}],
        tools=[
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "parameters": {
                        "type": "object",
                        "properties": {"place": {"type": "string"}},
                        "required": ["place"],
                    },
                },
            }
        ],
        tool_choice="required",
    )
    (call,) = got.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "weather"


def test_it_lists_its_models(sdk: OpenAI) -> None:
    assert {model.id for model in sdk.models.list()} == {"demo/chat", "demo/embed"}


def test_it_knows_no_other_key(gateway: Gateway) -> None:
    stranger = OpenAI(api_key="sgk_" + "x" * 40, base_url=f"{gateway.url}/oai/v1", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError) as caught:
        stranger.models.list()
    assert caught.value.code == "AUTH_TOKEN_INVALID"


def test_it_says_that_it_is_a_demo(gateway: Gateway) -> None:
    assert "demo key" in gateway.stderr
    assert "simulator" in gateway.stderr


def test_every_answer_is_in_the_ledger(gateway: Gateway, sdk: OpenAI) -> None:
    raw = sdk.chat.completions.with_raw_response.create(
        model="demo/chat", messages=[{"role": "user", "content": "Say hello."}]
    )
    (row,) = gateway.usage(1, request_id=raw.headers["x-request-id"])
    assert (row["outcome"], row["usage_source"]) == ("ok", "provider")
    assert row["cost"] > 0
