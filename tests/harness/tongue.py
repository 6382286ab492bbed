"""A tongue: how a scripted provider of one type is set up, and how it says the same words, thoughts and calls."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from tests.harness import behaviours
from tests.harness.behaviours import JSON, answer, stream
from tests.harness.provider import Behaviour, Conversation, Headers

KEY: Final[Mapping[str, Any]] = MappingProxyType({"api_key": "pk-not-to-be-seen"})
SIGNATURE: Final = "c2lnbmVk"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: thoughts first, then a text in pieces, then calls as (id, name, arguments)."""

    texts: tuple[str, ...] = ()
    thought: str = ""
    calls: tuple[tuple[str, str, dict[str, Any]], ...] = ()
    cut: bool = False
    """It ends because its bound is met."""
    tokens: tuple[int, int] = (11, 4)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def word(self, stop: str, calls: str, cut: str) -> str:
        """The provider's word for why it ends."""
        return cut if self.cut else calls if self.calls else stop


Frames = Callable[[Said], Sequence[bytes]]


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """One protocol: whole answers and streams."""

    whole: Callable[[Said], dict[str, Any]]
    frames: Frames
    headers: Headers = behaviours.EVENTS


class Tongue(msgspec.Struct, frozen=True, kw_only=True):
    """How a type of provider is set up, and how it answers."""

    type: str
    model: str
    path: str = ""
    """What its address ends with."""
    settings: Mapping[str, Any] = KEY
    protocols: Mapping[str, Protocol]
    """By how the path ends that is asked at; the one named by nothing is for all the others."""
    failure: Callable[[str], dict[str, Any]]
    """The body of an error that has this sentence."""
    thinks: bool = True

    def says(self, said: Said, *, breaks_off: bool = False) -> Behaviour:
        """The answer, whole or streamed, in the protocol that is asked for; or the first half of a stream."""

        async def behave(conversation: Conversation) -> None:
            path = conversation.request.path.partition("?")[0]
            spoken = next(one for ending, one in self.protocols.items() if path.endswith(ending))
            if self._streams(conversation):
                frames = spoken.frames(said)
                told = frames[: len(frames) // 2] if breaks_off else frames
                await stream(*told, headers=spoken.headers)(conversation)
            else:
                await answer(spoken.whole(said))(conversation)

        return behave

    @staticmethod
    def _streams(conversation: Conversation) -> bool:
        path = conversation.request.path
        return "stream" in path.rpartition("/")[2] or conversation.request.json.get("stream") is True

    def refuses(self, status: int, message: str, headers: Headers = ()) -> Behaviour:
        return answer(self.failure(message), status=status, headers=[*JSON, *headers])
