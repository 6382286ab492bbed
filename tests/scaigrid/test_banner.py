"""What a person is told at the start."""

from decimal import Decimal
from pathlib import Path

from scaigrid.app import load_config
from scaigrid.banner import banner, warnings
from tests.harness.checkout import ROOT

DEMO = ROOT / "config" / "demo.yaml"


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return banner(load_config(path), path)


def test_the_demo_says_where_what_and_for_whom() -> None:
    text = banner(load_config(DEMO), DEMO)
    for fact in ("http://127.0.0.1:8000", "demo/chat -> simulated-chat", "demo (demo)", "play-money", "/metrics"):
        assert fact in text
    assert len(text.splitlines()) <= 10


def test_every_dialect_and_the_reference_are_named() -> None:
    words = banner(load_config(DEMO), DEMO).replace(",", " ").split()
    assert {"/v1", "/oai/v1", "/anthropic", "/docs"} <= set(words)


def test_no_key_is_shown() -> None:
    assert "sgk_" not in banner(load_config(DEMO), DEMO)


def test_what_may_not_be_meant_is_a_warning() -> None:
    found = "\n".join(warnings(load_config(DEMO)))
    assert "published demo key" in found
    assert "simulator" in found


def test_an_empty_file_says_that_nobody_can_call(tmp_path: Path) -> None:
    text = written(tmp_path, "")
    assert "no keys are declared" in text
    assert "no models are declared" in text


def test_a_link_that_is_off_is_a_warning(tmp_path: Path) -> None:
    assert "turned off: audit, budget" in written(
        tmp_path, "chain: { budget: { enabled: false }, audit: { enabled: false } }"
    )


def test_metrics_that_are_off_are_not_announced(tmp_path: Path) -> None:
    assert "/metrics" not in written(tmp_path, "metrics: { enabled: false }")


def test_long_lists_are_cut(tmp_path: Path) -> None:
    users = "\n".join(f"  user{n}: {{}}" for n in range(40))
    keys = "\n".join(f'  key{n}: {{ user: user{n}, sha256: "{n:064x}" }}' for n in range(40))
    text = written(tmp_path, f"users:\n{users}\nkeys:\n{keys}\n")
    assert "and 28 more" in text
    assert max(map(len, text.splitlines())) < 400


def test_free_models_are_named_where_budgets_are_kept(tmp_path: Path) -> None:
    text = written(
        tmp_path,
        "users: { a: {} }\n"
        f"budgets: {{ b: {{ scope: user, of: a, period: daily, cost_limit: {Decimal(5)} }} }}\n"
        "providers: { s: { type: simulator } }\n"
        "backends: { s: { provider: s, model: m } }\n"
        "models: { gift: { unpriced: free, max_output_tokens: 5, route: { targets: [{ backend: s }] } } }\n",
    )
    assert "unpriced and free, so no cost budget bounds them: gift" in text
