"""Names for what was given none: made of another text, and free in their scope."""

import re

from scaigrid.control.state import State

_LONGEST = 64
_OTHER = re.compile(r"[^a-z0-9._-]+")
_ENDS = "._-"


def name_of(text: str) -> str | None:
    """The text as a name (`config.terms.Name`): `Ada.L+x` becomes `ada.l-x`; None where nothing of it can be in one."""
    return _OTHER.sub("-", text.lower()).strip(_ENDS)[:_LONGEST].rstrip(_ENDS) or None


def free_name(state: State, kind: str, owner: str, stem: str) -> str:
    """The stem where nobody in the scope is called so, else with the first number behind it that is free."""
    name, number = stem, 1
    while state.named(kind, name, owner) is not None:
        number += 1
        ending = f"-{number}"
        name = stem[: _LONGEST - len(ending)] + ending
    return name
