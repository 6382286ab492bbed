"""Which plays go over the real gateway too: of each provider, dialect, mode and form one of each kind."""

from functools import cache

from tests.conformance import cases, plans
from tests.conformance.cases import UNREADABLE
from tests.conformance.plans import Planned, Play

_Key = tuple[str, str, str, str, bool, bool]


def _key(play: Play) -> _Key:
    try:
        failed = bool(play.said.failed)
    except UNREADABLE:
        failed = False
    return (play.provider, play.protocol.name, play.client.name, play.mode, play.stream, failed)


@cache
def names() -> frozenset[str]:
    """The first of each kind: the fixtures come first."""
    found: dict[_Key, str] = {}
    for planned in plans.everything():
        if planned.play is not None and not cases.is_of_everybody(planned.recorded):
            found.setdefault(_key(planned.play), planned.name)
    return frozenset(found.values())


def is_one(planned: Planned) -> bool:
    return planned.name in names()
