"""`${NAME}` in a text becomes the value of an environment variable.

`${NAME:-default}` takes the default where the variable is unset or empty, as a shell does; `$${` writes `${`. What a
variable holds is text and nothing more: it is neither searched for `${` nor read as YAML structure.
"""

import re
from collections.abc import Mapping

_DOLLAR = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\})?")


class SubstitutionError(ValueError):
    """Says what is wrong with a substitution; names the variable, quotes neither the text nor any value."""


def interpolate(text: str, env: Mapping[str, str]) -> str:
    """Return the text with its variables filled in; raises SubstitutionError for an unset one or a malformed `${`."""

    def fill(found: re.Match[str]) -> str:
        if found.group().startswith("$$"):
            return "${"
        name, default = found["name"], found["default"]
        if name is None:
            raise SubstitutionError("malformed `${`: write `${NAME}` or `${NAME:-default}`, and `$${` for a plain `${`")
        if default is not None:
            return env.get(name) or default.removeprefix(":-")
        if name not in env:
            raise SubstitutionError(f"the environment variable {name} is not set")
        return env[name]

    return _DOLLAR.sub(fill, text)
