import base64
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scaigrid import provider_state
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.types import ReasoningPart

_texts = st.text(st.characters(codec="utf-8"))
_parts = st.builds(
    ReasoningPart,
    text=_texts,
    signature=st.none() | _texts,
    redacted=st.none() | _texts,
    provider=st.none() | st.sampled_from(("anthropic", "google")),
    id=st.none() | _texts,
    signs=st.sampled_from(("reasoning", "text", "call")),
    call_id=st.none() | _texts,
)


@settings(deadline=None)
@given(st.lists(_parts))
def test_what_a_provider_needs_back_comes_back_as_it_was(parts: list[ReasoningPart]) -> None:
    state = provider_state.encode(parts)
    if any((part.signature, part.redacted, part.id) != (None, None, None) for part in parts):
        assert state is not None
        assert state.isascii()
        assert provider_state.decode(state) == tuple(parts)
    else:
        assert state is None


def test_the_text_is_base64url_of_json_with_a_version() -> None:
    state = provider_state.encode([ReasoningPart(text="?>", signature="s", provider="anthropic")])
    assert state is not None
    assert "=" not in state
    decoded = json.loads(base64.urlsafe_b64decode(state + "=" * (-len(state) % 4)))
    assert decoded == {"v": 1, "reasoning": [{"text": "?>", "signature": "s", "provider": "anthropic"}]}


def _packed(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@settings(deadline=None)
@given(st.text() | st.binary().map(lambda octets: base64.urlsafe_b64encode(octets).decode()))
@example(_packed({"v": 2, "reasoning": []}))
@example(_packed({"v": 1, "reasoning": [{"text": 1}]}))
@example(_packed([1, "x"]))
@example(_packed("x").replace("=", "%"))
def test_any_other_text_is_a_fault_of_its_field(text: str) -> None:
    with pytest.raises(GatewayError) as caught:
        provider_state.decode(text, "messages[1].provider_state")
    assert caught.value.code is Code.VALIDATION_ERROR
    assert caught.value.details == (Detail("messages[1].provider_state", "is not what an answer of this gateway gave"),)


def test_a_text_that_is_nested_without_end_is_a_fault_too() -> None:
    with pytest.raises(GatewayError):
        provider_state.decode(base64.urlsafe_b64encode(b'{"v":1,"x":' + b"[" * 100_000).decode())
