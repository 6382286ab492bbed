import json
from collections.abc import Mapping
from typing import Any

import pytest

from adapters.openai_responses_splice import SURFACES, spliced
from scaigrid.call import Call
from scaigrid.dialects.openai import OpenAI
from scaigrid.dialects.openai_responses import RESOURCES
from scaigrid.errors import Code, GatewayError
from tests.adapters.calls import SLUG, UPSTREAM_MODEL, outgoing

BODY = b'{ "input" : "Hi", "model":"scailabs/best" ,"odd":[1.0, 2e3] }'


def call(body: bytes | Mapping[str, Any], path: str = "/oai/v1/responses") -> Call:
    text = body if isinstance(body, bytes) else json.dumps({"model": SLUG, "input": "Hi", **body}).encode()
    return OpenAI().decode(path, text)


def sent(body: bytes | Mapping[str, Any], **more: Any) -> Any:
    return json.loads(spliced(call(body), UPSTREAM_MODEL, outgoing(**more))[2])


def refused(body: Mapping[str, Any], **more: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        spliced(call(body), UPSTREAM_MODEL, outgoing(**more))
    return caught.value


def test_with_nothing_due_the_body_is_the_very_object_that_came() -> None:
    asked = call(BODY)
    assert spliced(asked, SLUG, outgoing())[2] is asked.body


def test_the_model_alone_is_replaced_in_its_place() -> None:
    assert spliced(call(BODY), UPSTREAM_MODEL, outgoing()) == (
        "POST",
        "/responses",
        BODY.replace(SLUG.encode(), UPSTREAM_MODEL.encode()),
    )


@pytest.mark.parametrize("given", [{}, {"max_output_tokens": 500}])
def test_the_output_bound_goes_into_this_apis_own_field(given: dict[str, Any]) -> None:
    assert sent(given, max_output=50)["max_output_tokens"] == 50
    assert sent({"max_output_tokens": 50}, max_output=50)["max_output_tokens"] == 50


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "Be brief."), ({"instructions": None}, "Be brief."), ({"instructions": "Now."}, "Be brief.\n\nNow.")],
)
def test_the_models_prompt_goes_ahead_of_the_callers_instructions(given: dict[str, Any], expected: str) -> None:
    assert sent(given, system_prompt="Be brief.")["instructions"] == expected


def test_instructions_that_are_no_text_cannot_have_a_prompt_ahead() -> None:
    body = b'{"model":"scailabs/best","input":"Hi","instructions":[]}'
    with pytest.raises(GatewayError) as caught:
        spliced(call(body), UPSTREAM_MODEL, outgoing(system_prompt="Be brief."))
    assert [detail.field for detail in caught.value.details] == ["instructions"]


def test_defaults_fill_in_what_the_caller_left_out_in_this_apis_words() -> None:
    defaults = {"temperature": 0.5, "max_tokens": 70, "reasoning_effort": "low", "service_tier": "flex", "model": "x"}
    got = sent({"temperature": 1}, defaults=defaults)
    assert (got["temperature"], got["max_output_tokens"], got["reasoning"]) == (1, 70, {"effort": "low"})
    assert (got["service_tier"], got["model"]) == ("flex", UPSTREAM_MODEL)
    kept = sent({"reasoning": {"effort": "high"}, "max_output_tokens": 9}, defaults=defaults)
    assert (kept["reasoning"], kept["max_output_tokens"]) == ({"effort": "high"}, 9)
    assert sent({}, defaults=defaults, max_output=50)["max_output_tokens"] == 50


@pytest.mark.parametrize("name", ["stop", "seed", "presence_penalty", "response_format", "top_k"])
def test_a_default_that_this_api_has_no_word_for_is_refused(name: str) -> None:
    error = refused({}, defaults={name: 1})
    assert error.code is Code.UNSUPPORTED_BY_MODEL
    assert [detail.field for detail in error.details] == [f"default_params.{name}"]


@pytest.mark.parametrize("name", ["input", "previous_response_id", "conversation", "background", "stream"])
def test_no_default_says_what_is_the_callers_to_say(name: str) -> None:
    assert sent(BODY, defaults={name: "x"}).get(name) == ("Hi" if name == "input" else None)


def test_the_gateways_name_of_an_answer_becomes_the_providers() -> None:
    asked = outgoing()
    asked.held = "resp_own"
    body = json.loads(spliced(call({"previous_response_id": "resp_ours"}), UPSTREAM_MODEL, asked)[2])
    assert body["previous_response_id"] == "resp_own"


def test_a_name_that_nobody_opened_goes_to_no_provider() -> None:
    error = refused({"previous_response_id": "resp_theirs"})
    assert [detail.field for detail in error.details] == ["previous_response_id"]


def test_a_size_is_asked_for_with_no_bound_and_no_defaults() -> None:
    asked = call({}, "/oai/v1/responses/input_tokens")
    more = outgoing(max_output=50, defaults={"temperature": 1}, system_prompt="Be brief.")
    method, path, body = spliced(asked, UPSTREAM_MODEL, more)
    assert (method, path) == ("POST", "/responses/input_tokens")
    assert json.loads(body) == {"instructions": "Be brief.", "model": UPSTREAM_MODEL, "input": "Hi"}


@pytest.mark.parametrize(
    ("template", "method", "path"),
    [
        ("/oai/v1/responses/{response_id}", "GET", "/responses/resp%2Fown"),
        ("/oai/v1/responses/{response_id}", "DELETE", "/responses/resp%2Fown"),
        ("/oai/v1/responses/{response_id}/cancel", "POST", "/responses/resp%2Fown/cancel"),
        ("/oai/v1/responses/{response_id}/input_items", "GET", "/responses/resp%2Fown/input_items"),
    ],
)
def test_what_is_asked_of_a_stored_answer_goes_to_its_own_name(template: str, method: str, path: str) -> None:
    asked = outgoing(max_output=5, system_prompt="Be brief.", defaults={"temperature": 1})
    asked.held = "resp/own"
    plain, queried = (RESOURCES[template][method]("resp_ours", query) for query in ("", "limit=5"))
    assert {plain.surface, queried.surface} <= SURFACES
    assert spliced(plain, UPSTREAM_MODEL, asked) == (method, path, b"")
    assert spliced(queried, UPSTREAM_MODEL, asked) == (method, f"{path}?limit=5", b"")


def test_a_member_that_is_given_twice_is_refused() -> None:
    """The dialect refuses such a body; who comes by it otherwise is not governed by one and answered by the other."""
    asked = call(BODY)
    asked.body = BODY[:-1] + b',"model":"other"}'
    with pytest.raises(GatewayError) as caught:
        spliced(asked, UPSTREAM_MODEL, outgoing())
    assert caught.value.code is Code.VALIDATION_ERROR
