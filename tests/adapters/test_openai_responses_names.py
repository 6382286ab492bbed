import json
from typing import Any

import pytest

from adapters.openai_responses_names import Renamed, replaced
from scaigrid import splice
from scaigrid.adapter import Relaying
from scaigrid.call import Call
from scaigrid.dialects.openai import OpenAI
from scaigrid.dialects.openai_responses import RESOURCES
from scaigrid.errors import Code, GatewayError
from tests.adapters.calls import SLUG

CREATING = OpenAI().decode("/oai/v1/responses", b'{"model":"scailabs/best","input":"Hi"}')
READING = RESOURCES["/oai/v1/responses/{response_id}"]["GET"]("resp_held", "")
READING.model = SLUG


def name(own: str) -> str:
    return f"named:{own}"


def told(text: bytes, call: Call = CREATING, **more: Any) -> bytes:
    renamed = Renamed(call, Relaying(name=name, **more))
    return renamed.response(text, splice.members(text))


def test_only_names_and_the_model_are_other_bytes() -> None:
    text = b'{ "id" : "resp_own", "odd":[1.0, {"id":"x"}],"model":"up-1" , "created_at":7 }'
    expected = text.replace(b'"resp_own"', b'"named:resp_own"').replace(b'"up-1"', b'"scailabs/best"')
    assert told(text) == expected


def test_an_answer_refers_to_the_one_before_it_by_the_callers_own_name() -> None:
    text = b'{"id":"resp_2","previous_response_id":"resp_1"}'
    assert json.loads(told(text, held="resp_held")) == {"id": "named:resp_2", "previous_response_id": "resp_held"}
    assert told(b'{"previous_response_id":null}', held="resp_held") == b'{"previous_response_id":null}'


def test_a_stored_answer_has_the_name_under_which_it_was_asked_for() -> None:
    """And the one before it has a name too, that leads to it."""
    text = b'{"id":"resp_2","previous_response_id":"resp_1","deleted":true}'
    found = json.loads(told(text, READING, held="resp_held"))
    assert found == {"id": "resp_held", "previous_response_id": "named:resp_1", "deleted": True}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Be brief.", None),
        ("Be brief.\n\nNow.", "Now."),
        ("Be brief. Now.", "Be brief. Now."),
        (None, None),
        ([{"role": "system"}], [{"role": "system"}]),
    ],
)
def test_the_models_prompt_is_nobodys_to_read(said: Any, expected: Any) -> None:
    text = json.dumps({"id": "resp_1", "instructions": said}).encode()
    assert json.loads(told(text, system_prompt="Be brief."))["instructions"] == expected
    assert json.loads(told(text))["instructions"] == said


@pytest.mark.parametrize("text", [b'{"id":7}', b'{"previous_response_id":{}}', b'{"id":"a","id":"b"}'])
def test_a_name_that_is_none_breaks_the_format(text: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        told(text)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH


def test_with_nothing_to_replace_the_text_is_the_same() -> None:
    text = b'{"a":1}'
    assert replaced(text, splice.members(text), {}) is text
