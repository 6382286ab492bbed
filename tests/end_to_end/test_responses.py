"""An unpatched OpenAI client has its Responses API, whoever answers, and stored answers stay with their tenant."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import FunctionToolParam, Response, ResponseFunctionToolCall, ResponseReasoningItem
from pydantic import BaseModel

from tests.harness import behaviours, responses
from tests.harness.behaviours import Then, answer, event, stream
from tests.harness.eventually import PATIENCE
from tests.harness.gateway import Gateway
from tests.harness.lanes import Lane
from tests.harness.provider import Behaviour, Endpoint, Gate, Provider

WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "description": "The weather at a place.",
    "parameters": {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
        "additionalProperties": False,
    },
    "strict": True,
}
BOTH = pytest.mark.parametrize("word", ["openai", "anthropic"])


class Rain(BaseModel):
    """What is asked for as structured output."""

    millimetres: int


def endpoint(lane: Lane, word: str) -> Endpoint:
    return lane.anthropic if word == "anthropic" else lane.openai


def plain(word: str, text: str, **more: Any) -> Behaviour:
    if word == "anthropic":
        return answer(behaviours.anthropic_message(text, tokens=(11, 4)))
    return answer(responses.response(responses.message(text), usage=responses.usage(11, 4), **more))


def frames(word: str, *texts: str) -> list[bytes]:
    if word == "anthropic":
        return behaviours.anthropic_frames(*texts, tokens=(11, 4))
    return responses.frames(*texts, usage=responses.usage(11, 4))


def created(lane: Lane, word: str, **more: Any) -> Response:
    create: Callable[..., Any] = lane.sdk().responses.create
    got = create(model=lane.model(word), input="How is the weather?", **more)
    assert isinstance(got, Response)
    return got


@BOTH
def test_a_response_is_answered(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(plain(word, "It rains."))
    got = created(lane, word, metadata={"team": "weather"})
    assert (got.output_text, got.status, got.model) == ("It rains.", "completed", lane.model(word))
    assert got.usage is not None
    assert (got.usage.input_tokens, got.usage.output_tokens, got.usage.total_tokens) == (11, 4, 15)
    (row,) = lane.usage(1)
    assert (row["tokens_in"], row["tokens_out"], row["operation"]) == (11, 4, "chat")
    assert json.loads(row["tags"]) == {"team": "weather"}


@BOTH
def test_a_stream_is_answered_as_it_comes(lane: Lane, word: str) -> None:
    """The provider sends the second piece only once the client has the first, so a collected stream never ends."""
    gate = Gate()
    pieces = frames(word, "It ", "rains.")
    second = next(place for place, piece in enumerate(pieces) if b'"rains."' in piece)
    endpoint(lane, word).then(stream(*pieces[:second], gate, *pieces[second:]))
    kinds: list[str] = []
    texts: list[str] = []
    numbers: list[int] = []
    last: Response | None = None
    for one in lane.sdk().responses.create(model=lane.model(word), input="How is the weather?", stream=True):
        kinds.append(one.type)
        numbers.append(one.sequence_number)
        if one.type == "response.output_text.delta":
            texts.append(one.delta)
            gate.open()
        if one.type == "response.completed":
            last = one.response
    assert texts == ["It ", "rains."]
    assert (kinds[:2], kinds[-1]) == (["response.created", "response.in_progress"], "response.completed")
    assert numbers == list(range(len(numbers)))
    assert last is not None
    assert (last.output_text, last.model) == ("It rains.", lane.model(word))
    assert last.usage is not None
    assert last.usage.total_tokens == 15


@BOTH
def test_the_clients_own_stream_reader_follows(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(stream(*frames(word, "It ", "rains.")))
    with lane.sdk().responses.stream(model=lane.model(word), input="How is the weather?") as got:
        final = got.get_final_response()
    assert final.output_text == "It rains."


@BOTH
def test_structured_output_is_parsed(lane: Lane, word: str) -> None:
    endpoint(lane, word).then(plain(word, '{"millimetres":3}'))
    got = lane.sdk().responses.parse(model=lane.model(word), input="How much rain?", text_format=Rain)
    assert got.output_parsed == Rain(millimetres=3)


@BOTH
def test_a_tool_is_called_and_its_result_sent_back(lane: Lane, word: str) -> None:
    given = '{"place":"Ghent"}'
    if word == "anthropic":
        use = behaviours.tool_use("weather", json.loads(given), identifier="call_1")
        first = answer(behaviours.anthropic_message(None, tool_uses=[use], stop="tool_use"))
    else:
        first = answer(responses.response(responses.function_call("weather", given)))
    endpoint(lane, word).then(first, plain(word, "It rains."))
    client, model = lane.sdk(), lane.model(word)
    got = client.responses.create(model=model, input="How is the weather?", tools=[WEATHER])
    (called,) = got.output
    assert isinstance(called, ResponseFunctionToolCall)
    assert (called.name, called.call_id, json.loads(called.arguments)) == ("weather", "call_1", {"place": "Ghent"})
    after = client.responses.create(
        model=model,
        input=[
            {"role": "user", "content": "How is the weather?"},
            {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": called.arguments},
            {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        ],
        tools=[WEATHER],
    )
    assert after.output_text == "It rains."
    if word == "anthropic":
        sent = lane.anthropic.requests[-1].json["messages"]
        assert [one["role"] for one in sent] == ["user", "assistant", "user"]
        assert sent[2]["content"][0]["tool_use_id"] == "call_1"


def test_reasoning_of_another_provider_makes_the_round_trip(lane: Lane) -> None:
    """Its signature stands in `encrypted_content`, and comes back to the provider unchanged."""
    thinking = {"type": "thinking", "thinking": "Clouds.", "signature": "c2lnbmVk"}
    said = behaviours.anthropic_message("It rains.")
    said["content"] = [thinking, *said["content"]]
    lane.anthropic.then(answer(said), answer(behaviours.anthropic_message("Still.")))
    client, model = lane.sdk(), lane.model("anthropic")
    asked: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    got = client.responses.create(model=model, input=asked, include=["reasoning.encrypted_content"], store=False)
    thought = got.output[0]
    assert isinstance(thought, ResponseReasoningItem)
    assert [one.text for one in thought.summary] == ["Clouds."]
    again: list[Any] = [one.model_dump(exclude_none=True) for one in got.output]
    client.responses.create(model=model, input=[*asked, *again, {"role": "user", "content": "And now?"}])
    sent = lane.anthropic.requests[-1].json["messages"]
    assert sent[1]["content"][0] == thinking


def test_a_passed_call_is_the_callers_own_bytes(lane: Lane) -> None:
    """But for the model; and so is the answer, but for its names."""
    whole = responses.response(responses.message("It rains."), identifier="resp_secret", unheard_of={"a": 1})
    lane.openai.then(answer(whole))
    body = b'{ "model" : "%b", "input":"Hello?", "unknown" : [1.0,2], "max_output_tokens":100}'
    got = lane.client().post(
        "/oai/v1/responses",
        content=body % lane.model("openai").encode(),
        headers={"content-type": "application/json"},
    )
    assert lane.openai.requests[-1].body == body % b"upstream-model"
    assert lane.openai.requests[-1].path.endswith("/v1/responses")
    told = got.json()
    assert "resp_secret" not in got.text
    assert {**told, "id": whole["id"], "model": whole["model"]} == whole


def test_a_stored_answer_is_read_followed_listed_and_deleted(lane: Lane) -> None:
    """The provider sees its own name each time, the caller the gateway's."""
    lane.openai.then(plain("openai", "It rains.", identifier="resp_own7"))
    client = lane.sdk()
    name = created(lane, "openai").id
    assert name.startswith("resp_")
    assert "resp_own7" not in name

    lane.openai.then(answer(responses.response(responses.message("It rains."), identifier="resp_own7")))
    read = client.responses.retrieve(name)
    assert (read.id, read.model, read.output_text) == (name, lane.model("openai"), "It rains.")
    asked = lane.openai.requests[-1]
    assert (asked.method, asked.path.rpartition("/v1")[2], asked.body) == ("GET", "/responses/resp_own7", b"")

    lane.openai.then(stream(*responses.frames("It rains.", identifier="resp_own7")))
    streamed = client.responses.retrieve(name, stream=True, starting_after=1)
    assert {one.response.id for one in streamed if one.type == "response.completed"} == {name}
    assert lane.openai.requests[-1].path.endswith("/responses/resp_own7?starting_after=1&stream=true")

    items: dict[str, Any] = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    lane.openai.then(answer(items))
    assert client.responses.input_items.list(name, limit=5).data == []
    assert lane.openai.requests[-1].path.endswith("/responses/resp_own7/input_items?limit=5")

    lane.openai.then(answer(responses.response(identifier="resp_own7", status="cancelled", usage=None)))
    assert client.responses.cancel(name).status == "cancelled"
    assert (lane.openai.requests[-1].method, lane.openai.requests[-1].body) == ("POST", b"")

    lane.openai.then(answer({"id": "resp_own7", "object": "response", "deleted": True}))
    client.responses.delete(name)
    assert lane.openai.requests[-1].method == "DELETE"

    rows = lane.usage(6)
    assert [row["operation"] for row in rows] == ["chat", *["resource"] * 5]
    assert [row["cost"] for row in rows[1:]] == [0] * 5
    audited = lane.audit(3)
    assert [(row["action"], row["resource_type"]) for row in audited] == [
        ("inference.chat", "model"),
        ("inference.cancel", "response"),
        ("inference.delete", "response"),
    ]


