from urllib.parse import urlsplit

import pytest

from adapters.openai import Custom
from adapters.simulator import Simulator
from scaigrid.errors import GatewayError
from scaigrid.types import Chat
from tests.adapters.calls import SLUG, foreign, openai, outgoing, target, user


def test_the_simulator_needs_no_address_and_has_none_that_resolves() -> None:
    address = Simulator().base_url()
    assert address is not None
    assert (urlsplit(address).hostname or "").endswith(".invalid")
    assert Simulator().transport == "simulator"


def test_the_simulator_is_spoken_to_like_any_other_endpoint_of_the_protocol() -> None:
    call = openai({"model": SLUG, "messages": [], "stream": True})
    own = outgoing(max_output=9, system_prompt="Hm.")
    assert Simulator().encode(call, target(), own) == Custom().encode(call, target(), own)
    assert Custom().can - Simulator().can == {"citations"}


def test_what_it_would_refuse_by_itself_is_refused_ahead_of_it() -> None:
    call = foreign(Chat(messages=(user("Hi"),), top_k=5))
    with pytest.raises(GatewayError) as caught:
        Simulator().encode(call, target(), outgoing())
    assert [detail.field for detail in caught.value.details] == ["top_k"]
