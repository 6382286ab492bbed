"""Sign-in by token costs nothing where it is not configured."""

import subprocess
import sys

from scaigrid.config.identity import Identity
from scaigrid.identity import NO_ISSUER
from scaigrid.oidc import token_verifier
from scaigrid.oidc.verifier import OidcVerifier
from tests.harness.checkout import ROOT
from tests.harness.clock import StillClock
from tests.harness.issuer import ScriptedIssuer
from tests.harness.provider import Provider

WITHOUT = """
import sys
from scaigrid.clock import SystemClock
from scaigrid.config.identity import Identity
from scaigrid.oidc import token_verifier
token_verifier(Identity(), SystemClock())
print([name for name in ("joserfc", "cryptography", "httpx", "httptools") if name in sys.modules])
"""


def test_without_an_issuer_nothing_is_imported_for_one() -> None:
    ran = subprocess.run([sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_without_an_issuer_every_token_is_refused() -> None:
    assert token_verifier(Identity(), StillClock()) is NO_ISSUER


async def test_an_issuer_is_asked_nothing_before_the_first_token() -> None:
    with Provider() as provider:
        issuer = ScriptedIssuer(provider)
        verifier = token_verifier(Identity(issuers={"acme": issuer.rules()}), StillClock())
        assert isinstance(verifier, OidcVerifier)
        await verifier.aclose()
        assert provider.connected == 0
