"""A YAML file and a schema: the configuration, or every error of the file as `file:line: key: reason`."""

import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path as File
from typing import TypeVar, cast

import msgspec
from msgspec.inspect import type_info

from scaigrid.config.decode import Decoder, Invalid, line_of, refuse_unsupported
from scaigrid.config.nodes import Node, Path, Problem, read_nodes

__all__ = ["ConfigError", "ConfigErrors", "Invalid", "load"]

MAX_FILE = 64 * 1024 * 1024
"""Bytes of a configuration file, some million lines; what is larger was given by mistake (a disk, a log)."""

T = TypeVar("T")

_BARE_KEY = re.compile(r"[\w/:@-]+")


class ConfigError(msgspec.Struct, frozen=True, order=True):
    """One error. `line` counts from 1; `key` is dotted (`models[2].slug`) and empty where the file as a whole is meant.

    A key that has more than letters, digits and `_ - / : @` in it is written as `models["openai/gpt-4.1"]`.
    """

    file: str
    line: int
    key: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (f"{self.file}:{self.line}", self.key, self.reason)))


class ConfigErrors(Exception):
    """All errors of one file, in the order of its lines; its text is one a line."""

    def __init__(self, errors: tuple[ConfigError, ...]) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))


def load(path: File, schema: type[T], *, env: Mapping[str, str]) -> T:
    """Read a configuration file (YAML, UTF-8, one document) into `schema`, most often a Struct.

    - `${NAME}` and `${NAME:-default}` in a value are filled in from `env`; `$${` stands for `${`.
    - A field of type Secret may say `file:path`: the text of that file, without its last newline; the path is relative
      to the directory of the configuration. No error quotes the value of such a field.
    - A Struct may refuse itself in `__post_init__` by ValueError, or by Invalid for certain keys.
    - Where the schema has a method `check(self)` it is asked for what no single Struct can see: it yields pairs of a
      path in the keys of the file and a reason. It runs only when everything else is right.
    - `Annotated[Decimal, msgspec.Meta(extra={"ge": 0})]` bounds a Decimal, for which msgspec itself has no bounds
      (`gt`, `ge`, `lt`, `le`, `multiple_of`), and in `places` how many it may have after the point. Any other class in
      a schema reads itself by a class method `from_text(text)`, which raises ValueError with the reason.

    Raises ConfigErrors for whatever is wrong with the file, and TypeError for a schema that has a type in it that a
    configuration file has no words for.
    """
    wanted = type_info(schema)
    refuse_unsupported(wanted)
    text = _text(path)
    root, problems = read_nodes(text)
    if root is None:
        raise _errors(path, problems)
    decoder = Decoder(env=env, directory=path.parent)
    value = decoder.read(root, wanted, ())
    problems += decoder.problems
    if not problems:
        problems = _checked(value, root)
    if problems:
        raise _errors(path, problems)
    return cast("T", value)


def _text(path: File) -> str:
    try:
        with path.open("rb") as opened:
            content = opened.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _errors(path, [Problem(1, (), f"cannot be read: {reason}")]) from None
    if len(content) > MAX_FILE:
        raise _errors(path, [Problem(1, (), f"larger than {MAX_FILE} bytes")])
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _errors(path, [Problem(line, (), f"not UTF-8 text: byte 0x{content[error.start]:02x}")]) from None


def _checked(value: object, root: Node) -> list[Problem]:
    check = getattr(type(value), "check", None)
    if not inspect.isfunction(check):
        return []
    return [Problem(line_of(root, path), path, reason) for path, reason in check(value)]


def _errors(file: File, problems: list[Problem]) -> ConfigErrors:
    errors = {ConfigError(str(file), p.line, _dotted(p.path), " ".join(p.reason.splitlines())) for p in problems}
    return ConfigErrors(tuple(sorted(errors)))


def _dotted(path: Path) -> str:
    key = ""
    for step in path:
        if isinstance(step, int):
            key += f"[{step}]"
        elif _BARE_KEY.fullmatch(step):
            key += f".{step}" if key else step
        else:
            key += f"[{json.dumps(step)}]"
    return key
