from typing import Any

import msgspec
import pytest

from scaigrid.api import examples
from scaigrid.api.me import Me
from scaigrid.api.models import ModelItem
from scaigrid.api.oai_models import OpenAIModel
from scaigrid.api.usage import UsageItem
from scaigrid.dialect import Dialect
from scaigrid.dialects import DIALECTS
from scaigrid.errors import TABLE, Code
from scaigrid.ids import accepted

PATHS = [(dialect, path) for dialect in DIALECTS for path in dialect.operations]
EACH = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


@pytest.mark.parametrize(
    ("example", "kind"),
    [
        (examples.MODEL, ModelItem),
        (examples.OPENAI_MODEL, OpenAIModel),
        (examples.ME, Me),
        (examples.USAGE, UsageItem),
    ],
)
def test_an_example_is_of_its_type_in_every_field(example: msgspec.Struct, kind: Any) -> None:
    sent = msgspec.json.encode(example)
    assert msgspec.json.encode(msgspec.json.decode(sent, type=kind)) == sent


def test_the_request_id_is_one_that_we_keep() -> None:
    assert accepted(examples.REQUEST_ID.encode()) == examples.REQUEST_ID


@pytest.mark.parametrize(("dialect", "path"), PATHS)
def test_a_call_is_one_that_its_dialect_takes(dialect: Dialect, path: str) -> None:
    asked = examples.asked(path, dialect.operations[path])
    assert dialect.decode(path, msgspec.json.encode(asked)).model == asked["model"]


@pytest.mark.parametrize(("dialect", "path"), PATHS)
def test_an_answer_says_what_the_dialect_says_at_that_path(dialect: Dialect, path: str) -> None:
    said = {"chat": "Hello!", "embed": "0.0023", "rerank": "0.98", "count_tokens": "10"}[dialect.operations[path]]
    assert said in msgspec.json.encode(examples.answered(dialect, path)).decode()


@pytest.mark.parametrize(("dialect", "path"), [one for one in PATHS if one[0].operations[one[1]] == "chat"])
def test_a_stream_is_whole_frames_with_data(dialect: Dialect, path: str) -> None:
    *frames, rest = examples.streamed(dialect, path).split("\n\n")
    assert rest == ""
    assert len(frames) > 3
    assert all("data: " in frame for frame in frames)


@EACH
@pytest.mark.parametrize("code", Code)
def test_a_refusal_names_its_code_and_when_to_come_back(dialect: Dialect, code: Code) -> None:
    error = examples.refused(dialect, code)["error"]
    assert error["code"] == code
    if dialect.name == "native":
        assert ("retry_after" in error) is (TABLE[code].retry == "after")
        assert ("details" in error) is (code is Code.VALIDATION_ERROR)
