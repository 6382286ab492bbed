import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Meta

from scaigrid.config import load as module
from scaigrid.config import nodes
from scaigrid.config.load import ConfigError, ConfigErrors, Invalid, load
from scaigrid.secrets import Secret

# What has a meaning in YAML or to the loader, so that random texts are more than words.
PIECES = [
    *("port", "debug", "providers", "models", "slug", "targets", "type", "api_key", "openai"),
    *("a", "1", "0.5", "true", "~", ".inf", "${KEY}", "${", "${GONE}", "file:", "<<"),
    *(": ", "- ", "? ", ", ", "\n", "\n  ", "\n    ", "[", "]", "{", "}", "&a ", "*a ", "!a ", "!!str ", "!!int ", "!"),
    *("|\n", ">\n", "'", '"', "#", "%YAML 1.1\n", "---\n", "...\n", "\t", "\\", "\\U", "\r", "\u2028", "\ufeff"),
]
NO_ENV: Mapping[str, str] = MappingProxyType({})


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: Literal["openai", "anthropic"]
    api_key: Secret | None = None


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    provider: str
    weight: Annotated[int, Meta(ge=0)] = 1


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    slug: Annotated[str, Meta(pattern="^[a-z0-9./-]+$")]
    price: Annotated[Decimal, Meta(extra={"ge": 0})] = Decimal(0)
    targets: tuple[Target, ...] = ()

    def __post_init__(self) -> None:
        if self.targets and not any(target.weight for target in self.targets):
            raise Invalid((("targets", index, "weight"), "all weights are 0") for index in range(len(self.targets)))


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    port: int = 8000
    debug: bool = False
    providers: dict[str, Provider] = {}
    models: tuple[Model, ...] = ()

    def check(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        for index, model in enumerate(self.models):
            for place, target in enumerate(model.targets):
                if target.provider not in self.providers:
                    yield ("models", index, "targets", place, "provider"), f"no provider `{target.provider}`"
        if self.port == 1:
            yield ("providers", "nobody", "type"), "port 1 needs nobody"
            yield (), "and more"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the configuration, as somebody types it: relative."""
    monkeypatch.chdir(tmp_path)
    return Path("scaigrid.yaml")


def refusal(path: Path, schema: Any = Config, env: Mapping[str, str] = NO_ENV) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        load(path, schema, env=env)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value).split("\n")


def test_a_file_becomes_the_schema(config: Path) -> None:
    config.write_text("""\
# the demo
port: ${PORT:-9000}
providers:
  openai: {type: openai, api_key: "${OPENAI_KEY}"}
  claude: {type: anthropic, api_key: file:claude.key}
models:
  - slug: openai/gpt-4.1
    price: 0.01875
    targets:
      - &target {provider: openai, weight: 2}
      - {<<: *target, provider: claude}
""")
    Path("claude.key").write_text("sk-ant\n")
    assert load(config, Config, env={"OPENAI_KEY": "sk-oai"}) == Config(
        port=9000,
        providers={
            "openai": Provider(type="openai", api_key=Secret("sk-oai")),
            "claude": Provider(type="anthropic", api_key=Secret("sk-ant")),
        },
        models=(
            Model(
                slug="openai/gpt-4.1",
                price=Decimal("0.01875"),
                targets=(Target(provider="openai", weight=2), Target(provider="claude", weight=2)),
            ),
        ),
    )


def test_a_secret_file_is_sought_beside_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "key").write_text("sk-1")
    (folder / "scaigrid.yaml").write_text("providers: {a: {type: openai, api_key: file:key}}")
    loaded = load(Path("etc/scaigrid.yaml"), Config, env={})
    assert loaded.providers["a"].api_key == Secret("sk-1")


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}\n", "\ufeff# with a byte order mark\n"])
def test_an_empty_file_is_all_defaults(config: Path, text: str) -> None:
    config.write_text(text, encoding="utf-8")
    assert load(config, Config, env={}) == Config()


def test_an_empty_file_lacks_what_is_required(config: Path) -> None:
    config.write_text("")
    assert refusal(config, Target) == ["scaigrid.yaml:1: provider: missing required key"]


def test_the_schema_need_not_be_a_struct(config: Path) -> None:
    config.write_text("a: 1\nb: x")
    assert load(config, dict[str, int | str], env={}) == {"a": 1, "b": "x"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("port: abc", ['scaigrid.yaml:1: port: expected int, got string "abc"']),
        ("- 1", ["scaigrid.yaml:1: expected a mapping, got a list"]),
        (
            "prot: 1",
            ["scaigrid.yaml:1: prot: unknown key (did you mean `port`? known keys: port, debug, providers, models)"],
        ),
        ("debug: yes", ['scaigrid.yaml:1: debug: expected true or false, got string "yes"']),
        ("port: 1:30", ['scaigrid.yaml:1: port: expected int, got string "1:30"']),
        ("port: 2027-01-31", ['scaigrid.yaml:1: port: expected int, got string "2027-01-31"']),
        ("port: ${GONE}", ["scaigrid.yaml:1: port: the environment variable GONE is not set"]),
        ("models:\n  - slug: a\n  - {}\n", ["scaigrid.yaml:3: models[1].slug: missing required key"]),
        ("models:\n  - slug: a\n    slug: b", ["scaigrid.yaml:3: models[0].slug: duplicate key, already on line 2"]),
        ("models: [{slug: A}]", ['scaigrid.yaml:1: models[0].slug: must match the pattern `^[a-z0-9./-]+$`, got "A"']),
        ("models: [{slug: a, price: -1}]", ["scaigrid.yaml:1: models[0].price: must be at least 0, got -1"]),
        (
            "models: [{slug: a, price: cheap}]",
            ['scaigrid.yaml:1: models[0].price: expected decimal number, got string "cheap"'],
        ),
        (
            "providers:\n  a.b:\n    typ: openai",
            [
                'scaigrid.yaml:3: providers["a.b"].typ: unknown key (did you mean `type`? known keys: type, api_key)',
                'scaigrid.yaml:3: providers["a.b"].type: missing required key',
            ],
        ),
        (
            "providers: {openai/eu: {type: groq}}",
            ['scaigrid.yaml:1: providers.openai/eu.type: expected one of "anthropic", "openai", got string "groq"'],
        ),
        ('"": 1', ['scaigrid.yaml:1: [""]: unknown key (known keys: port, debug, providers, models)']),
        ('"a\\nb": 1', [r'scaigrid.yaml:1: ["a\nb"]: unknown key (known keys: port, debug, providers, models)']),
        (
            "providers:\n  a: {type: openai,\n      api_key: true}",
            ["scaigrid.yaml:3: providers.a.api_key: expected a secret string, got a bool"],
        ),
        ("port: 1\n---\nport: 2", ["scaigrid.yaml:2: a second document starts here; a configuration is one document"]),
        ("a: b: c", ["scaigrid.yaml:1: not valid YAML: mapping values are not allowed in this context"]),
        (
            "models:\n  - slug: a\n    targets:\n    - {provider: p, weight: 0}\n    - provider: p\n      weight: 0",
            [
                "scaigrid.yaml:4: models[0].targets[0].weight: all weights are 0",
                "scaigrid.yaml:6: models[0].targets[1].weight: all weights are 0",
            ],
        ),
    ],
)
def test_an_error_is_file_line_key_and_reason(config: Path, text: str, expected: list[str]) -> None:
    config.write_text(text)
    assert refusal(config) == expected


def test_all_errors_of_a_file_come_at_once_in_the_order_of_its_lines(config: Path) -> None:
    config.write_text("""\
port: eighty
models:
  - slug: UPPER
    price: ${PRICE}
    price: 1
  - targets:
      - weight: -1
        provider: [x]
1: one
providers:
  openai:
    type: opnai
    api_key: ${KEY}
  other: {type: openai, colour: red}
debug: *nowhere
""")
    assert refusal(config) == [
        'scaigrid.yaml:1: port: expected int, got string "eighty"',
        'scaigrid.yaml:3: models[0].slug: must match the pattern `^[a-z0-9./-]+$`, got "UPPER"',
        "scaigrid.yaml:4: models[0].price: the environment variable PRICE is not set",
        "scaigrid.yaml:5: models[0].price: duplicate key, already on line 4",
        "scaigrid.yaml:6: models[1].slug: missing required key",
        "scaigrid.yaml:7: models[1].targets[0].weight: must be at least 0, got -1",
        "scaigrid.yaml:8: models[1].targets[0].provider: expected string, got a list",
        "scaigrid.yaml:9: keys are strings, this one is of type int: quote it",
        'scaigrid.yaml:12: providers.openai.type: expected one of "anthropic", "openai", got string "opnai"',
        "scaigrid.yaml:13: providers.openai.api_key: the environment variable KEY is not set",
        "scaigrid.yaml:14: providers.other.colour: unknown key (known keys: type, api_key)",
        "scaigrid.yaml:15: debug: an alias of nothing above it; a text that begins with `*` needs quotes",
    ]


def test_errors_are_structured_too(config: Path) -> None:
    config.write_text("port: x\nmodels: [{}]")
    with pytest.raises(ConfigErrors) as caught:
        load(config, Config, env={})
    assert caught.value.errors == (
        ConfigError(file="scaigrid.yaml", line=1, key="port", reason='expected int, got string "x"'),
        ConfigError(file="scaigrid.yaml", line=2, key="models[0].slug", reason="missing required key"),
    )


def test_the_check_of_the_schema_speaks_of_lines(config: Path) -> None:
    config.write_text("""\
port: 1
models:
  - slug: a
    targets:
      - provider: p
  - slug: b
    targets:
      - weight: 3
        provider: q
""")
    assert refusal(config) == [
        "scaigrid.yaml:1: and more",
        "scaigrid.yaml:1: providers.nobody.type: port 1 needs nobody",
        "scaigrid.yaml:5: models[0].targets[0].provider: no provider `p`",
        "scaigrid.yaml:9: models[1].targets[0].provider: no provider `q`",
    ]


def test_the_check_waits_until_the_rest_is_right(config: Path) -> None:
    config.write_text("port: x\nmodels: [{slug: a, targets: [{provider: p}]}]")
    assert refusal(config) == ['scaigrid.yaml:1: port: expected int, got string "x"']


class Shuffled(msgspec.Struct):
    def check(self) -> Iterable[tuple[tuple[str | int, ...], str]]:
        return [((), "b"), ((), "a"), ((), "b"), (("k",), "two\nlines")]


def test_errors_are_sorted_told_once_and_one_a_line(config: Path) -> None:
    config.write_text("{}")
    assert refusal(config, Shuffled) == ["scaigrid.yaml:1: a", "scaigrid.yaml:1: b", "scaigrid.yaml:1: k: two lines"]


class Ticked(msgspec.Struct):
    check: bool = True


def test_a_key_may_be_called_check(config: Path) -> None:
    config.write_text("check: false")
    assert load(config, Ticked, env={}) == Ticked(check=False)


def test_a_secret_is_in_no_error(config: Path) -> None:
    words = itertools.product(["hunter2", "${KEY}"], ["", "${", "${GONE}"])
    values = [f'"{word}{end}"' for word, end in words] + [
        "*hunter2",
        "!hunter2",
        "!hunter2!",
        "{hunter2: x}",
        "[hunter2]",
    ]
    for value in values:
        config.write_text(f"providers:\n  a:\n    type: x\n    api_key: {value}\n")
        lines = "\n".join(refusal(config, env={"KEY": "hunter2"}))
        assert "hunter2" not in lines, value


def test_a_missing_file_is_an_error_like_any_other(config: Path) -> None:
    assert refusal(config) == ["scaigrid.yaml:1: cannot be read: No such file or directory"]


def test_a_directory_is_not_a_configuration(config: Path) -> None:
    config.mkdir()
    assert refusal(config) == ["scaigrid.yaml:1: cannot be read: Is a directory"]


def test_a_path_that_no_file_can_have_is_an_error_like_any_other() -> None:
    assert refusal(Path("a\0b")) == ["a\0b:1: cannot be read: embedded null byte"]


def test_a_file_below_a_file_is_an_error_like_any_other(config: Path) -> None:
    config.write_text("port: 1")
    assert refusal(config / "more.yaml") == ["scaigrid.yaml/more.yaml:1: cannot be read: Not a directory"]


@pytest.mark.parametrize("schema", [Config, dict[str, Any]], ids=str)
@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.CSafeLoader], ids=lambda loader: loader.__name__)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(st.sampled_from(PIECES) | st.characters(codec="utf-8"), max_size=40).map("".join))
def test_no_text_makes_the_loader_fail_otherwise(text: str, loader: Any, schema: Any, config: Path) -> None:
    config.write_bytes(text.encode())
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nodes, "_LOADER", loader)
        try:
            load(config, schema, env={"KEY": "hunter2"})
        except ConfigErrors as refused:
            lines = str(refused).split("\n")
    assert all(re.fullmatch(r"scaigrid\.yaml:[1-9][0-9]*: .+", line) for line in lines)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"port: 1\ndebug: \xff\n", "scaigrid.yaml:2: not UTF-8 text: byte 0xff"),
        ("port: 1".encode("utf-16"), "scaigrid.yaml:1: not UTF-8 text: byte 0xff"),
        (b"port: 1\x00", "scaigrid.yaml:1: the character U+0000 is not allowed in YAML"),
    ],
    ids=["latin", "utf-16", "binary"],
)
def test_what_is_not_text_is_refused_with_its_line(config: Path, content: bytes, expected: str) -> None:
    config.write_bytes(content)
    assert refusal(config) == [expected]


def test_a_file_too_large_to_be_a_configuration_is_refused(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE", 10)
    config.write_text("port: 1234")
    assert load(config, Config, env={}) == Config(port=1234)
    config.write_text("port: 12345")
    assert refusal(config) == ["scaigrid.yaml:1: larger than 10 bytes"]


class Held(msgspec.Struct):
    value: bytes = b""


def test_a_schema_that_no_file_can_fill_is_a_mistake_of_the_program(config: Path) -> None:
    config.write_text("{}")
    with pytest.raises(TypeError, match="no words for"):
        load(config, Held, env={})


def test_ten_lines_of_aliases_do_not_fill_the_memory(config: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    config.write_text("\n".join(lines))
    (line,) = refusal(config)
    assert line == "scaigrid.yaml:7: a6[0]: aliases repeat more than 1000000 values"
