from typing import Any

import msgspec
import pytest

from scaigrid.dialects.anthropic_thinking import PREFIX, parts, signature
from scaigrid.errors import Detail
from scaigrid.types import ReasoningPart

FOREIGN: list[ReasoningPart] = [
    ReasoningPart(text="Hm.", signature="c2ln", provider="bedrock"),
    ReasoningPart(text="Hm.", redacted="enc", id="rs_1", provider="openai"),
    ReasoningPart(redacted="enc", provider="openai"),
    ReasoningPart(signature="of the text", signs="text", provider="google"),
    ReasoningPart(signature="of the call", signs="call", call_id="call_1", provider="google"),
]


def test_what_anthropic_signed_stays_as_it_is() -> None:
    part = ReasoningPart(text="Hm.", signature="EqQB+/=", provider="anthropic")
    assert signature(part) == "EqQB+/="
    assert parts("Hm.", "EqQB+/=", "x", []) == (part,)


@pytest.mark.parametrize("part", FOREIGN)
def test_what_another_provider_wants_back_comes_back(part: ReasoningPart) -> None:
    signed = signature(part)
    assert signed.startswith(PREFIX)
    assert parts(part.text, signed, "x", []) == (part,)


def test_the_text_is_not_said_twice() -> None:
    long = ReasoningPart(text="x" * 1000, signature="s", provider="bedrock")
    assert signature(long) == signature(msgspec.structs.replace(long, text=""))


def test_reasoning_that_nobody_signed_has_no_signature_and_keeps_its_text() -> None:
    assert signature(ReasoningPart(text="Hm.", provider="custom")) == ""
    for unsigned in ("", None):
        assert parts("Hm.", unsigned, "x", []) == (ReasoningPart(text="Hm."),)
        assert parts("", unsigned, "x", []) == ()


def test_a_text_beside_the_signature_of_something_else_is_kept() -> None:
    signed = signature(FOREIGN[3])
    assert parts("Hm.", signed, "x", []) == (ReasoningPart(text="Hm."), FOREIGN[3])


@pytest.mark.parametrize("broken", ["", "!", "e30", "é"])
def test_a_signature_that_begins_like_ours_and_is_none_is_a_fault(broken: str) -> None:
    faults: list[Detail] = []
    found: Any = parts("Hm.", PREFIX + broken, "messages[1].content[0]", faults)
    assert found == ()
    assert [fault.field for fault in faults] == ["messages[1].content[0].signature"]
