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
from scaigrid.types import Operation

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


@EACH
@pytest.mark.parametrize("operation", ["chat", "embed"])
def test_a_call_is_one_that_its_dialect_takes(dialect: Dialect, operation: Operation) -> None:
    body = msgspec.json.encode(examples.asked(operation))
    assert dialect.decode(operation, body).model == examples.asked(operation)["model"]


@EACH
def test_an_answer_is_the_dialects_own(dialect: Dialect) -> None:
    answer = examples.answered(dialect, "chat")
    chat = answer["data"] if dialect.name == "native" else answer
    assert chat["choices"][0]["message"]["content"] == "Hello!"
    assert chat["model"] == examples.asked("chat")["model"]
    embedded = examples.answered(dialect, "embed")
    vectors = embedded["data"]["data"] if dialect.name == "native" else embedded["data"]
    assert vectors[0]["embedding"] == [0.0023, -0.0093, 0.0157]


@EACH
def test_a_stream_ends_as_a_good_one_does(dialect: Dialect) -> None:
    frames = examples.streamed(dialect).split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    assert all(frame.startswith("data: {") for frame in frames[:-2])


@EACH
@pytest.mark.parametrize("code", Code)
def test_a_refusal_names_its_code_and_when_to_come_back(dialect: Dialect, code: Code) -> None:
    error = examples.refused(dialect, code)["error"]
    assert error["code"] == code
    if dialect.name == "native":
        assert ("retry_after" in error) is (TABLE[code].retry == "after")
        assert ("details" in error) is (code is Code.VALIDATION_ERROR)
