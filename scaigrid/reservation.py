"""The most that a call can use, and cost: what limits on tokens and budgets take ahead of it.

It is what the provider can bill while it keeps to the bounds that it is sent. Input: a token is at least one byte of
the body, and a chat has never more than the context window. Output: the caller's bound or the model's, which is
therefore sent along. Images, sound and files have no bound in their bytes, so they count as a full context window; so
does what a provider adds by itself, such as a conversation that it keeps. Only images can be told more closely, where
the model says how many tokens one has at the most.
"""

import re
from typing import Final

from scaigrid.call import Call
from scaigrid.config.snapshot import Model
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.exchange import Exchange, Reserved
from scaigrid.types import FREE, AudioPart, Chat, Embed, FilePart, ImagePart, Rerank

_IMAGES: Final = rb"image|image_url|input_image"
_OTHERS: Final = (
    rb"audio|input_audio|computer_screenshot|container_upload|document|file|image_file|image_generation_call|input_file|"
    rb"input_video|video|video_url"
)
_MEDIA: Final = re.compile(rb'"(?:' + _IMAGES + rb"|" + _OTHERS + rb')"')
"""Names of what may be more than its bytes say. Texts have none of them: their quotes are escaped."""
_TYPED_IMAGE: Final = re.compile(rb'"type"\s*:\s*"(?:' + _IMAGES + rb')"')
_TYPED_OTHER: Final = re.compile(rb'"type"\s*:\s*"(?:' + _OTHERS + rb')"')
_SPELLED: Final = re.compile(rb"\\u00(?:2[cC]|3[46aAbB]|[46][1-9a-fA-F]|5[0-9aAfF]|7[0-9aA])")
"""A letter, or another part of such a name or of the head of a data URL, by its number: nobody writes one so who has
nothing to hide."""
_NO_BASE64: Final = re.compile(rb'"data:(?!(?:[^,"\\]|\\/)*;base64[,;])')
_ADDED_BY_PROVIDERS: Final = 1024
"""Tokens that providers add for tools and formats (Anthropic documents up to 804 for its tool prompt)."""
_SEVERAL_PROMPTS: Final = "openai/completions"
"""The surface of which one call is several chats, each with the context window to itself."""
_NOTHING: Final = Reserved(0, 0)


def reserve(exchange: Exchange, call: Call, model: Model) -> Reserved:
    """What the call can use at the most; worked out once, whoever asks.

    From then on the exchange has an output bound, which the provider is sent. Raises UNSUPPORTED_BY_MODEL where
    nothing bounds the call.
    """
    known = exchange.reserved
    if known is not None:
        return known
    exchange.output_bound = bound = output_bound(call, model, bounded=True)
    if call.operation in FREE:
        reserved = _NOTHING
    else:
        tokens_in = _input_bound(call, model)
        tokens_out = 0
        if call.operation == "chat":
            if bound is None:
                raise _unbounded()
            tokens_out = bound * call.n
        cost = model.price.worst(tokens_in, tokens_out) if model.price is not None else 0
        reserved = Reserved(tokens_in + tokens_out, cost)
    exchange.reserved = reserved
    return reserved


def output_bound(call: Call, model: Model, *, bounded: bool) -> int | None:
    """The caller's bound cut down to the model's; the model's own where the call must have one; else none is sent."""
    if call.operation != "chat":
        return None
    most, asked = model.max_output_tokens, call.max_output
    if asked is not None:
        return asked if most is None else min(asked, most)
    return most if bounded else None


def _input_bound(call: Call, model: Model) -> int:
    window = model.context_window
    if call.grows:
        return _full(window, "What the provider adds to a call")
    bound = len(call.body)
    if _MEDIA.search(call.body) or _hides(call.body):
        known = _with_images(call, model.max_image_tokens)
        if known is None:
            return _full(window if call.operation == "chat" else None, "Images, audio and files")
        bound = known
    bound += len((model.system_prompt or "").encode()) + _ADDED_BY_PROVIDERS
    # What the operator has put into every request is read by the provider too: tools, for example.
    bound += sum(len(name) + len(memoryview(value)) for name, value in model.defaults.items())
    if call.operation != "chat":
        # Here the window holds one text, or one document beside the query, of any number.
        return bound + _said_again(call)
    return bound if window is None or call.surface == _SEVERAL_PROMPTS else min(bound, window)


def _full(window: int | None, what: str) -> int:
    if window is None:
        raise GatewayError(
            Code.UNSUPPORTED_BY_MODEL,
            f"{what} cannot be held to a budget or a limit on tokens here: the model declares no context window.",
        )
    return window


def _unbounded() -> GatewayError:
    """For a model that somebody has configured by another way than those on which this is checked."""
    return GatewayError(
        Code.UNSUPPORTED_BY_MODEL,
        "The answer has to be held to a budget or a limit on tokens, and nothing bounds it.",
        details=(Detail("max_tokens", "is needed, for the model declares no bound of its own"),),
    )


def _with_images(call: Call, tokens: int | None) -> int | None:
    """The bound of a body with nothing but texts and images in it, of `tokens` each; None where there is no saying.

    What the call is said to have is compared with what stands in its body, since a provider that is passed the body
    may read it otherwise than we do, where a name stands in it twice.
    """
    body = call.body
    if _hides(body) or _TYPED_OTHER.search(body):
        return None
    try:
        said = call.canonical()
    except GatewayError:
        return None
    if said.unknown:
        return None
    images = _images(said)
    if images is None:
        return None
    count = max(len(images), len(_TYPED_IMAGE.findall(body)))
    if not count:
        return len(body)
    if tokens is None:
        return None
    # A data URL without base64 is given base64 when it is read, which then is no part of the body.
    written = 0 if _NO_BASE64.search(body) else sum(len(image.data or "") for image in images)
    return count * tokens + len(body) - written


def _hides(body: bytes) -> bool:
    """Whether a name in it may be spelled so that it is not found. Behind two backslashes it is a text about that."""
    for found in _SPELLED.finditer(body):
        before = found.start()
        slashes = 1
        while body[before - slashes : before - slashes + 1] == b"\\":
            slashes += 1
        if slashes % 2:
            return True
    return False


def _images(said: Chat | Embed | Rerank) -> list[ImagePart] | None:
    """The images of a call; None where it has sound or files."""
    if not isinstance(said, Chat):
        return []
    parts = [part for message in said.messages for part in message.content]
    if any(isinstance(part, (AudioPart, FilePart)) for part in parts):
        return None
    return [part for part in parts if isinstance(part, ImagePart)]


def _said_again(call: Call) -> int:
    """Bytes of a query beside each document but the first: that is how a reranker reads it."""
    asked = call.canonical() if call.operation == "rerank" else None
    return len(asked.query.encode()) * (len(asked.documents) - 1) if isinstance(asked, Rerank) else 0
