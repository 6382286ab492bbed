"""The schema for editors is fresh, takes what the loader takes, and refuses what any file would be refused for."""

import os
import re
from datetime import datetime
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from scaigrid.app import Composed
from scaigrid.config.json_schema import json_schema, written
from scaigrid.config.load import ConfigErrors, load
from scaigrid.config.nodes import Entries, Items, Node, Scalar, read_nodes
from scaigrid.config.strict import Strict
from scaigrid.secrets import Secret
from tests.harness import json_schema as judge
from tests.harness.checkout import ROOT

CONFIG = ROOT / "config"
FILE = CONFIG / "scaigrid.schema.json"
FILES = sorted([*CONFIG.glob("*.yaml"), *(CONFIG / "examples").glob("*.yaml")])
MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")

HEAD = """
users: { a: {} }
keys: { k: { user: a, key: sgk_0123456789abcdef0123456789abcdef } }
providers: { p: { type: simulator } }
backends: { b: { provider: p, model: m } }
models: { m: { unpriced: free, max_output_tokens: 9, route: { targets: [ { backend: b } ] } } }
"""
RIGHT = [
    "",
    "server: { port: 9000 }",
    "server:\n  port: ${PORT}",
    "server:\n  port: ${PORT:-8000}",
    "server: { host: 127 }",
    "server: { shutdown_seconds: 1 }",
    "server: { shutdown_seconds: 1.5 }",
    "metrics:\n  enabled: ${ON}",
    "log:\n  level: ${LEVEL}",
    "tenants: { default: { partner: '${NAME}' } }",
    "tenants: { default: { limits: { requests_per_minute: null } } }",
    "tenants: { default: { limits: { requests_per_minute: } } }",
    "partners: { '1': {}, a.b: {}, default: {} }",
    "budgets: { b: { scope: user, of: a, period: daily, cost_limit: 0.5 } }",
    "budgets: { b: { scope: user, of: a, period: daily, cost_limit: '0.50' } }",
    "budgets: { b: { scope: user, of: a, period: daily, cost_limit: 1e3 } }",
    "budgets: { b: { scope: user, of: a, period: daily, cost_limit: '${AMOUNT}' } }",
    "budgets: { b: { scope: user, of: a, period: daily, cost_limit: +.5 } }",
    "users: { a: { roles: [tenant_admin] }, b: { roles: [ '${ROLE}' ] } }",
    "keys: { k: { user: a, sha256: '" + "0" * 64 + "', expires_at: 2099-01-31T00:00:00Z } }",
    "keys: { k: { user: a, sha256: '" + "0" * 64 + "', expires_at: '${WHEN}' } }",
    "keys: { k: { user: a, key: '${KEY}' } }",
    "providers: { p: { type: custom, base_url: 'http://127.0.0.1:${PORT}/v1', api_key: 12345 } }",
    "models: { m: { prices: { input: 1, output: '2' }, route: { targets: [ { backend: b, weight: 7 } ] } } }",
    (
        "models: { a/b.c@d: { unpriced: free, default_params: { a: [1, null, { b: true }] }, route: { targets: [ "
        "{ backend: b } ] } } }"
    ),
]
"""Added to HEAD, whose sections they replace."""
WRONG = [
    "nothing: 1",
    "server:",
    "server: []",
    "server: { prot: 1 }",
    "server: { port: '9000' }",
    "server: { port: 0 }",
    "server: { port: 65536 }",
    "server: { port: 80.5 }",
    "server: { port: { a: 1 } }",
    "server: { port: null }",
    "server:\n  port: ${}",
    "server: { host: true }",
    "server: { host: null }",
    "server: { shutdown_seconds: 0 }",
    "metrics: { enabled: yes }",
    "metrics: { enabled: 'true' }",
    "log: { level: loud }",
    "store: { type: redis }",
    "tenants: { default: { partner: 'A B' } }",
    "tenants: { 'A B': {} }",
    "tenants: [ t ]",
    "tenants: { default: { limits: { requests_per_minute: -1 } } }",
    "tenants: { default: { suspended: 1 } }",
    "budgets: { b: { of: a, period: daily, cost_limit: 1 } }",
    "budgets: { b: { scope: user, of: a, period: daily, cost_limit: -1 } }",
    "budgets: { b: { scope: user, of: a, period: daily, cost_limit: '-1' } }",
    "budgets: { b: { scope: user, of: a, period: daily, cost_limit: much } }",
    "budgets: { b: { scope: user, of: a, period: daily, cost_limit: 1e13 } }",
    "keys: { k: { user: a, sha256: '" + "0" * 63 + "' } }",
    "keys: { k: { key: '${KEY}' } }",
    "keys: { k: { user: a, key: [] } }",
    "keys: { k: { user: a, key: '' } }",
    "providers: { p: { type: custom, base_url: ftp://x } }",
    "providers: { p: { type: custom, headers: { a: { b: c } } } }",
    "models: { m: { unpriced: free } }",
    "models: { m: { unpriced: free, route: { targets: [] } } }",
    "models: { m: { unpriced: maybe, route: { targets: [ { backend: b } ] } } }",
    "models: { m//n: { unpriced: free, route: { targets: [ { backend: b } ] } } }",
    "models: { m: { unpriced: free, route: { targets: [ { backend: b, weight: much } ] } } }",
    "models: { m: { unpriced: free, route: { targets: [ { backend: b } ], max_attempts: 17 } } }",
    "models: { m: { prices: { input: true }, route: { targets: [ { backend: b } ] } } }",
    "chain: { tenancy: { off: true } }",
    "chain: { made_up: {} }",
]
ENVIRONMENT = {
    "PORT": "9000",
    "ON": "true",
    "LEVEL": "debug",
    "NAME": "default",
    "AMOUNT": "12.5",
    "ROLE": "tenant_user",
    "WHEN": "2099-01-31T00:00:00Z",
    "KEY": "sgk_fedcba9876543210fedcba9876543210",
}


