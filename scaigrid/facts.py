"""What a request is, as far as routes ask: its features, its size, and who it has to stay with.

Worked out for routes that ask for it alone, and each fact when the first target asks for it. A size is a guess, or a
count where the gateway has the vocabulary: it may leave backends out, and the provider has the last word.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Final

from scaigrid.call import Call
from scaigrid.config.routing import Capability, When
from scaigrid.config.snapshot import Backend, Model, Principal, Route
from scaigrid.counting import counted, vocabulary
from scaigrid.errors import GatewayError
from scaigrid.reservation import output_bound
from scaigrid.types import AudioPart, Chat, Embed, FilePart, ImagePart, Part, Rerank

SESSION: Final = b"x-scaigrid-session"
"""The header in which a caller says what belongs together."""
LONGEST_SESSION: Final = 256
"""Bytes of it that are looked at."""
_BYTES_A_TOKEN: Final = 4
"""A guess that fits English; other languages have fewer bytes a token, and code has, too."""
_SAID_BY_ADAPTERS: Final[frozenset[Capability]] = frozenset(
    {"tools", "images", "audio", "files", "json_schema", "n", "logprobs"}
)
"""What a call cannot be translated without. The others are hints in some shapes, and the adapter decides."""
_NONE: Final[frozenset[Capability]] = frozenset()
_STREAM: Final[frozenset[Capability]] = frozenset({"stream"})
_NO_TAGS: Final[Mapping[str, str]] = {}
_DROPPED: Final[frozenset[Capability]] = frozenset({"logprobs"})
"""What is left out, and named in a header, where the model allows it."""


def facts_of(call: Call, model: Model) -> "Facts | None":
    """The facts of a call to a model; None where its route asks for none."""
    return Facts(call, model) if model.route.asks_facts else None


def sticky_of(route: Route, principal: Principal, session: bytes | None) -> str | None:
    """What has to be the same for two calls to go to the same backend; None where the route does not care.

    `session` is the header `X-ScaiGrid-Session` as it came. Only its hash is kept, beside the tenant: what one tenant
    calls its sessions is no matter of another one.
    """
    if route.strategy != "sticky":
        return None
    if route.sticky_by == "session" and session:
        tenant = principal.tenant.id
        return f"{tenant}:{hashlib.blake2b(session[:LONGEST_SESSION], digest_size=16).hexdigest()}"
    if route.sticky_by == "key" and principal.key is not None:
        return principal.key.id
    # Who comes by a token has no key, and who names no session has one: the user stands for both.
    return principal.tenant.id if route.sticky_by == "tenant" else principal.user.id


class Facts:
    """Of one call to one model. `call` is never changed."""

    def __init__(self, call: Call, model: Model) -> None:
        self._call = call
        self._model = model
        self._counts: dict[str, int] = {}

    @cached_property
    def uses(self) -> frozenset[Capability]:
        """The features that the call uses, as far as it can be read."""
        asked = self._asked
        found = features(asked) if isinstance(asked, Chat) else _NONE
        return found | _STREAM if self._call.stream else found

    @property
    def output(self) -> int | None:
        """The bound on the tokens of an answer that the provider will be sent; None where it is sent none."""
        return output_bound(self._call, self._model, bounded=self._model.bounded)

    @property
    def makes_text(self) -> bool:
        """Its answer has tokens; vectors and orders have none."""
        return self._call.operation == "chat"

    @cached_property
    def guess(self) -> int:
        """Tokens of input, guessed from bytes; images as the model says what one counts, sound and files as nothing."""
        size, images = self._at_most, 0
        asked = self._asked
        for part in _parts(asked) if isinstance(asked, Chat) else ():
            if isinstance(part, (ImagePart, AudioPart, FilePart)):
                size -= len(part.data or "")
                images += isinstance(part, ImagePart)
        return max(size, 0) // _BYTES_A_TOKEN + images * (self._model.max_image_tokens or 0)

    def tokens(self, backend: Backend) -> int:
        """Tokens of input: counted where the backend's vocabulary is known and there is nothing but text."""
        name = vocabulary(backend.target.model)
        if name is None:
            return self.guess
        known = self._counts.get(name)
        if known is None:
            found = counted(backend.target.model, self._call, ())
            known = self.guess if found is None else found[0] + self._own // _BYTES_A_TOKEN
            self._counts[name] = known
        return known

    # -- what leaves a backend out -----------------------------------------------------------------------------------

    def mismatch(self, when: When, backend: Backend) -> str | None:
        """Why a target with this condition is not for the call; None where it is."""
        call = self._call
        if when.stream is not None and when.stream != call.stream:
            return "is for streamed requests only" if when.stream else "is for requests that are not streamed only"
        if when.dialects is not None and call.dialect not in when.dialects:
            return f"is for requests in the dialect {' or '.join(when.dialects)} only"
        for tag, value in (when.tags or _NO_TAGS).items():
            if call.tags.get(tag) != value:
                return f"is for requests with the tag {tag}={value} only"
        if when.uses is not None and (missing := frozenset(when.uses) - self.uses):
            return f"is for requests that use {_listed(missing)} only"
        if when.min_input_tokens is not None and not self._reaches(when.min_input_tokens, backend):
            return f"is for requests of {when.min_input_tokens} input tokens and more"
        if when.max_input_tokens is not None and self._reaches(when.max_input_tokens + 1, backend):
            return f"is for requests of up to {when.max_input_tokens} input tokens"
        return None

    def unfit(self, backend: Backend) -> str | None:
        """Why the backend would not be able to answer the call, as far as that can be told; None where it may."""
        if backend.lacks and (lacking := backend.lacks & self.uses):
            return f"lacks {_listed(lacking)}"
        if self._call.surface not in backend.target.speaks:
            needed = self.uses & _SAID_BY_ADAPTERS - backend.adapter.can
            if self._model.drops_unsupported:
                needed -= _DROPPED
            if needed:
                return f"its provider has no word for {_listed(needed)}"
        window = backend.context_window
        if window is not None:
            output = self.output or 0
            if self._reaches(window - output + 1, backend):
                return f"its context of {window} tokens is too small for {self.tokens(backend)} and an answer" + (
                    f" of {output}" if output else ""
                )
        return None

    def _reaches(self, tokens: int, backend: Backend) -> bool:
        """Whether the input has so many tokens. Hardly one is shorter than a byte, so small requests need no count.

        But an image may be an address, and counts for more than that has bytes.
        """
        if self._at_most < tokens and not self._model.max_image_tokens:
            return False
        return self.tokens(backend) >= tokens

    @property
    def _at_most(self) -> int:
        """Bytes of all that the provider reads."""
        return len(self._call.body) + self._own

    @cached_property
    def _own(self) -> int:
        """Bytes that the model adds to each request."""
        model = self._model
        prompt = len(model.system_prompt.encode()) if model.system_prompt else 0
        return prompt + sum(len(memoryview(value)) for value in model.defaults.values())

    @cached_property
    def _asked(self) -> Chat | Embed | Rerank | None:
        """None where the call has no canonical form: nothing is left out for what cannot be read."""
        try:
            return self._call.canonical()
        except GatewayError:
            return None


def features(asked: Chat) -> frozenset[Capability]:
    """What a chat uses of that which a deployment may lack."""
    parts = tuple(_parts(asked))
    files = [part for part in parts if isinstance(part, FilePart)]
    output = asked.response_format
    used: dict[Capability, bool] = {
        "tools": bool(asked.tools) or any(message.role == "tool" or message.tool_calls for message in asked.messages),
        "images": any(isinstance(part, ImagePart) for part in parts),
        "audio": any(isinstance(part, AudioPart) for part in parts),
        "files": bool(files),
        "citations": any(file.citations for file in files),
        "reasoning": asked.reasoning is not None and asked.reasoning.effort != "none",
        "json_schema": output is not None and output.kind == "json_schema",
        "n": asked.n != 1,
        "logprobs": asked.logprobs or asked.top_logprobs is not None,
    }
    return frozenset(name for name, is_used in used.items() if is_used)


def _parts(asked: Chat) -> list[Part]:
    return [part for message in asked.messages for part in message.content]


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
