"""The same credentials have the same signer, so that a new snapshot asks for no new token."""

import gc
from typing import ClassVar

from adapters.openai import OpenAI
from scaigrid.adapter import NO_OPTIONS
from scaigrid.credentials.signers import NoSigners, Signers, SignerSource
from scaigrid.secrets import Secret
from tests.harness.clock import StillClock
from tests.scaigrid.credentials.desk import REQUEST, Desk

GIVEN = {"access_token": Secret("ya29.one")}


class Signed(OpenAI):
    """Of a provider whose calls are signed."""

    signed: ClassVar[str | None] = "google"


def test_a_signer_is_made_once_for_what_it_signs_with() -> None:
    signers = Signers(StillClock(), Desk())
    one = signers.of(Signed(), GIVEN, NO_OPTIONS)
    assert one is not None
    assert signers.of(Signed(), {"access_token": Secret("ya29.one")}, NO_OPTIONS) is one
    assert signers.of(Signed(), {"access_token": Secret("ya29.two")}, NO_OPTIONS) is not one


async def test_a_signer_lives_as_long_as_somebody_has_it() -> None:
    signers = Signers(StillClock(), Desk())
    one = signers.of(Signed(), GIVEN, NO_OPTIONS)
    assert one is not None
    assert ("authorization", "Bearer ya29.one") in (await one.signed(REQUEST)).headers
    del one
    gc.collect()
    assert not signers.kept


def test_where_nothing_is_to_be_signed_there_is_no_signer() -> None:
    signers = Signers(StillClock(), Desk())
    assert signers.of(OpenAI(), GIVEN, NO_OPTIONS) is None
    assert signers.of(Signed(), {}, NO_OPTIONS) is None
    nobody: SignerSource = NoSigners()
    assert nobody.of(Signed(), GIVEN, NO_OPTIONS) is None
