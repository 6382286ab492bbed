"""Tokens counted by ourselves, for answers whose provider did not say: exact for text where the vocabulary is public.

The vocabularies are OpenAI's, from the package `bpe-openai` (extra `tokenizer`), which holds them inside. Which one a
model has is told by its provider's name of it. Whatever a tokenizer cannot know, the caller estimates: images, sound,
files, models of others.

What a chat adds to its texts: https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken
"""

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from typing import Any, Final, cast

import msgspec

from scaigrid.call import Call
from scaigrid.errors import GatewayError
from scaigrid.types import Chat, Embed, Message, RefusalPart, TextPart

_FAMILIES: Final = (
    ("gpt-4o", "o200k_base"),
    ("gpt-4.1", "o200k_base"),
    ("gpt-4.5", "o200k_base"),
    ("gpt-5", "o200k_base"),
    ("chatgpt-4o", "o200k_base"),
    ("o1", "o200k_base"),
    ("o3", "o200k_base"),
    ("o4", "o200k_base"),
    ("gpt-4", "cl100k_base"),
    ("gpt-3.5", "cl100k_base"),
    ("gpt-35", "cl100k_base"),
    ("text-embedding-3", "cl100k_base"),
    ("text-embedding-ada-002", "cl100k_base"),
)
"""By what a model's name begins with, the first that fits."""
_A_MESSAGE: Final = 3
"""Tokens that stand around each message, and once ahead of the answer."""
_MOST: Final = 512 * 1024
"""Characters. More would hold up other calls for too long."""

Count = Callable[[str], int]


class Uncountable(Exception):
    """Something in the call is no text."""


@lru_cache(maxsize=1024)
def vocabulary(model: str) -> str | None:
    """The vocabulary of a model, by its provider's name of it (`openai/gpt-4o`, `ft:gpt-4o-mini:acme`)."""
    name = model.rpartition("/")[2].lower().removeprefix("ft:")
    for family, found in _FAMILIES:
        if name == family or name.startswith((f"{family}-", f"{family}.", f"{family}:")):
            return found
    return None


def counted(model: str, call: Call, said: Sequence[str] | None) -> tuple[int, int] | None:
    """Tokens of what a call asks and of what was said to it; None where they cannot be counted.

    The first call for a vocabulary loads it, which takes a fifth of a second: so this is for the few calls of which
    their provider did not say what they used.
    """
    name = vocabulary(model)
    if name is None or said is None:
        return None
    try:
        asked = tuple(_asked(call))
        if sum(map(len, asked)) + sum(map(len, said)) > _MOST:
            return None
        count = _tokenizer(name)
        if count is None:
            return None
        around = _around(call)
        # Whole, because a token may lie across the pieces in which it came.
        return around + sum(map(count, asked)), count("".join(said))
    except (GatewayError, Uncountable):
        return None


@cache
def _tokenizer(name: str) -> Count | None:
    bindings = _bindings()
    return None if bindings is None else cast("Count", bindings.tokenizer_for_encoding(name).count)


@cache
def _bindings() -> Any:
    """The package's compiled half, which counts; None where there is no such package.

    Not by way of the package: its other half reads every vocabulary once more, in Python, which takes two seconds.
    """
    package = importlib.util.find_spec("bpe_openai")
    for place in (package and package.submodule_search_locations) or ():
        found = PathFinder.find_spec("_bindings", [place])
        if found is not None and found.loader is not None:
            module: Any = importlib.util.module_from_spec(found)
            found.loader.exec_module(module)
            return module
    return None


def _around(call: Call) -> int:
    asked = call.canonical()
    return _A_MESSAGE * (len(asked.messages) + 1) if isinstance(asked, Chat) else 0


def _asked(call: Call) -> Iterator[str]:
    asked = call.canonical()
    if isinstance(asked, Chat):
        for message in asked.messages:
            yield from _of_message(message)
        # As JSON: what providers make of tools is their own, and a little shorter.
        if asked.tools:
            yield msgspec.json.encode(asked.tools).decode()
        if asked.response_format is not None and asked.response_format.schema is not None:
            yield msgspec.json.encode(asked.response_format.schema).decode()
    elif isinstance(asked, Embed):
        yield from _texts(asked.input)
    else:
        raise Uncountable


def _of_message(message: Message) -> Iterator[str]:
    yield message.role
    if message.name is not None:
        yield message.name
    for part in message.content:
        match part:
            case TextPart(text) | RefusalPart(text):
                yield text
            case _:
                raise Uncountable
    for called in message.tool_calls:
        yield called.name
        yield called.arguments


def _texts(given: Iterable[object]) -> Iterator[str]:
    for one in given:
        if not isinstance(one, str):
            raise Uncountable
        yield one
