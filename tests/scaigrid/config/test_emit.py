"""What is written as YAML is read back as it was: by our own reader, and texts by any other one."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaigrid.config import emit
from scaigrid.config.emit import mapping, of_node, of_value, written
from scaigrid.config.load import load
from scaigrid.config.nodes import Broken, read_nodes
from scaigrid.config.strict import Strict
from scaigrid.secrets import Secret
from scaigrid.types import Modality
from tests.harness.states import TEXTS

DUMPERS = [yaml.SafeDumper, yaml.CSafeDumper]


class Inner(Strict):
    number: Decimal = Decimal(0)
    flag: bool = False


class Outer(Strict):
    needed: str | None
    text: str = "default"
    limit: int | msgspec.UnsetType | None = msgspec.UNSET
    inner: Inner = Inner()
    many: tuple[str, ...] = ("a",)
    table: dict[str, str] = {}  # noqa: RUF012 - msgspec copies it
    kind: Modality = Modality.CHAT
    secret: Secret | None = None
    when: datetime | None = None
    anything: Any = None


def text_of(value: Outer) -> str:
    node = of_value(value)
    assert isinstance(node, yaml.MappingNode)
    return written(node)


def back(text: str, directory: Path) -> Any:
    file = directory / "written.yaml"
    file.write_text(text)
    return load(file, Outer, env={"HOME": "/home/ann"})


@pytest.fixture(params=DUMPERS, ids=["pure", "libyaml"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emit, "DUMPER", request.param)


@pytest.mark.usefixtures("either")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS, key=TEXTS)
def test_a_text_comes_back_wherever_it_stands(text: str, key: str, tmp_path: Path) -> None:
    value = Outer(needed=text, text=text, many=(text, text), table={key: text}, anything=[{key: [text]}])
    assert back(text_of(value), tmp_path) == value


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
def test_other_readers_take_a_text_for_a_text(text: str) -> None:
    found = yaml.safe_load(text_of(Outer(needed=text)))
    assert found == {"needed": text.replace("${", "$${")}


NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()
)


@pytest.mark.usefixtures("either")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=NUMBERS, exact=st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_a_number_comes_back_as_it_was(number: object, exact: Decimal, tmp_path: Path) -> None:
    value = Outer(needed=None, inner=Inner(number=exact), anything=number)
    found = back(text_of(value), tmp_path)
    assert found == value
    assert type(found.anything) is type(number)


def test_only_what_has_to_be_said_is_said() -> None:
    assert text_of(Outer(needed=None)) == "needed: null\n"
    assert text_of(Outer(needed="x", inner=Inner(flag=True))) == "needed: x\ninner:\n  flag: true\n"
    assert text_of(Outer(needed="x", limit=None, many=())) == "needed: x\nlimit: null\nmany: []\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain words", "needed: plain words"),
        ("gpt-4o.mini", "needed: gpt-4o.mini"),
        ("true", 'needed: "true"'),
        ("yes", 'needed: "yes"'),
        ("1e3", 'needed: "1e3"'),
        ("a: b", 'needed: "a: b"'),
        ("${HOME}", 'needed: "$${HOME}"'),
        ("", 'needed: ""'),
    ],
)
def test_what_could_be_taken_for_something_else_stands_in_quotes(text: str, line: str) -> None:
    assert text_of(Outer(needed=text)) == line + "\n"


def test_a_text_of_several_lines_stands_as_it_is() -> None:
    prompt = "You are kind.\n\n  - Answer in Dutch.\n  - Never say ${no}.\n"
    assert text_of(Outer(needed=prompt)) == (
        "needed: |\n  You are kind.\n\n    - Answer in Dutch.\n    - Never say $${no}.\n"
    )


def test_money_is_written_digit_by_digit() -> None:
    assert "number: 0.10" in text_of(Outer(needed=None, inner=Inner(number=Decimal("0.10"))))
    assert "number: 1000" in text_of(Outer(needed=None, inner=Inner(number=Decimal("1E+3"))))
    assert "number: 0.0000001" in text_of(Outer(needed=None, inner=Inner(number=Decimal("1E-7"))))


def test_words_of_other_kinds(tmp_path: Path) -> None:
    value = Outer(
        needed=None, kind=Modality.IMAGE, secret=Secret("stored:0"), when=datetime(2027, 1, 31, 12, 30, tzinfo=UTC)
    )
    assert back(text_of(value), tmp_path) == value


def test_a_short_list_stands_on_one_line_and_a_long_one_on_many() -> None:
    assert "many: [b, c]\n" in text_of(Outer(needed=None, many=("b", "c")))
    assert "many:\n- a0\n- a1\n" in text_of(Outer(needed=None, many=tuple(f"a{n}" for n in range(9))))


def test_what_yaml_has_no_words_for_is_refused() -> None:
    with pytest.raises(TypeError, match="complex"):
        of_value(complex(1))


# -- parts of a file, as they stand there ----------------------------------------------------------------------------

FILE = """\
one: { port: ${PORT:-8000}, name: "${NAME}", list: [1, 2.50, "3", null] }
base: &base
  text: |
    Two
    lines.
again:
  <<: *base
  empty:
"""


@pytest.mark.usefixtures("either")
def test_a_part_of_a_file_stands_as_it_is_written_there() -> None:
    root, problems = read_nodes(FILE.replace("${PORT:-8000}", "'8000'"))
    assert (problems, root is not None) == ([], True)
    assert root is not None
    node = of_node(root)
    assert isinstance(node, yaml.MappingNode)
    text = written(node)
    assert '"${NAME}"' in text
    assert "2.50" in text
    assert yaml.safe_load(text) == yaml.safe_load(FILE.replace("${PORT:-8000}", "'8000'"))


@pytest.mark.usefixtures("either")
def test_a_number_from_the_environment_stays_one() -> None:
    root, _ = read_nodes("port: ${PORT:-8000}\nhost: ${HOST}\n")
    assert root is not None
    assert written(mapping({"server": of_node(root)})) == "server:\n  port: ${PORT:-8000}\n  host: ${HOST}\n"


def test_a_part_that_could_not_be_read_is_not_written() -> None:
    with pytest.raises(ValueError, match="could not be read"):
        of_node(Broken(1))
