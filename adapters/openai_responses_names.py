"""What of a passed response is the gateway's to say: its names, the model's slug, and not the model's own prompt.

Everything else of it is the provider's, byte for byte.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from adapters.openai_responses_splice import JOIN
from adapters.wire import broken, decoded, encoded, given, places
from scaigrid import splice
from scaigrid.adapter import Relaying
from scaigrid.call import Call

_text: Final = msgspec.json.Decoder(str)
_anything: Final = msgspec.json.Decoder(object)


class Renamed:
    """Puts the caller's names into the responses of one call."""

    __slots__ = ("_about", "_model", "_relaying")

    def __init__(self, call: Call, relaying: Relaying) -> None:
        self._relaying = relaying
        self._about = call.operation == "resource"
        self._model = msgspec.json.encode(call.model)

    def response(self, text: bytes, members: Mapping[str, msgspec.Raw]) -> bytes:
        """`text`, which is a response with these members, as the caller is told it.

        Raises UPSTREAM_SHAPE_MISMATCH.
        """
        due: dict[str, bytes] = {}
        if "id" in members:
            own = decoded(_text, members["id"])
            held = self._relaying.held if self._about else None
            due["id"] = encoded(held or self._relaying.name(own))
        before = members.get("previous_response_id")
        if before is not None and given(before):
            own = decoded(_text, before)
            held = None if self._about else self._relaying.held
            due["previous_response_id"] = encoded(held or self._relaying.name(own))
        if "model" in members:
            due["model"] = self._model
        if (said := members.get("instructions")) is not None and (told := self._told(said)) is not None:
            due["instructions"] = told
        return replaced(text, members, due)

    def _told(self, instructions: msgspec.Raw) -> bytes | None:
        """The instructions without the model's own prompt; None where it is not in them."""
        prompt = self._relaying.system_prompt
        if prompt is None:
            return None
        said = decoded(_anything, instructions)
        if said == prompt:
            return b"null"
        return encoded(said.removeprefix(prompt + JOIN)) if isinstance(said, str) else None


def replaced(text: bytes, members: Mapping[str, msgspec.Raw], due: Mapping[str, bytes]) -> bytes:
    """`text` with other values for some of its members. Raises UPSTREAM_SHAPE_MISMATCH for one that is there twice."""
    if not due:
        return text
    try:
        return splice.replace(text, places(text, members), due)
    except splice.DuplicateKey:
        raise broken("a member given twice") from None