def test_the_next_turn_goes_to_the_backend_that_keeps_the_answer(lane: Lane) -> None:
    """The first of two fails, so the second answers; it is asked again, though the first would be tried first."""
    lane.openai.then(answer(behaviours.openai_error("Oops", kind="server_error"), status=500))
    lane.second.then(plain("openai", "It rains.", identifier="resp_own8"))
    first = created(lane, "two")
    lane.second.then(plain("openai", "Still.", identifier="resp_own9", previous_response_id="resp_own8"))
    got = created(lane, "two", previous_response_id=first.id)
    assert lane.second.requests[-1].json["previous_response_id"] == "resp_own8"
    assert got.previous_response_id == first.id
    assert got.id not in {first.id, "resp_own9"}


def test_a_name_of_another_tenant_or_a_made_up_one_names_nothing(lane: Lane) -> None:
    lane.openai.then(plain("openai", "It rains."))
    name = created(lane, "openai").id
    forged = name[:-2] + ("AA" if not name.endswith("AA") else "BB")
    client = lane.sdk()
    for wrong in (forged, "resp_own1", "resp_" + "A" * 80):
        with pytest.raises(openai.NotFoundError) as caught:
            client.responses.retrieve(wrong)
        assert caught.value.code == "NOT_FOUND"
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            created(lane, "openai", previous_response_id=wrong)
        assert (refused.value.code, refused.value.param) == ("VALIDATION_ERROR", "previous_response_id")


