from typing import Any

import msgspec
import pytest

from adapters import endpoints
from adapters.endpoints import Asks, Endpoint
from adapters.openai_reasoning import asking
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Chat, ReasoningRequest


def row(name: str) -> Endpoint:
    return next(one for one in (endpoints.OPENAI, *endpoints.ROWS) if one.name == name)


def asks(how: Asks) -> Endpoint:
    return msgspec.structs.replace(endpoints.CUSTOM, asks=how)


def said(of: Endpoint, *, bound: int | None = None, **wish: Any) -> dict[str, Any]:
    return asking(Chat(messages=(), max_tokens=bound, reasoning=ReasoningRequest(**wish)), of)


def refused(of: Endpoint, **wish: Any) -> list[str]:
    with pytest.raises(GatewayError) as caught:
        said(of, **wish)
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    return [one.field for one in caught.value.details]


@pytest.mark.parametrize("how", ["effort", "thinking", "thinking_effort", "reasoning", "enable_thinking", "nothing"])
def test_who_wishes_nothing_says_nothing(how: Asks) -> None:
    assert asking(Chat(messages=()), asks(how)) == {}
    assert said(asks(how), summary="auto") == {}


def test_an_effort_beyond_the_scale_is_the_end_of_the_scale() -> None:
    assert said(row("openai"), effort="max") == {"reasoning_effort": "max"}
    assert said(row("groq"), effort="max") == {"reasoning_effort": "high"}
    assert said(row("groq"), effort="minimal") == {"reasoning_effort": "low"}
    assert said(row("groq"), effort="none") == {"reasoning_effort": "none"}


def test_thinking_is_switched_on_and_off() -> None:
    assert said(asks("thinking"), effort="none") == {"thinking": {"type": "disabled"}}
    assert said(asks("thinking"), effort="low") == {"thinking": {"type": "enabled"}}
    assert said(asks("thinking"), budget_tokens=9) == {"thinking": {"type": "enabled", "budget_tokens": 9}}
    assert said(row("zai"), effort="max") == {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}
    assert said(row("deepseek"), effort="low") == {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}
    assert said(row("deepseek"), effort="none") == {"thinking": {"type": "disabled"}}


def test_openrouter_has_an_object_for_both() -> None:
    assert said(row("openrouter"), effort="xhigh") == {"reasoning": {"effort": "xhigh"}}
    assert said(row("openrouter"), budget_tokens=9) == {"reasoning": {"max_tokens": 9}}


def test_qwen_thinks_the_share_of_the_bound_that_an_effort_stands_for() -> None:
    assert said(row("qwen"), effort="none") == {"enable_thinking": False}
    assert said(row("qwen"), effort="low") == {"enable_thinking": True}
    assert said(row("qwen"), effort="low", bound=1000) == {"enable_thinking": True, "thinking_budget": 200}
    assert said(row("qwen"), effort="minimal", bound=1) == {"enable_thinking": True, "thinking_budget": 1}
    assert said(row("qwen"), effort="max", bound=1000) == {"enable_thinking": True}
    assert said(row("qwen"), budget_tokens=9) == {"enable_thinking": True, "thinking_budget": 9}


def test_a_budget_is_told_as_an_effort_where_there_are_efforts_alone() -> None:
    assert said(row("groq"), budget_tokens=9) == {"reasoning_effort": "low"}
    assert said(row("groq"), budget_tokens=20_000) == {"reasoning_effort": "high"}
    assert said(row("zai"), budget_tokens=0) == {"thinking": {"type": "disabled"}}
    assert said(row("zai"), budget_tokens=9)["thinking"] == {"type": "enabled"}


def test_a_wish_without_a_word_is_refused_by_name() -> None:
    assert refused(asks("nothing"), effort="low") == ["reasoning"]
    assert refused(msgspec.structs.replace(endpoints.CUSTOM, efforts={}), effort="low") == ["reasoning.effort"]
