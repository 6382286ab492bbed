"""Writes the reference of provider types: what each can do, and what an operator can tell it."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec
from msgspec.inspect import Field, StructType, type_info

from scaigrid.adapter import Adapter
from scaigrid.config.manual import field_docs, words
from scaigrid.credentials import SCHEMES
from scaigrid.credentials.scheme import Scheme

_HEAD = """\
# Types of providers

What a provider can be: its `type` in the file and over the API. Written from the code: see CONTRIBUTING.md.

A provider is found at its public address unless `base_url` gives another one, and called with its `api_key`. What else
it can be told stands under `options`, by the names below. Where calls have to be signed, or a token has to be got for
them, `credentials` stand in the place of the `api_key`. What is proved of each type, and over which dialect, is in
[conformance.md](../conformance.md).
"""


def written(adapters: Mapping[str, Adapter]) -> str:
    """The file."""
    return "\n".join([_HEAD, *_lines(adapters)]).rstrip() + "\n"


def _lines(adapters: Mapping[str, Adapter]) -> Iterator[str]:
    for type_ in sorted(adapters):
        adapter = adapters[type_]
        yield f"## `{type_}`"
        yield ""
        yield f"- Address: {_address(adapter)}"
        yield f"- Can: {', '.join(sorted(adapter.can))}"
        yield f"- Speaks itself: {_spoken(adapter)}"
        if adapter.needs_max_output:
            yield "- Refuses a chat without an output bound, so its models need `max_output_tokens`"
        if adapter.signed is not None:
            yield f"- Credentials instead of an `api_key`: {_credentials(SCHEMES[adapter.signed])}"
        yield ""
        yield from _options(adapter)


def _address(adapter: Adapter) -> str:
    if adapter.transport != "http":
        return "none: it answers inside the gateway"
    address = adapter.base_url(_left_out(adapter))
    return "`base_url`, or what its options say" if address is None else f"`{address}`"


def _spoken(adapter: Adapter) -> str:
    spoken = sorted(adapter.speaks(_left_out(adapter)))
    return ", ".join(f"`{surface}`" for surface in spoken) or "no dialect of callers: every call is translated"


def _left_out(adapter: Adapter) -> Any:
    """The options of who gives none."""
    return adapter.options()


def _credentials(scheme: type[Scheme]) -> str:
    sets: list[str] = []
    for taken in scheme.takes:
        required = " and ".join(f"`{name}`" for name in taken.required)
        optional = "".join(f", with or without `{name}`" for name in taken.optional)
        sets.append(required + optional)
    return "; or ".join(sets)


def _options(adapter: Adapter) -> Iterator[str]:
    fields = cast(StructType, type_info(adapter.options)).fields
    if not fields:
        return
    docs = field_docs(adapter.options)
    yield "| option | value | left out | |"
    yield "|---|---|---|---|"
    for field in fields:
        text = " ".join(docs.get(field.name, "").split()).replace("|", "\\|")
        value = words(field.type).replace("|", "\\|")
        yield f"| `{field.encode_name}` | {value} | {_default(field)} | {text} |"
    yield ""


def _default(field: Field) -> str:
    default = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
    return "-" if default is None else f"`{msgspec.json.encode(default).decode()}`"
