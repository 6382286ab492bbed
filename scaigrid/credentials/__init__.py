"""How calls are signed where a key in a header is not enough: one scheme a line, by the name that adapters ask for.

A scheme takes named credentials, which a provider has under `credentials`, and says what is wrong with them before
anybody signs by them. Its tokens and signatures are its own: no adapter sees a credential of it.
"""

from collections.abc import Mapping
from typing import Final

from scaigrid.credentials.aws import Aws
from scaigrid.credentials.azure import Azure
from scaigrid.credentials.google import Google
from scaigrid.credentials.scheme import Scheme

SCHEMES: Final[Mapping[str, type[Scheme]]] = {
    "aws": Aws,  # Signature Version 4
    "google": Google,  # a service account's access token
    "azure": Azure,  # an access token of Microsoft Entra ID
}
