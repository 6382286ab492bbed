"""The built-in provider for trials and tests: the OpenAI protocol, answered inside the process."""

from typing import ClassVar

import msgspec

from adapters import endpoints
from adapters.openai import OpenAI
from scaigrid.adapter import Options

_ROW = msgspec.structs.replace(
    endpoints.CUSTOM,
    name="simulator",
    # Nothing is sent anywhere: an address that never resolves (RFC 6761, section 6.4).
    address="http://simulator.invalid/v1",
    can=endpoints.CUSTOM.can - {"citations"},
    speaks=frozenset({endpoints.CHAT, endpoints.EMBEDDINGS}),
    unsaid=frozenset({"top_k"}),
)


class Simulator(OpenAI):
    name = "simulator"
    transport = "simulator"
    can = _ROW.can
    options: ClassVar[type[Options]] = Options
    endpoint = _ROW
