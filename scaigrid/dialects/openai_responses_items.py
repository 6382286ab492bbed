"""The items of an answer in OpenAI's Responses API, as they are put together."""

import msgspec
from msgspec import UNSET

from scaigrid.dialects import openai_responses_answers as shapes


class OpenPart:
    """A text or a refusal of a message; `before` is how many characters the choice had ahead of it."""

    __slots__ = ("annotations", "before", "logprobs", "pieces", "refuses")

    def __init__(self, *, refuses: bool, before: int) -> None:
        self.refuses = refuses
        self.before = before
        self.pieces: list[str] = []
        self.logprobs: list[msgspec.Raw] = []
        self.annotations: list[shapes.ResponseAnnotation] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def shown(self) -> shapes.ResponseContent:
        if self.refuses:
            return shapes.ResponseRefusal(self.text)
        return shapes.ResponseText(annotations=tuple(self.annotations), logprobs=tuple(self.logprobs), text=self.text)


class OpenMessage:
    __slots__ = ("id", "parts", "place", "status")

    def __init__(self, id_: str, place: int) -> None:
        self.id = id_
        self.place = place
        """Its index among the items of the answer."""
        self.parts: list[OpenPart] = []
        self.status: shapes.Status = "in_progress"

    def shown(self) -> shapes.ResponseMessage:
        parts = tuple([part.shown() for part in self.parts])
        return shapes.ResponseMessage(id=self.id, status=self.status, content=parts)


class OpenThought:
    """A piece of reasoning."""

    __slots__ = ("id", "pieces", "place", "sealed", "status")

    def __init__(self, id_: str, place: int) -> None:
        self.id = id_
        self.place = place
        self.pieces: list[str] = []
        self.sealed: str | None = None
        """What its provider wants back."""
        self.status: shapes.Status = "in_progress"

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def shown(self) -> shapes.ResponseReasoning:
        text = self.text
        return shapes.ResponseReasoning(
            id=self.id,
            summary=(shapes.ResponseSummary(text),) if text else (),
            encrypted_content=UNSET if self.sealed is None else self.sealed,
        )


class OpenCall:
    """A call of a tool."""

    __slots__ = ("call_id", "id", "name", "pieces", "place", "status")

    def __init__(self, id_: str, place: int, name: str, call_id: str) -> None:
        self.id = id_
        self.place = place
        self.name = name
        self.call_id = call_id
        self.pieces: list[str] = []
        self.status: shapes.Status = "in_progress"

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    def shown(self) -> shapes.ResponseFunctionCall:
        return shapes.ResponseFunctionCall(
            id=self.id, status=self.status, arguments=self.arguments, call_id=self.call_id, name=self.name
        )


OpenItem = OpenMessage | OpenThought | OpenCall
