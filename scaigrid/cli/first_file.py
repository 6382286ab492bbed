"""The text of a first configuration: one model at one provider, and the key of the first super admin."""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")


class First(msgspec.Struct, frozen=True, kw_only=True):
    """What the file is about. `digest` and `prefix` are of the first key; the key itself is nowhere in it."""

    provider: str
    base_url: str | None
    options: Mapping[str, Any] = {}
    key_variable: str | None
    """The environment variable that holds the provider's key; None where the provider wants none."""
    upstream_model: str
    model: str
    input_price: str | None
    output_price: str | None
    max_output_tokens: int
    digest: str
    prefix: str


def text_of(first: First, commands: list[str]) -> str:
    """YAML that `load` takes; `commands` are told at its top."""
    told = "".join(f"#   {command}\n" for command in commands)
    return f"""\
# ScaiGrid: one model at one provider, and the first key. `scaigrid manual` prints every key that a file may have.
#
{told}
server:
  # On this machine alone: to open it to a network is a decision to write down here.
  host: 127.0.0.1
  port: 8000
  # The database and the journals; relative to where the command is run.
  data_dir: ./data

users:
  admin:
    roles: [super_admin]
keys:
  admin:
    user: admin
    # Only the digest of the key is here. Further keys come over the API: scaigrid keys create NAME
    sha256: {first.digest}
    prefix: {first.prefix}

providers:
  {first.provider}:
    type: {first.provider}
{_connection(first)}
backends:
  {first.provider}:
    provider: {first.provider}
    model: {_quoted(first.upstream_model)}
    # What the provider charges you, per million tokens, so that the margin is known.
    # cost: {{ input: 2.50, output: 10 }}

models:
  # What code names. It stays when the provider behind it is another one.
  {_quoted(first.model)}:
    # The most that one answer may have: what callers ask for is cut down to it.
    max_output_tokens: {first.max_output_tokens}
{_prices(first)}    route:
      targets:
        - backend: {first.provider}

# A hard budget: nothing is sent to the provider once it could be overrun. It needs prices.
# budgets:
#   monthly:
#     scope: tenant
#     of: default
#     period: monthly
#     cost_limit: 500
"""


def _connection(first: First) -> str:
    lines = ""
    if first.base_url is not None:
        lines += f"    base_url: {_quoted(first.base_url)}\n"
    if first.key_variable is not None:
        lines += (
            f"    # From the environment, so that it is not in this file.\n    api_key: ${{{first.key_variable}}}\n"
        )
    if first.options:
        said = ", ".join(
            f"{name}: {_quoted(value) if isinstance(value, str) else json.dumps(value)}"
            for name, value in first.options.items()
        )
        lines += f"    options: {{ {said} }}\n"
    return lines


def _prices(first: First) -> str:
    if first.input_price is None and first.output_price is None:
        return (
            "    # What your users pay, per million tokens, instead of nothing:\n"
            "    # prices: { input: 3, output: 12 }\n"
            "    unpriced: free\n"
        )
    given = {"input": first.input_price, "output": first.output_price}
    inside = ", ".join(f"{name}: {price}" for name, price in given.items() if price is not None)
    return f"    # What your users pay, per million tokens.\n    prices: {{ {inside} }}\n"


def _quoted(text: str) -> str:
    """As a YAML scalar that is read as this text."""
    if _PLAIN.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=False).replace("${", "$${")
