"""`scaigrid init`: a file that can be served, and a key that is shown once."""

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

from adapters import ADAPTERS
from scaigrid.__main__ import main
from scaigrid.app import load_config
from scaigrid.config.terms import KEY_PATTERN

OPENAI = ("--provider", "openai", "--upstream-model", "gpt-4o")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, nobody to be asked, and no sign of another tool around the command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "pk-of-the-provider")
    return tmp_path


def _shown(out: str) -> str:
    """The one key that was shown."""
    (key,) = re.findall(r"sgk_\S+", out)
    assert re.fullmatch(KEY_PATTERN, key)
    return str(key)


def test_the_key_is_shown_once_and_only_its_digest_is_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", *OPENAI]) == 0
    key = _shown(capsys.readouterr().out)
    config = load_config(here / "scaigrid.yaml")
    assert config.keys["admin"].sha256 == hashlib.sha256(key.encode()).hexdigest()
    assert config.keys["admin"].prefix == key[:12]
    assert [entry.name for entry in here.iterdir()] == ["scaigrid.yaml"]
    assert key[12:] not in (here / "scaigrid.yaml").read_text()


def test_two_files_have_two_keys(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [main(["init", name, *OPENAI]) for name in ("a.yaml", "b.yaml")] == [0, 0]
    first, second = re.findall(r"sgk_\S+", capsys.readouterr().out)
    assert first != second
    assert (here / "a.yaml").exists()


def test_it_says_the_very_commands_that_come_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "my file.yaml", *OPENAI]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[lines.index("Next:") + 2 :][:3] == [
        "read -rs OPENAI_API_KEY; export OPENAI_API_KEY",
        "scaigrid check 'my file.yaml'",
        "scaigrid serve 'my file.yaml'",
    ]
    assert lines[-1] == "scaigrid keys create my-app"


def test_and_as_it_was_run_itself(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    assert main(["init", *OPENAI]) == 0
    assert "  uv run --no-dev scaigrid serve scaigrid.yaml\n" in capsys.readouterr().out


def test_what_is_there_is_not_written_over_unless_it_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = here / "mine.yaml"
    file.write_text("users: {}\n")
    assert main(["init", "mine.yaml", *OPENAI]) == 2
    assert capsys.readouterr().err == (
        "scaigrid: mine.yaml is there already: name another file, or write over it with --force\n"
    )
    assert file.read_text() == "users: {}\n"
    assert main(["init", "--output", "mine.yaml", "--force", *OPENAI]) == 0
    assert "super_admin" in file.read_text()
    assert [entry.name for entry in here.iterdir()] == ["mine.yaml"]


def test_every_argument_stands_in_the_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        *("--provider", "custom", "--base-url", "https://llm.example.com/v1", "--key-variable", "LLM_KEY"),
        *("--upstream-model", "big", "--model", "acme/chat"),
        *("--input-price", "1e1", "--output-price", "2.5", "--max-output-tokens", "100"),
    ]
    assert main(["init", *arguments]) == 0
    capsys.readouterr()
    text = (here / "scaigrid.yaml").read_text()
    assert "api_key: ${LLM_KEY}" in text
    assert "prices: { input: 10, output: 2.5 }" in text
    for part in ("https://llm.example.com/v1", "model: big", "acme/chat:", "max_output_tokens: 100"):
        assert part in text