def plain(node: Node) -> Any:
    """A file as an editor sees it: JSON values, by the types of YAML 1.2."""
    match node:
        case Entries(values=values):
            return {key: plain(entry.value) for key, entry in values.items()}
        case Items(values=values):
            return [plain(value) for value in values]
        case Scalar(type="null", plain=True):
            return None
        case Scalar(type="bool", plain=True, text=text):
            return text == "true"
        case Scalar(type="int", plain=True, text=text):
            return int(text, 0)
        case Scalar(type="float", plain=True, text=text):
            return float(text)
        case Scalar(text=text):
            return text
        case _:
            raise AssertionError(node)


def read(text: str) -> Any:
    root, problems = read_nodes(text)
    assert root is not None
    assert problems == []
    return plain(root)


def replaced(section: str) -> str:
    """HEAD with the one section that is given instead of its own."""
    name = section.partition(":")[0]
    kept = [line for line in HEAD.splitlines() if line.partition(":")[0] != name]
    return "\n".join([*kept, section])


def faults(value: Any) -> list[str]:
    return judge.faults(value, json_schema(Composed))


def loads(text: str, directory: Path) -> bool:
    file = directory / "scaigrid.yaml"
    file.write_text(text)
    try:
        load(file, Composed, env=ENVIRONMENT)
    except ConfigErrors:
        return False
    return True


def test_the_file_in_the_repository_is_fresh() -> None:
    assert FILE.read_text() == written(Composed), "run: scaigrid manual --schema > config/scaigrid.schema.json"


def test_it_is_a_schema() -> None:
    judge.check(json_schema(Composed))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_configuration_here_fits_it_and_names_it_in_its_first_line(file: Path) -> None:
    text = file.read_text()
    assert faults(read(text)) == []
    named = MODELINE.fullmatch(text.splitlines()[0])
    assert named is not None
    assert Path(os.path.normpath(file.parent / named[1])) == FILE


@pytest.mark.parametrize("section", RIGHT)
def test_what_the_loader_takes_it_takes(section: str, tmp_path: Path) -> None:
    text = replaced(section)
    assert loads(text, tmp_path)
    assert faults(read(text)) == []


@pytest.mark.parametrize("section", WRONG)
def test_what_no_environment_makes_right_it_refuses(section: str, tmp_path: Path) -> None:
    text = replaced(section)
    assert not loads(text, tmp_path)
    assert faults(read(text)) != []


def test_every_key_is_documented_for_who_points_at_it() -> None:
    whole = json_schema(Composed)
    sections = {"the file": whole, **whole["$defs"]}
    bare = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, described in section.get("properties", {}).items()
        if not described.get("description")
    ]
    assert bare == []
    assert all(section["description"] for section in sections.values())


def test_patterns_mean_the_same_to_an_editor() -> None:
    """JSON Schema takes ECMA-262's regular expressions: what only Python's have is in none of ours."""
    patterns = re.findall(r'"pattern": (".*")', written(Composed))
    assert len(patterns) > 5
    only_python = re.compile(r"\(\?[P#imsxLua(]|\\[AZ]|\(\?<[=!]|[*+?}]\+|\(\?>")
    assert [pattern for pattern in patterns if only_python.search(msgspec.json.decode(pattern))] == []


class Size(StrEnum):
    SMALL = "small"


class Cat(Strict, tag_field="kind", tag="cat"):
    """Purrs."""

    lives: int = 9


class Dog(Strict, tag_field="kind", tag="dog"):
    """Barks."""


class Own:
    @classmethod
    def from_text(cls, text: str) -> "Own":
        return cls()


