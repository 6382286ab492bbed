"""The first file is one that is served, whatever it is about."""

from pathlib import Path
from typing import Any

import pytest

from scaigrid.app import Composed
from scaigrid.cli.first_file import First, text_of
from scaigrid.config.load import load

FIRST: dict[str, Any] = {
    "provider": "openai",
    "base_url": None,
    "key_variable": "OPENAI_API_KEY",
    "upstream_model": "gpt-4o",
    "model": "openai/gpt-4o",
    "input_price": "2.50",
    "output_price": "10",
    "max_output_tokens": 8192,
    "digest": "ab" * 32,
    "prefix": "sgk_abcdefgh",
}


def _read(tmp_path: Path, **fields: Any) -> Any:
    path = tmp_path / "c.yaml"
    path.write_text(text_of(First(**{**FIRST, **fields}), ["scaigrid serve c.yaml"]))
    return load(path, Composed, env={"OPENAI_API_KEY": "pk-of-the-provider"})


def test_it_says_what_it_is_about(tmp_path: Path) -> None:
    config = _read(tmp_path)
    (key,) = config.keys.values()
    assert (key.user, key.sha256, key.prefix, key.key) == ("admin", "ab" * 32, "sgk_abcdefgh", None)
    assert config.users["admin"].roles == ("super_admin",)
    assert config.providers["openai"].api_key.reveal() == "pk-of-the-provider"
    (backend,) = config.backends.values()
    assert (backend.provider, backend.model) == ("openai", "gpt-4o")
    model = config.models["openai/gpt-4o"]
    assert (str(model.prices.input), str(model.prices.output), model.max_output_tokens) == ("2.50", "10", 8192)


def test_it_is_open_to_this_machine_alone(tmp_path: Path) -> None:
    assert _read(tmp_path).server.host == "127.0.0.1"


def test_a_provider_elsewhere_that_wants_no_key(tmp_path: Path) -> None:
    config = _read(tmp_path, provider="custom", base_url="http://127.0.0.1:11434/v1", key_variable=None)
    provider = config.providers["custom"]
    assert (provider.type, provider.base_url, provider.api_key) == ("custom", "http://127.0.0.1:11434/v1", None)


@pytest.mark.parametrize(
    ("given", "prices"),
    [((None, None), None), (("0", None), ("0", "0")), ((None, "10"), ("0", "10"))],
)
def test_without_a_price_it_is_free_and_says_so(tmp_path: Path, given: tuple[Any, Any], prices: Any) -> None:
    (model,) = _read(tmp_path, input_price=given[0], output_price=given[1]).models.values()
    if prices is None:
        assert (model.unpriced, model.prices) == ("free", None)
    else:
        assert (str(model.prices.input), str(model.prices.output)) == prices


@pytest.mark.parametrize("name", ["gpt-4o", "5", "yes", "no: 1", 'a "b" # c', "${HOME}", "meta/llama:70b", "ü", "-"])
def test_whatever_the_provider_calls_its_model_is_read_as_that(tmp_path: Path, name: str) -> None:
    (backend,) = _read(tmp_path, upstream_model=name).backends.values()
    assert backend.model == name


def test_its_first_lines_say_how_it_is_served() -> None:
    text = text_of(First(**FIRST), ["scaigrid check c.yaml", "scaigrid serve c.yaml"])
    assert text.splitlines()[2:4] == ["#   scaigrid check c.yaml", "#   scaigrid serve c.yaml"]
