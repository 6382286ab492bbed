"""The two stores behind repeated calls: `Runs`, the calls under way, and `Answers`, what came of them."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from scaigrid.errors import Code, Detail, GatewayError, Level


class Refusal(msgspec.Struct, frozen=True, array_like=True):
    """A GatewayError, to be kept and to be raised again."""

    code: Code
    message: str
    details: tuple[Detail, ...] = ()
    retry_after: int | None = None
    level: Level | None = None

    @classmethod
    def of(cls, error: GatewayError) -> "Refusal":
        return cls(error.code, error.message, error.details, error.retry_after, error.level)

    def error(self) -> GatewayError:
        return GatewayError(
            self.code, self.message, details=self.details, retry_after=self.retry_after, level=self.level
        )


class Head(msgspec.Struct, frozen=True, array_like=True):
    """The start of an answer, without the headers that each request has of its own: the first piece of a run."""

    request_id: str
    """Of the request that it was made for."""
    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()


class End(msgspec.Struct, frozen=True, array_like=True):
    """How a run came to its end."""

    whole: bool
    """The last piece was the end of the answer."""
    refusal: Refusal | None = None
    """What the first caller was told instead of an answer, or of the rest of it; None where it was told nothing."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is given again."""

    fingerprint: str
    """Of the request that it answered."""
    head: Head
    body: bytes | None = None
    """None: it was larger than is kept, or there is a refusal instead."""
    refusal: Refusal | None = None


class Reading(NamedTuple):
    """What has come since the last reading."""

    pieces: Sequence[bytes] = ()
    """The first of all is a `Head`, encoded; then come pieces of the body."""
    end: End | None = None
    """Set with the last of them."""
    lost: Literal["", "died", "outrun"] = ""
    """Nothing more will come: whoever made the call is no more, or pieces that were not read yet have been let go."""


class Reader(Protocol):
    """Somebody else's run, read from its start."""

    @property
    def fingerprint(self) -> str: ...

    async def read(self) -> Reading:
        """Waits for news. Raises STORE_UNAVAILABLE."""
        ...

    def leave(self) -> None:
        """Reads no more; harmless when it is done twice."""
        ...


class Claim(Protocol):
    """A run of one's own. Telling waits for nothing: what does not reach the readers is missed by them, and noticed."""

    def add(self, piece: bytes, limit: int) -> None:
        """The next piece. Of all pieces the newest `limit` bytes are held for readers."""
        ...

    def end(self, end: End, stays: float = 0.0) -> None:
        """The last word: who reads still reads it all. The key is free again at once, or after `stays` seconds."""
        ...

    async def deserted(self) -> None:
        """Returns as soon as nobody reads along."""
        ...


class Own(NamedTuple):
    """The key was free, and is claimed now."""

    claim: Claim


class Runs(Protocol):
    """Calls under way, of everybody who shares the store."""

    async def claim(self, scope: str, fingerprint: str, lease: float) -> Own | Reader:
        """A claim of one's own, or the run that has the key.

        The claim of somebody who has died ends after `lease` seconds. Raises STORE_UNAVAILABLE.
        """
        ...

    async def aclose(self) -> None: ...


class Answers(Protocol):
    """Answers that were given."""

    async def find(self, scope: str) -> Answer | None:
        """Raises STORE_UNAVAILABLE."""
        ...

    async def keep(self, scope: str, answer: Answer, seconds: float) -> None:
        """For so many seconds; one that is there already stays. Raises STORE_UNAVAILABLE."""
        ...


pack: Final = msgspec.msgpack.Encoder().encode
head_of: Final = msgspec.msgpack.Decoder(Head).decode
end_of: Final = msgspec.msgpack.Decoder(End).decode
