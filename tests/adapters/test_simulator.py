from urllib.parse import urlsplit

from adapters.openai import Custom
from adapters.simulator import Simulator
from tests.adapters.calls import SLUG, openai, outgoing, target


def test_the_simulator_needs_no_address_and_has_none_that_resolves() -> None:
    address = Simulator().base_url()
    assert address is not None
    assert (urlsplit(address).hostname or "").endswith(".invalid")
    assert Simulator().transport == "simulator"


def test_the_simulator_is_spoken_to_like_any_other_endpoint_of_the_protocol() -> None:
    call = openai({"model": SLUG, "messages": [], "stream": True})
    own = outgoing(max_output=9, system_prompt="Hm.")
    assert Simulator().encode(call, target(), own) == Custom().encode(call, target(), own)
    assert Simulator().can == Custom().can