def test_what_a_provider_does_not_keep_is_said_to_be_so(lane: Lane) -> None:
    """An answer of a provider of another API: its name leads nowhere, and the next turn is refused by field."""
    lane.anthropic.then(plain("anthropic", "It rains."))
    got = created(lane, "anthropic")
    assert got.store is False  # type: ignore[attr-defined]  # the API has it, the client's type does not
    with pytest.raises(openai.NotFoundError):
        lane.sdk().responses.retrieve(got.id)
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        created(lane, "anthropic", previous_response_id=got.id)
    assert (refused.value.code, refused.value.param) == ("UNSUPPORTED_BY_MODEL", "previous_response_id")


def test_what_the_provider_has_forgotten_is_not_found(lane: Lane) -> None:
    lane.openai.then(plain("openai", "It rains."))
    name = created(lane, "openai").id
    lane.openai.then(answer(behaviours.openai_error("Response with id 'resp_own1' not found."), status=404))
    with pytest.raises(openai.NotFoundError) as caught:
        lane.sdk().responses.retrieve(name)
    assert "resp_own1" not in str(caught.value)


def test_an_address_takes_its_methods_alone(lane: Lane) -> None:
    client = lane.client()
    got = client.put("/oai/v1/responses/resp_1")
    assert (got.status_code, set(got.headers["allow"].split(", "))) == (405, {"GET", "DELETE"})
    got = client.get("/oai/v1/responses/resp_1/cancel")
    assert (got.status_code, got.headers["allow"]) == (405, "POST")