def test_a_provider_that_wants_no_key(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local = ("--provider", "custom", "--base-url", "http://127.0.0.1:11434/v1", "--upstream-model", "llama")
    assert main(["init", *local, "--no-provider-key"]) == 0
    assert "read -rs SCAIGRID_API_KEY" in (out := capsys.readouterr().out)
    assert "PROVIDER_API_KEY" not in out
    assert load_config(here / "scaigrid.yaml").providers["custom"].api_key is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--provider is needed"),
        (("--provider", "openai"), "--upstream-model is needed"),
        (("--provider", "custom", "--upstream-model", "x"), "--base-url is needed"),
        (("--provider", "nobody", "--upstream-model", "x"), "--provider: there is no nobody: "),
        ((*OPENAI, "--input-price", "free"), "free is no price"),
        ((*OPENAI, "--input-price", "-1"), "-1 is no price"),
        ((*OPENAI, "--output-price", "NaN"), "NaN is no price"),
        ((*OPENAI, "--key-variable", "MY KEY"), "--key-variable: MY KEY is no name of a variable"),
        ((*OPENAI, "--model", "a//b"), "that makes no good configuration: models.a//b"),
        ((*OPENAI, "--base-url", "ftp://x"), "that makes no good configuration: providers.openai.base_url"),
        ((*OPENAI, "--max-output-tokens", "0"), "that makes no good configuration: models"),
        (("a.yaml", "--output", "b.yaml", *OPENAI), "give the file once"),
    ],
)
def test_what_is_missing_or_wrong_is_said_in_one_line_and_nothing_is_written(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert main(["init", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("scaigrid: ")
    assert words in err
    assert err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_a_folder_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "nowhere/c.yaml", *OPENAI]) == 1
    assert capsys.readouterr().err == "scaigrid: nowhere/c.yaml: No such file or directory\n"


# -- with a person at the terminal -----------------------------------------------------------------------------------


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal("".join(f"{line}\n" for line in lines)))


def test_a_person_is_asked_for_what_was_not_said(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _typed(monkeypatch, "", "", "gpt-4o", "", "acme/chat", "2.5", "")
    assert main(["init"]) == 0
    out, err = capsys.readouterr()
    _shown(out)
    assert [question.strip() for question in err.split(": ")][:2] == [
        f"Provider ({', '.join(sorted(ADAPTERS))}) [openai]",
        "The provider's name of the model (gpt-4o)",
    ]
    config = load_config(here / "scaigrid.yaml")
    assert list(config.models) == ["acme/chat"]
    prices: Any = config.models["acme/chat"].prices
    assert str(prices.input) == "2.5"


def test_what_has_no_default_is_asked_again_and_the_end_of_the_input_is_the_end(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _typed(monkeypatch, "openai", "", "")
    assert main(["init"]) == 2
    err = capsys.readouterr().err
    assert err.count("The provider's name of the model") == 3
    assert err.endswith("scaigrid: nothing was written\n")
    assert list(here.iterdir()) == []


def test_what_was_said_is_not_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _typed(monkeypatch)
    arguments = ("--base-url", "https://x.example/v1", "--model", "m", "--input-price", "1", "--output-price", "1")
    assert main(["init", *OPENAI, *arguments]) == 0
    assert capsys.readouterr().err == ""


def test_what_else_a_provider_is_told_is_in_the_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDROCK_API_KEY", "pk")
    asked = ("--provider", "bedrock", "--upstream-model", "amazon.nova-lite-v1:0", "--option", "region=eu-central-1")
    assert main(["init", *asked]) == 0
    provider = load_config(here / "scaigrid.yaml").providers["bedrock"]
    assert (provider.options, provider.base_url) == ({"region": "eu-central-1"}, None)


def test_an_option_has_the_type_that_it_has(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_API_KEY", "pk")
    asked = ("--provider", "custom", "--base-url", "http://127.0.0.1:1/v1", "--upstream-model", "x")
    assert main(["init", *asked, "--option", "responses=true", "--option", "reasoning=thinking"]) == 0
    provider = load_config(here / "scaigrid.yaml").providers["custom"]
    assert provider.options == {"responses": True, "reasoning": "thinking"}


@pytest.mark.parametrize(
    ("provider", "option", "told"),
    [
        ("bedrock", "zone=x", "--option: zone=x is no NAME=VALUE of bedrock: region"),
        ("bedrock", "region", "--option: region is no NAME=VALUE of bedrock: region"),
        ("bedrock", "region=no region", "--option: "),
        ("custom", "responses=perhaps", "--option: responses: "),
        ("simulator", "a=b", "--option: a=b is no NAME=VALUE of simulator: there is none"),
    ],
)
def test_an_option_that_is_none_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], provider: str, option: str, told: str
) -> None:
    asked = ("--provider", provider, "--upstream-model", "x", "--base-url", "http://127.0.0.1:1/v1")
    assert main(["init", *asked, "--option", option]) == 2
    assert told in capsys.readouterr().err
    assert not (here / "scaigrid.yaml").exists()
