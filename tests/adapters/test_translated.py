import pytest

from adapters import ADAPTERS
from adapters.translated import Translated
from scaigrid.types import Chat
from tests.adapters.calls import RELAYING, foreign, target

NAMES = sorted(name for name, adapter in ADAPTERS.items() if isinstance(adapter, Translated))


def test_those_are_the_providers_with_a_protocol_that_no_client_speaks() -> None:
    assert NAMES == ["bedrock", "cohere", "google"]


@pytest.mark.parametrize("name", NAMES)
def test_no_call_is_passed_through(name: str) -> None:
    adapter = ADAPTERS[name]
    assert adapter.speaks(adapter.options()) == frozenset()
    with pytest.raises(NotImplementedError, match=name):
        adapter.relay(foreign(Chat(messages=())), target(name), RELAYING)