def test_a_failure_ahead_of_the_first_output_is_another_backends_chance(lane: Lane) -> None:
    lane.openai.then(stream(*responses.failed("server_error", "Oops.")))
    lane.second.then(stream(*responses.frames("It rains.")))
    got = lane.sdk().responses.create(model=lane.model("two"), input="Hello?", stream=True)
    kinds = [one.type for one in got]
    assert (kinds.count("response.created"), kinds[-1]) == (1, "response.completed")


@BOTH
def test_a_stream_that_breaks_off_ends_with_an_error(lane: Lane, word: str) -> None:
    """Its number counts on, and it is no success to the client."""
    pieces = frames(word, "It ", "rains.")
    second = next(place for place, piece in enumerate(pieces) if b'"rains."' in piece)
    endpoint(lane, word).then(stream(*pieces[:second], Then.CLOSE))
    body = {"model": lane.model(word), "input": "Hello?", "stream": True}
    text = lane.client().post("/oai/v1/responses", json=body).text
    *told, last = [json.loads(frame.partition("data: ")[2]) for frame in text.split("\n\n") if frame]
    assert last["type"] == "error"
    assert (last["code"], last["sequence_number"]) == (last["error"]["code"], len(told))
    endpoint(lane, word).then(stream(*pieces[:second], Then.CLOSE))
    with pytest.raises(openai.APIError):
        for _ in lane.sdk().responses.create(model=lane.model(word), input="Hello?", stream=True):
            pass


def test_the_size_of_a_call_is_told(lane: Lane) -> None:
    lane.openai.then(answer({"object": "response.input_tokens", "input_tokens": 11}))
    got = lane.sdk().responses.input_tokens.count(model=lane.model("openai"), input="Hello?")
    assert got.input_tokens == 11
    assert lane.openai.requests[-1].path.endswith("/v1/responses/input_tokens")
    (row,) = lane.usage(1)
    assert (row["operation"], row["cost"], row["tokens_in"]) == ("count_tokens", 0, 0)


def test_the_models_own_prompt_goes_ahead_and_is_nobodys_to_read(
    start: Callable[..., Gateway], provider: Provider
) -> None:
    """The provider repeats its instructions in each answer; the caller is told its own."""
    upstream = provider.at("/prompted/v1")
    config: dict[str, Any] = {
        "users": {"ada": {}},
        "keys": {"ada": {"user": "ada", "key": "sgk_ada_".ljust(44, "0")}},
        "providers": {"p": {"type": "openai", "base_url": upstream.url, "api_key": "pk-0123456789"}},
        "backends": {"b": {"provider": "p", "model": "upstream-model", "cost": {"input": 1, "output": 5}}},
        "models": {
            "m": {
                "prices": {"input": 3, "output": 15},
                "max_output_tokens": 50,
                "system_prompt": "Be brief.",
                "default_params": {"temperature": 0.5},
                "route": {"targets": [{"backend": "b"}]},
            }
        },
    }
    gateway = start(config)
    upstream.then(answer(responses.response(instructions="Be brief.\n\nBe kind.")))
    body = {"model": "m", "instructions": "Be kind.", "input": "Hi", "max_output_tokens": 100}
    got = asked(gateway, "sgk_ada_".ljust(44, "0"), "POST", "/oai/v1/responses", json=body).json()
    sent = upstream.requests[-1].json
    assert (sent["instructions"], sent["max_output_tokens"], sent["temperature"]) == ("Be brief.\n\nBe kind.", 50, 0.5)
    assert got["instructions"] == "Be kind."


