"""The port of the suite: one provider's protocol, read by test code of its own and never by the product's."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tests.conformance.told import Told
from tests.harness.recordings import Recorded


def nowhere(one: Recorded) -> str | None:
    """No dialect of the clients has this shape; and nothing that is stored is meant."""
    return None


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """How an exchange of one protocol is asked, answered and compared."""

    name: str
    operation: Callable[[Recorded], str | None]
    """chat | embed | rerank | count_tokens | resource, or one of `plans.ONLY_PASSED`; None for what is no call of this
    protocol."""
    provider: Callable[[Recorded], str]
    """The type of provider, by its name in the registry, that plays the other side."""
    model: Callable[[Recorded], str]
    """The provider's own name of the model, from the path or the body."""
    streams: Callable[[Recorded], bool]
    """Whether the call asks for a stream."""
    to_native: Callable[[Recorded], dict[str, Any]]
    """The same call in the native dialect's words, without its model. Raises NotRun for what it has no words for."""
    normal: Callable[[dict[str, Any]], dict[str, Any]]
    """The normal form of an upstream body; its docstring names every difference that it overlooks."""
    told: Callable[[Recorded], Told]
    """What the recorded answer says."""
    upstream: Callable[[Recorded], str]
    """How the path ends that the provider is asked at."""
    as_stream: Callable[[Recorded], Recorded] | None = None
    """The same exchange, had it asked for a stream. Raises NotRun where there is none to be had."""
    surface: Callable[[Recorded], str | None] = nowhere
    """The clients' own surface that has this shape (`openai/chat`): there the exchange can be passed through."""
    options: Mapping[str, Any] = {}
    """What an operator sets at the provider so that calls are translated to this protocol."""
    rests_on: Callable[[Recorded], str | None] = nowhere
    """The provider's own name of the stored answer that the call is about, or rests on."""
    stand_in: str | None = None
    """The type of provider that plays instead where the first one would pass a dialect through in another protocol."""
