"""What works."""

from scaigrid.api import examples
from scaigrid.api.capabilities import (
    PATH,
    CapabilitiesQuery,
    Capability,
    DialectCapabilities,
    Proof,
    ProviderCapabilities,
)
from scaigrid.api.envelope import ListEnvelope
from scaigrid.api.operation import Area, Operation

_ITEM = ProviderCapabilities(
    provider="anthropic",
    can=("chat", "stream", "tools"),
    speaks=("anthropic/messages",),
    options=(),
    credentials=(),
    dialects=(
        DialectCapabilities(
            dialect="openai",
            features=(
                Capability(
                    feature="tools",
                    status="proved",
                    proofs=(Proof(mode="translation", proof="recorded", passed=14, failed=0, not_run=1),),
                ),
            ),
        ),
    ),
)

AREA = Area(
    "Capabilities",
    "What each type of provider can do for each dialect, and how that is proved.",
    (
        Operation(
            path=PATH,
            name="listCapabilities",
            summary="What works, by provider type and dialect",
            description="Claims of the adapters, each with what the conformance suite of this release has counted. "
            "Whether a certain model has a feature is its provider's to say.",
            query=CapabilitiesQuery,
            answer=ListEnvelope[ProviderCapabilities],
            example=examples.listed(_ITEM),
        ),
    ),
)
