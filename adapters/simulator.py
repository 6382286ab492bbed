"""The built-in provider for trials and tests: the OpenAI protocol, answered inside the process."""

from adapters.openai import OpenAI


class Simulator(OpenAI):
    """Nothing is sent anywhere: the address is one that never resolves (RFC 6761, section 6.4)."""

    name = "simulator"
    transport = "simulator"
    output_field = "max_tokens"
    address = "http://simulator.invalid/v1"
