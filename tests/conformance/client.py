"""The port of the suite's other side: how a client of one dialect writes a call, and what it reads of the answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from scaigrid.errors import Code
from tests.conformance.told import Reply, Told
from tests.conformance.wire import Frame

BOUND: Final = 77_777
"""The output bound that a writer makes up where its dialect has to have one and the call has none."""


def nothing(said: dict[str, Any]) -> Sequence[str]:
    """Nothing that is stored has a name in it."""
    return ()


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """What a client knows of its own call when it reads the answer."""

    operation: str
    slug: str
    stream: bool
    wants_usage: bool = True


class Passing(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer of a surface looks that was passed through."""

    renamed: Callable[[dict[str, Any], str], dict[str, Any]]
    """A frame, or a plain answer, as the client has to get it: with the model's slug in place of its name."""
    same: Callable[[dict[str, Any]], dict[str, Any]]
    """A frame, or a plain answer, as the client has got it, without what is the gateway's to name."""
    ends: Callable[[Frame], bool]
    """Whether a frame says that the answer is complete."""
    failure: Callable[[Sequence[Frame]], tuple[int, frozenset[Code]] | None]
    """Where a stream tells its failure and what that may become; None where it ends well."""
    names: Callable[[dict[str, Any]], Sequence[str]] = nothing
    """The names of stored answers in a frame, or in a plain answer."""


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """One dialect."""

    name: str
    title: str
    """As a reader calls it."""
    surfaces: Mapping[str, str]
    """Surface -> its path; in braces, where the name of something stored belongs."""
    operations: Mapping[str, str]
    """Operation -> the path at which a call of another protocol is asked; those that the dialect has."""
    write: Callable[[str, dict[str, Any]], dict[str, Any]]
    """The body of a call, but for the model, of an operation and the native words for it. Raises NotRun."""
    read: Callable[[Reply, Asking], Told]
    """What a client reads out of an answer. Raises Broken."""
    tells: Callable[[Told, bool], Told]
    """What of an answer this dialect has words for, given whether it is streamed."""
    turn: Callable[[dict[str, Any], Reply, bool], dict[str, Any]]
    """The next turn of a conversation: the call, its answer, whether that is a stream; then results of tools, or more
    of the user."""
    passing: Mapping[str, Passing] = {}
    """Surface -> how its answers pass."""
