"""The exchanges that are replayed, each as one case with its name, or as one that is not run, with its reason.

They are the recordings of real providers, where SCAIGRID_RECORDINGS says where they lie, and the project's own
fixtures in the same form, which prove the same paths without them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.conformance.wire import is_object
from tests.harness import recordings
from tests.harness.recordings import Recorded

FIXTURES: Final = Path(__file__).parent / "fixtures"
FILES: Final = "fixtures"
"""How the names of fixtures begin."""
_HOSTS: Final[Mapping[str, str]] = {"api.openai.com": "openai", "api.anthropic.com": "anthropic"}

UNREADABLE: Final = (LookupError, TypeError, ValueError, AttributeError, AssertionError)
"""What is raised where an exchange has a shape that this suite does not know."""

T = TypeVar("T")


class NotRun(Exception):
    """Why an exchange cannot be replayed in this way: what has no word, and where."""


@cache
def fixtures() -> tuple[Recorded, ...]:
    """The project's own exchanges; their folder is the type of provider that they are of."""
    return tuple(
        msgspec.structs.replace(one, file=f"{FILES}/{path.relative_to(FIXTURES).with_suffix('').as_posix()}")
        for path in sorted(FIXTURES.rglob("*.yaml"))
        for one in recordings.read(path).exchanges
    )


@cache
def recorded() -> tuple[Recorded, ...]:
    """Every exchange of the recordings; none where their folder is not told."""
    return tuple(recordings.exchanges(None, "")) if recordings.folder() is not None else ()


def asks(one: Recorded, *suffixes: str) -> bool:
    """Whether an exchange is a call to a model, on a path that ends so."""
    called = one.method.upper() == "POST" and is_object(one.request_json) and "model" in one.request_json
    return called and urlsplit(one.uri).path.endswith(suffixes)


def exchanges(*suffixes: str) -> list[Recorded]:
    """The fixtures and the recordings that ask so."""
    return [one for one in (*fixtures(), *recorded()) if asks(one, *suffixes)]


def provider(one: Recorded) -> str:
    """The type of provider that plays the other side."""
    if one.file.startswith(f"{FILES}/"):
        return one.file.split("/")[1]
    return _HOSTS.get(urlsplit(one.uri).hostname or "", "custom")


class Group(msgspec.Struct, Generic[T], frozen=True):
    """Exchanges that are planned in one way; `suffix` tells their cases from those of another group."""

    chosen: Sequence[Recorded]
    plan: Callable[[Recorded], T]
    suffix: str = ""


def params(claim: str, *groups: Group[T]) -> list[pytest.ParameterSet]:
    """A case for each exchange: what its plan makes of it, or why that is not run. `claim` is what they prove."""
    made = [_param(one, group.plan, f"{one}{group.suffix}") for group in groups for one in group.chosen]
    if recordings.folder() is None:
        made.append(skipped("recordings", f"{recordings.VARIABLE} is unset, so {claim} is proved by fixtures alone"))
    return made


def skipped(name: str, reason: str) -> pytest.ParameterSet:
    return pytest.param(None, id=name, marks=pytest.mark.skip(reason=reason))


def _param(one: Recorded, plan: Callable[[Recorded], T], name: str) -> pytest.ParameterSet:
    try:
        return pytest.param(plan(one), id=name)
    except NotRun as reason:
        return skipped(name, str(reason))
    except UNREADABLE as error:
        # Its own case fails with it (see conftest), and no other.
        return pytest.param(error, id=name)


def where(chosen: Sequence[Recorded], holds: Callable[[Recorded], bool]) -> list[Recorded]:
    """Those of which `holds` is true. One that nobody can read is among none; its own case tells."""
    found: list[Recorded] = []
    for one in chosen:
        with suppress(*UNREADABLE):
            if holds(one):
                found.append(one)
    return found
