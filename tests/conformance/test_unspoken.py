"""What the recordings hold of protocols that no adapter speaks: each exchange by its name, with the reason."""

from urllib.parse import urlsplit

import pytest

from tests.conformance import cases, plans
from tests.conformance.protocols import PROTOCOLS
from tests.harness import recordings
from tests.harness.recordings import Recorded


def unspoken() -> list[pytest.ParameterSet]:
    found = [
        plans.skipped(str(one), reason(one))
        for one in cases.recorded()
        if not any(protocol.operation(one) for protocol in PROTOCOLS)
    ]
    left_out = sorted(recordings.TALLY.left_out)
    return [*found, *(plans.skipped(name, "gRPC, no HTTP exchange") for name in left_out)]


def reason(one: Recorded) -> str:
    """Why it is not replayed, the same for all of its kind."""
    address = urlsplit(one.uri)
    for kind, part in _KINDS.items():
        if part in f"{address.hostname}{address.path}":
            return f"no adapter speaks it: {kind}"
    path = f"/{address.path.split('/')[1]}/..." if one.request_json is None else address.path
    return f"no call to a model: {one.method.upper()} {address.hostname}{path}"


_KINDS = {
    "OpenAI's conversations": "/v1/conversations",
    "OpenAI's compaction of conversations": "/v1/responses/compact",
    "Cohere": "api.cohere.com",
    "Bedrock's InvokeModel": "/invoke",
    "Bedrock": "bedrock-runtime.",
    "Gemini's file stores": "fileSearchStores",
    "Gemini": "generativelanguage.googleapis.com",
    "Vertex AI": "aiplatform.googleapis.com",
}
"""A protocol -> what its addresses have in them."""


@pytest.mark.parametrize("exchange", unspoken() or [plans.skipped("recordings", f"{recordings.VARIABLE} is unset")])
def test_it_is_replayed(exchange: Recorded) -> None:
    raise AssertionError(f"{exchange} has no plan, and no reason not to have one")