def test_a_name_holds_after_a_restart_and_for_its_own_tenant_alone(
    start: Callable[..., Gateway], provider: Provider
) -> None:
    upstream = provider.at("/restarted/v1")
    keys = {name: f"sgk_{name}_".ljust(44, "0") for name in ("ada", "bob", "root")}
    config: dict[str, Any] = {
        "tenants": {"a": {}, "b": {}, "c": {}},
        "users": {
            "ada": {"tenant": "a"},
            "bob": {"tenant": "b"},
            "root": {"tenant": "c", "roles": ["super_admin"]},
        },
        "keys": {name: {"user": name, "key": key} for name, key in keys.items()},
        "providers": {"p": {"type": "openai", "base_url": upstream.url, "api_key": "pk-0123456789"}},
        "backends": {"b": {"provider": "p", "model": "upstream-model", "cost": {"input": 1, "output": 5}}},
        "models": {"m": {"prices": {"input": 3, "output": 15}, "route": {"targets": [{"backend": "b"}]}}},
    }
    stored = answer(responses.response(responses.message("It rains.")))
    first = start(config)
    upstream.then(stored)
    name = asked(first, keys["ada"], "POST", "/oai/v1/responses", json={"model": "m", "input": "Hi"}).json()["id"]
    assert first.stop() == 0
    second = start(config)
    upstream.then(stored, stored)
    found = {who: asked(second, key, "GET", f"/oai/v1/responses/{name}").status_code for who, key in keys.items()}
    assert found == {"ada": 200, "bob": 404, "root": 200}
    follows = {"model": "m", "input": "Hi", "previous_response_id": name}
    refused = asked(second, keys["bob"], "POST", "/oai/v1/responses", json=follows)
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "previous_response_id")
    assert len(upstream.requests) == 3


def asked(gateway: Gateway, key: str, method: str, path: str, **more: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.request(method, gateway.url + path, headers=headers, timeout=PATIENCE, trust_env=False, **more)


def test_an_answer_that_is_made_in_the_background_is_billed_by_its_bound(lane: Lane) -> None:
    """Nobody would hear what it cost in the end."""
    begun = responses.response(status="queued", usage=None, background=True, max_output_tokens=70)
    lane.openai.then(answer(begun))
    got = created(lane, "openai", background=True, max_output_tokens=70)
    assert got.status == "queued"
    (row,) = lane.usage(1)
    assert (row["usage_source"], row["tokens_out"]) == ("estimated", 70)


def test_the_size_of_a_call_is_asked_of_a_provider_of_another_api(lane: Lane) -> None:
    lane.anthropic.then(answer({"input_tokens": 12}))
    got = lane.sdk().responses.input_tokens.count(model=lane.model("anthropic"), input="Hello?")
    assert got.input_tokens == 12
    assert lane.anthropic.requests[-1].path.endswith("/v1/messages/count_tokens")


def test_an_error_inside_the_event_stream_of_another_name_is_an_error(lane: Lane) -> None:
    lane.openai.then(stream(event("error", code="invalid_prompt", message="No.", param=None, sequence_number=0)))
    with pytest.raises(openai.APIStatusError):
        lane.sdk().responses.create(model=lane.model("openai"), input="Hello?", stream=True)
