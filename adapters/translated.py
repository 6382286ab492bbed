"""What an adapter says that speaks no surface of any client: every call of its providers is translated."""

from typing import Any

from scaigrid.adapter import NO_OPTIONS, Pipe, Relaying, Target
from scaigrid.call import Call


class Translated:
    """The half of an adapter that is about passing calls through, for one that passes none."""

    def speaks(self, options: Any = NO_OPTIONS) -> frozenset[str]:
        return frozenset()

    def relay(self, call: Call, target: Target, relaying: Relaying) -> Pipe:
        """Unreachable: only calls of a surface that is spoken are passed through."""
        raise NotImplementedError(f"no call of dialect {call.dialect!r} is passed through to {target.type}")
