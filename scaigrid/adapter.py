"""The port of a provider: bytes in, events out. An adapter owns a protocol and never a socket.

An adapter encodes a call for one backend, and decodes what came back as it comes. Where caller and provider speak the
same dialect it relays instead: the provider's bytes go through, read only for usage and the end.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol, dataclass_transform

import msgspec

from scaigrid.call import Call
from scaigrid.errors import GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import Event, Usage

Header = tuple[str, str]

FEATURES = frozenset(
    {
        "chat",
        "embed",
        "rerank",
        "count_tokens",
        "stream",
        "tools",
        "images",
        "audio",
        "files",
        "reasoning",
        "json_schema",
        "citations",
        "n",
        "logprobs",
    }
)
"""Everything an adapter can claim in `can`."""
DROPPABLE: Final = frozenset(
    {
        "frequency_penalty",
        "logprobs",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning",
        "seed",
        "temperature",
        "top_k",
        "top_logprobs",
        "top_p",
        "user",
    }
)
"""Fields of a chat that shape an answer without being part of the question: where an operator allows it they may be
left out for a provider that has no word for them."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator can set for one type of provider, besides its address and credential: a region, an API version.

    Each field has a docstring: the manual is made from it. Faults of values are raised as ValueError in
    `__post_init__`.
    """


NO_OPTIONS = Options()


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One backend, as far as an adapter needs to know it. Compiled once into the snapshot."""

    type: str
    """The provider's type: the adapter's name in the registry."""
    base_url: str
    """No trailing slash."""
    model: str
    """The provider's own name of the model."""
    headers: tuple[Header, ...]
    """What `Adapter.headers` made: credentials and content type included."""
    speaks: frozenset[str] = frozenset()
    """The surfaces that this backend speaks itself (`Adapter.speaks`): their calls are passed through."""
    options: Any = NO_OPTIONS
    """The provider's options, of the type that its adapter declares."""


class Outgoing(msgspec.Struct, kw_only=True):
    """What the gateway itself has to say about a call: the permitted splices (contract, section 6)."""

    max_output: int | None = None
    """The output bound to send, tokens for each choice; None leaves the caller's own word, or its silence."""
    defaults: Mapping[str, msgspec.Raw] = {}
    """The model's `default_params` by the caller's field names, for those that the caller left out."""
    system_prompt: str | None = None
    """The model's prompt, put ahead of the caller's messages."""
    dropped: frozenset[str] = frozenset()
    """Fields, by the names under which UNSUPPORTED_BY_MODEL has refused them, to leave out: the operator allows it."""
    held: str | None = None
    """The provider's own name of what `Call.held` names."""


class Relaying(msgspec.Struct, frozen=True, kw_only=True):
    """What a relay puts into a passed answer in place of the provider's own names."""

    name: Callable[[str], str]
    """The gateway's name of something that this backend keeps, by the provider's name of it."""
    held: str | None = None
    """The caller's name of what the call refers to, by which the answer refers to it too."""
    system_prompt: str | None = None
    """The model's prompt, which is nobody's to read: an answer that repeats its instructions is told without it."""


class UpstreamRequest(msgspec.Struct, frozen=True):
    """One HTTP request to a provider."""

    method: str
    url: str
    headers: tuple[Header, ...]
    body: bytes


class Signer(Protocol):
    """Puts a credential on calls where that takes more than a constant header."""

    async def signed(self, request: UpstreamRequest) -> UpstreamRequest:
        """The request as it may be sent, and no later than some minutes from now.

        Raises BACKEND_ERROR where no credential is to be had.
        """
        ...


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One model as a provider lists it; None where the list does not say."""

    model: str
    """The provider's own name of it."""
    display_name: str | None = None
    owned_by: str | None = None
    context_window: int | None = None
    """Tokens of input and output together."""
    max_output_tokens: int | None = None


