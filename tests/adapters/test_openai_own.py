import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pytest

from adapters.openai_own import FOREIGN, defaulted, purged
from scaigrid.adapter import Outgoing
from scaigrid.call import Call
from scaigrid.dialects.openai import OpenAI
from scaigrid.dialects.openai_responses_request import STATE
from scaigrid.errors import Code, GatewayError

CHAT: Final = "/oai/v1/chat/completions"
RESPONSES: Final = "/oai/v1/responses"
_SAYS: Final = {"role": "user", "content": "Hi"}


def call(path: str, body: Mapping[str, Any]) -> Call:
    return OpenAI().decode(path, json.dumps({"model": "m", **body}).encode())


def sent(path: str, body: Mapping[str, Any], provider: str = "openai") -> Any:
    asked = purged(call(path, body), provider)
    assert {name: json.loads(bytes(raw)) for name, raw in asked.members.items()} == json.loads(asked.body)
    return json.loads(asked.body)


@pytest.mark.parametrize(("path", "name"), [(CHAT, "messages"), (RESPONSES, "input")])
def test_a_call_with_nothing_of_ours_is_the_very_same(path: str, name: str) -> None:
    """Also where a text only speaks of it."""
    for said in ("Hi", 'the "provider_state"', '"scaigrid.eyJ2Ijox"'):
        asked = call(path, {name: [{"role": "user", "content": said}]})
        assert purged(asked, "openai") is asked


def test_the_state_of_earlier_answers_stays_here() -> None:
    answer = {"role": "assistant", "content": "Owls.", "reasoning_content": "so"}
    body = {"messages": [_SAYS, {**answer, "provider_state": "eyJ2Ijox"}, _SAYS], "odd": 1}
    assert sent(CHAT, body) == {"model": "m", "messages": [_SAYS, answer, _SAYS], "odd": 1}


def test_reasoning_of_other_providers_stays_here() -> None:
    """What the provider has encrypted by itself goes back to it."""
    own: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    foreign = {**own, "encrypted_content": f"{STATE}eyJ2Ijox"}
    quoted = {"role": "user", "content": f"{STATE}eyJ2Ijox"}
    assert sent(RESPONSES, {"input": [quoted, foreign, own]})["input"] == [quoted, own]


@pytest.mark.parametrize(("path", "name"), [(CHAT, "messages"), (RESPONSES, "input")])
def test_options_of_the_provider_become_members_and_all_others_stay_here(path: str, name: str) -> None:
    body = {name: [_SAYS], "provider_options": {"openai": {"verbosity": "low"}, "anthropic": {"top_k": 5}}}
    assert sent(path, body) == {"model": "m", name: [_SAYS], "verbosity": "low"}
    assert sent(path, {name: [_SAYS], "provider_options": None}) == {"model": "m", name: [_SAYS]}


@pytest.mark.parametrize(
    ("options", "field"),
    [({"openai": {"n": 9}}, "provider_options.openai.n"), ({"openai": 5}, "provider_options")],
    ids=["reserved", "no object"],
)
def test_options_that_may_not_be_set_are_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(GatewayError) as refusal:
        purged(call(CHAT, {"messages": [_SAYS], "provider_options": options}), "openai")
    assert refusal.value.code is Code.VALIDATION_ERROR
    assert [detail.field for detail in refusal.value.details] == [field]


def test_a_default_of_provider_options_is_one_of_the_provider_s_own_members() -> None:
    raw = msgspec.Raw(b'{"openai":{"verbosity":"low","seed":1},"anthropic":{"top_k":5}}')
    given = Outgoing(max_output=5, defaults={"provider_options": raw, "seed": msgspec.Raw(b"2")})
    assert defaulted(given, "openai") == Outgoing(
        max_output=5, defaults={"verbosity": msgspec.Raw(b'"low"'), "seed": msgspec.Raw(b"2")}
    )
    plain = Outgoing()
    assert defaulted(plain, "openai") is plain
    with pytest.raises(GatewayError) as refusal:
        defaulted(Outgoing(defaults={"provider_options": msgspec.Raw(b"5")}), "openai")
    assert refusal.value.code is Code.UNSUPPORTED_BY_MODEL


def test_what_is_said_twice_is_refused() -> None:
    """One reader would see the one, another the other."""
    twice = b'{"model":"m","messages":[{"role":"user","content":"","provider_state":"a","provider_state":"b"}]}'
    with pytest.raises(GatewayError) as refusal:
        purged(OpenAI().decode(CHAT, twice), "openai")
    assert refusal.value.code is Code.VALIDATION_ERROR


def test_a_custom_endpoint_may_be_such_a_gateway_itself() -> None:
    asked = call(CHAT, {"messages": [{**_SAYS, "provider_state": "eyJ2Ijox"}], "provider_options": {}})
    assert purged(asked, "custom") is asked


def test_the_mark_is_that_of_the_dialect() -> None:
    assert f'"{STATE}'.encode() == FOREIGN
