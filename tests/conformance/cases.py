"""The exchanges that are replayed.

They are the recordings of real providers, where SCAIGRID_RECORDINGS says where they lie, and the project's own
fixtures in the same form, which prove the same paths without them.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from adapters import ADAPTERS
from adapters.openai import OpenAI
from tests.conformance.wire import is_object
from tests.harness import recordings
from tests.harness.recordings import Recorded

FIXTURES: Final = Path(__file__).parent / "fixtures"
FILES: Final = "fixtures"
"""How the names of fixtures begin."""
EVERYBODY: Final = "everybody"
"""The folder of exchanges that every provider of OpenAI's protocol could have had."""
_HOSTS: Final[Mapping[str, str]] = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "api.cerebras.ai": "cerebras",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.together.xyz": "together",
    "api.voyageai.com": "voyage",
    "api.x.ai": "xai",
    "api.z.ai": "zai",
    "openrouter.ai": "openrouter",
    "router.huggingface.co": "huggingface",
}
"""Where a type of provider is at home; whoever is not registered is `custom`."""

UNREADABLE: Final = (LookupError, TypeError, ValueError, AttributeError, AssertionError)
"""What is raised where an exchange has a shape that this suite does not know."""


class NotRun(Exception):
    """Why an exchange cannot be replayed in this way: what has no word, and where."""


@cache
def fixtures() -> tuple[Recorded, ...]:
    """The project's own exchanges; their folder is the type of provider that they are of.

    Those of everybody are of each type of provider that speaks OpenAI's protocol and claims the feature which the file
    is named for, but has no file of that name of its own.
    """
    return tuple(
        msgspec.structs.replace(one, file=f"{FILES}/{name}")
        for path in sorted(FIXTURES.rglob("*.yaml"))
        for one in recordings.read(path).exchanges
        for name in _names(path)
    )


def _names(path: Path) -> Iterator[str]:
    if path.parent.name != EVERYBODY:
        yield path.relative_to(FIXTURES).with_suffix("").as_posix()
        return
    for kind, adapter in ADAPTERS.items():
        speaks_it = isinstance(adapter, OpenAI) and adapter.transport == "http" and path.stem in adapter.can
        if speaks_it and not (FIXTURES / kind / path.name).exists():
            yield f"{kind}/{EVERYBODY}/{path.stem}"


@cache
def recorded() -> tuple[Recorded, ...]:
    """Every exchange of the recordings; none where their folder is not told."""
    return tuple(recordings.exchanges(None, "")) if recordings.folder() is not None else ()


def asks(one: Recorded, *suffixes: str) -> bool:
    """Whether an exchange is a call to a model, on a path that ends so."""
    called = one.method.upper() == "POST" and is_object(one.request_json) and "model" in one.request_json
    return called and urlsplit(one.uri).path.endswith(suffixes)


def everything() -> tuple[Recorded, ...]:
    """The fixtures and the recordings."""
    return (*fixtures(), *recorded())


def is_fixture(one: Recorded) -> bool:
    return one.file.startswith(f"{FILES}/")


def is_of_everybody(one: Recorded) -> bool:
    return is_fixture(one) and f"/{EVERYBODY}/" in one.file


def provider(one: Recorded) -> str:
    """The type of provider that plays the other side of a call of OpenAI's protocol."""
    if is_fixture(one):
        return one.file.split("/")[1]
    host = urlsplit(one.uri).hostname or ""
    found = "azure" if host.endswith(".openai.azure.com") else _HOSTS.get(host, "custom")
    return found if found in ADAPTERS else "custom"