class Everything(Strict):
    """One of each type."""

    needed: bool
    """Has to be said."""
    number: Annotated[float, msgspec.Meta(gt=0, lt=1, multiple_of=0.25)] = 0.5
    size: Size | None = None
    either: Literal["a", "b"] = "a"
    amount: Annotated[Decimal, msgspec.Meta(extra={"gt": 0})] | None = None
    any_amount: Decimal = Decimal("1.5")
    when: datetime | None = None
    secret: Secret | None = None
    own: Own | None = None
    names: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=3)], ...], msgspec.Meta(max_length=2)] = ("a",)
    pair: tuple[int, str] | None = None
    by_size: dict[Size, int] = {}  # noqa: RUF012 - msgspec copies an empty default for each instance
    by_name: Annotated[dict[Literal["x"], int], msgspec.Meta(min_length=1)] | None = None
    anything: Any = None
    pet: Cat | Dog | None = None
    left_out: int | msgspec.UnsetType | None = msgspec.UNSET


FILLED = {"$ref": "#/$defs/Interpolated"}


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("needed", {"anyOf": [FILLED, {"type": "boolean"}], "description": "Has to be said."}),
        (
            "number",
            {
                "anyOf": [{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "multipleOf": 0.25}, FILLED],
                "default": 0.5,
            },
        ),
        ("size", {"anyOf": [{"enum": ["small"]}, FILLED, {"type": "null"}]}),
        ("either", {"anyOf": [{"enum": ["a", "b"]}, FILLED], "default": "a"}),
        ("secret", {"anyOf": [{"type": ["string", "number"], "minLength": 1}, {"type": "null"}]}),
        ("own", {"type": ["string", "number", "null"]}),
        (
            "names",
            {
                "type": "array",
                "items": {"anyOf": [{"type": ["string", "number"], "maxLength": 3}, FILLED]},
                "maxItems": 2,
                "default": ["a"],
            },
        ),
        ("anything", {}),
        ("pet", {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}, {"type": "null"}]}),
        ("left_out", {"anyOf": [FILLED, {"type": ["integer", "null"]}]}),
        ("when", {"anyOf": [{"type": "string", "format": "date-time"}, FILLED, {"type": "null"}]}),
    ],
)
def test_a_type_of_the_schema_is_a_type_of_the_file(field: str, expected: dict[str, Any]) -> None:
    assert json_schema(Everything)["properties"][field] == expected


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ({"amount": 1}, True),
        ({"amount": "1.5"}, True),
        ({"amount": 0}, False),
        ({"amount": "-1"}, False),
        ({"any_amount": "-1"}, True),
        ({"any_amount": "${A}"}, True),
        ({"any_amount": "1,5"}, False),
        ({"pair": [1, "a"]}, True),
        ({"pair": [1]}, False),
        ({"pair": [1, "a", 2]}, False),
        ({"by_size": {"small": 1}}, True),
        ({"by_size": {"large": 1}}, False),
        ({"by_name": {"x": 1}}, True),
        ({"by_name": {"y": 1}}, False),
        ({"by_name": {}}, False),
        ({"pet": {"kind": "cat", "lives": 7}}, True),
        ({"pet": {"kind": "cow"}}, False),
        ({"pet": {"lives": 7}}, False),
        ({"when": None}, True),
        ({"when": 5}, False),
        ({"needed": None}, False),
    ],
)
def test_a_value_is_judged_by_its_type(given: dict[str, Any], right: bool) -> None:
    value = {"needed": True, **given}
    assert judge.fits(value, json_schema(Everything)) is right


def test_what_has_to_be_said_is_required_and_nothing_else_is() -> None:
    whole = json_schema(Everything)
    assert whole["required"] == ["needed"]
    assert whole["$defs"]["Cat"]["required"] == ["kind"]
    assert "required" not in json_schema(Composed)


def test_two_sections_of_one_name_are_refused() -> None:
    twin = msgspec.defstruct("Cat", [], bases=(Strict,))
    both = msgspec.defstruct("Both", [("a", Cat | None, None), ("b", twin | None, None)], bases=(Strict,))
    with pytest.raises(TypeError, match="two sections of the configuration are named Cat"):
        json_schema(both)


def test_a_type_without_words_is_refused() -> None:
    odd = msgspec.defstruct("Odd", [("data", bytes, b"")], bases=(Strict,))
    with pytest.raises(TypeError, match="no words"):
        json_schema(odd)


def test_an_enum_is_told_by_its_values() -> None:
    class Step(Enum):
        ONE = 1
        TWO = 2

    steps = msgspec.defstruct("Steps", [("step", Step)], bases=(Strict,))
    assert json_schema(steps)["properties"]["step"] == {"anyOf": [{"enum": [1, 2]}, FILLED]}
