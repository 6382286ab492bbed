"""Who calls."""

from scaigrid.api import examples
from scaigrid.api.me import Me
from scaigrid.api.operation import Area, Operation
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.errors import Code

AREA = Area(
    "Account",
    "Who calls.",
    (
        Operation(
            path="/v1/me",
            name="getMe",
            summary="Who the caller is",
            answer=Envelope[Me],
            example=examples.enveloped(examples.ME),
            codes=(Code.VALIDATION_ERROR,),
        ),
    ),
)
