"""The library of functions that the Valkey store calls, and the name under which a server keeps it.

The name is made from the text. So two releases that count differently share a server without a word, one that has not
changed finds its functions where they are, and nobody ever replaces what somebody else is calling.
"""

import hashlib
from importlib.resources import files
from typing import Final

_PARTS: Final = ("windows", "funds", "steps")
"""In the order in which each uses what came before."""
_FOLDER: Final = files("scaigrid.stores") / "lua"
_TEXT: Final = "\n".join((_FOLDER / f"{part}.lua").read_text(encoding="utf-8") for part in _PARTS)

NAME: Final = f"scaigrid_{hashlib.sha256(_TEXT.encode()).hexdigest()[:12]}"
"""A function is called `<NAME>_<function>`."""
LIBRARY: Final = f"#!lua name={NAME}\n" + _TEXT.replace("@name@", NAME)
"""For FUNCTION LOAD."""