class Offers(msgspec.Struct, frozen=True):
    """One page of a provider's list of models."""

    models: Sequence[Offer]
    after: str | None = None
    """What `Adapter.discovery` takes for the page behind this one; None on the last."""


class Decoder(Protocol):
    """Turns one answer into events, however its bytes are cut. State lives here, one decoder an attempt."""

    @property
    def ended(self) -> bool:
        """The provider has said that a stream is complete: nothing that follows matters."""
        ...

    def feed(self, chunk: bytes) -> Sequence[Event]:
        """The events that `chunk` completes.

        Raises GatewayError where the provider breaks its format or reports a failure.
        """
        ...

    def close(self) -> Sequence[Event]:
        """The provider's answer has ended: the last events. Raises UPSTREAM_SHAPE_MISMATCH where it ended early."""
        ...


class Pipe(Protocol):
    """Provider bytes in, client bytes out: what the forwarder drives, be it a same-dialect relay or a `Translation`."""

    @property
    def usage(self) -> Usage | None:
        """What the provider reported, None until it has."""
        ...

    @property
    def output_seen(self) -> int:
        """Output tokens guessed from what has passed: for the bill of a stream that was cut before its usage."""
        ...

    @property
    def ended(self) -> bool:
        """The provider has said that a stream is complete: nothing that follows matters."""
        ...

    def feed(self, chunk: bytes) -> bytes:
        """What goes to the client now: whole frames only, empty while nothing is complete. Raises GatewayError.

        The frame that tells the client that all is well is held back for `close`: by then the call is in the ledger.
        """
        ...

    def close(self) -> bytes:
        """What goes to the client at the end: for a plain call, all of it.

        Raises GatewayError where the answer is cut short.
        """
        ...


class Adapter(Protocol):
    """One provider's protocol. Stateless: one instance serves every call."""

    name: ClassVar[str]
    transport: ClassVar[str]
    """Which upstream carries it: `http`, or `simulator` in the process."""
    can: ClassVar[frozenset[str]]
    """What it can translate, of `FEATURES`; the rest is refused once, by the core, before anything is spent."""
    needs_max_output: ClassVar[bool]
    """The provider refuses a chat call without an output bound, so the model must declare one."""
    options: ClassVar[type[Options]]
    """What an operator can set; `Options` itself for nothing."""
    signed: ClassVar[str | None]
    """The scheme of `scaigrid.credentials` by which each call is signed; None where a key in a header is enough."""

    def base_url(self, options: Any = NO_OPTIONS) -> str | None:
        """The provider's public address, None where the operator has to give one."""
        ...

    def speaks(self, options: Any = NO_OPTIONS) -> frozenset[str]:
        """The surfaces (`Call.surface`) that this provider speaks itself, so that bytes can pass through."""
        ...

    def headers(self, api_key: Secret | None, extra: Mapping[str, str]) -> tuple[Header, ...]:
        """Every header of a call to this provider but the request id and what a signature adds."""
        ...

    def encode(self, call: Call, target: Target, outgoing: Outgoing) -> UpstreamRequest:
        """The call in this provider's protocol. Raises GatewayError for what it cannot say."""
        ...

    def decoder(self, call: Call, target: Target) -> Decoder:
        """A decoder for the answer to `call`."""
        ...

    def relay(self, call: Call, target: Target, relaying: Relaying) -> Pipe:
        """A pipe for a call that is passed through. Only called where `call.surface in target.speaks`."""
        ...

    def discovery(
        self, base_url: str, headers: tuple[Header, ...], after: str | None = None, options: Any = NO_OPTIONS
    ) -> UpstreamRequest:
        """The question which models the provider has: from the beginning, or from where a page ended."""
        ...

    def offers(self, body: bytes) -> Offers:
        """What it answered. Raises UPSTREAM_SHAPE_MISMATCH."""
        ...

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        """What an answer other than 2xx means. The text must be fit for the client."""
        ...
