"""Calls to Bedrock are signed for its region, at the time of the call."""

import pytest

from scaigrid.adapter import Options
from scaigrid.credentials.aws import Aws
from scaigrid.credentials.sigv4 import Keys, Scope, signed
from scaigrid.secrets import Secret
from tests.harness.clock import StillClock
from tests.scaigrid.credentials.desk import REQUEST, Desk

GIVEN = {"access_key_id": Secret("AKID"), "secret_access_key": Secret("secret")}


class Regional(Options, frozen=True):
    region: str = "eu-central-1"


@pytest.mark.parametrize("token", [None, Secret("session")])
async def test_each_call_is_signed_by_itself(token: Secret | None) -> None:
    clock, desk = StillClock(), Desk()
    given = GIVEN if token is None else {**GIVEN, "session_token": token}
    made = Aws(given, Regional(), clock, desk)
    keys, scope = Keys("AKID", Secret("secret"), token), Scope("eu-central-1", "bedrock")
    first = await made.signed(REQUEST)
    assert first == signed(REQUEST, keys, scope, clock.now())
    clock.advance(600)
    assert await made.signed(REQUEST) == signed(REQUEST, keys, scope, clock.now()) != first
    assert desk.asked == []


def test_a_key_is_one_word() -> None:
    assert list(Aws.faults(GIVEN)) == []
    (fault,) = Aws.faults({**GIVEN, "secret_access_key": Secret("two words")})
    assert fault[0] == "secret_access_key"
    assert "two words" not in fault[1]
