"""A service account signs for itself, gets a token for it, and calls carry the token."""

import json
from functools import cache
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from scaigrid.adapter import NO_OPTIONS
from scaigrid.credentials.google import Google
from scaigrid.errors import Code, GatewayError
from scaigrid.secrets import Secret
from tests.harness.clock import StillClock
from tests.scaigrid.credentials.desk import REQUEST, Desk


@cache
def private() -> RSAKey:
    return RSAKey.generate_key(2048)


def account(**changes: Any) -> Secret:
    made = {
        "type": "service_account",
        "project_id": "acme",
        "private_key_id": "key-1",
        "private_key": private().as_pem(private=True).decode(),
        "client_email": "gateway@acme.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
        **changes,
    }
    return Secret(json.dumps({name: value for name, value in made.items() if value is not None}))


def signer(desk: Desk, clock: StillClock | None = None, **changes: Any) -> Google:
    return Google({"service_account": account(**changes)}, NO_OPTIONS, clock or StillClock(), desk)


async def test_calls_carry_the_token_that_the_account_gets() -> None:
    desk, clock = Desk(), StillClock()
    made = await signer(desk, clock).signed(REQUEST)
    assert made.headers == (*REQUEST.headers, ("authorization", "Bearer ya29.token"))
    assert (made.method, made.url, made.body) == (REQUEST.method, REQUEST.url, REQUEST.body)
    (asked,) = desk.asked
    assert (asked.method, asked.url) == ("POST", "https://oauth2.googleapis.com/token")
    assert desk.fields["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    said = jwt.decode(desk.fields["assertion"], private(), algorithms=["RS256"])
    assert said.header == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
    assert said.claims == {
        "iss": "gateway@acme.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": int(clock.now()),
        "exp": int(clock.now()) + 3600,
    }


async def test_the_token_is_kept() -> None:
    desk = Desk()
    made = signer(desk)
    assert await made.signed(REQUEST) == await made.signed(REQUEST)
    assert len(desk.asked) == 1


async def test_a_token_that_was_given_is_used_as_it_is() -> None:
    desk = Desk()
    made = Google({"access_token": Secret("ya29.given")}, NO_OPTIONS, StillClock(), desk)
    assert ("authorization", "Bearer ya29.given") in (await made.signed(REQUEST)).headers
    assert desk.asked == []


@pytest.mark.parametrize(
    "made",
    [
        signer(Desk(401, error="invalid_grant", error_description="Invalid JWT Signature.")),
        signer(Desk(), private_key="-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        signer(Desk(200, wrong="x")),
    ],
    ids=["refused", "no key", "no token"],
)
async def test_without_a_token_there_is_no_call_and_no_secret_is_told(made: Google) -> None:
    with pytest.raises(GatewayError) as caught:
        await made.signed(REQUEST)
    assert caught.value.code is Code.BACKEND_ERROR
    assert caught.value.message == "The gateway got no credential for the provider."


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"service_account": account()}, None),
        ({"service_account": account(token_uri=None)}, None),
        ({"service_account": Secret("not JSON")}, "must be the JSON of a service account's key file"),
        ({"service_account": Secret("[" * 100_000)}, "must be the JSON of a service account's key file"),
        ({"service_account": account(client_email=None)}, "must be the JSON of a service account's key file"),
        ({"service_account": account(private_key="secret")}, "has no private key in PEM form"),
        ({"service_account": account(token_uri="http://10.0.0.1/token")}, "has a token_uri that cannot be trusted"),
        ({"access_token": Secret("ya29.x")}, None),
        ({"access_token": Secret("two words")}, "must be one word"),
    ],
    ids=range(9),
)
def test_what_is_wrong_with_an_account_is_known_before_it_is_used(given: dict[str, Secret], fault: str | None) -> None:
    found = [reason for _, reason in Google.faults(given)]
    assert len(found) == (fault is not None)
    assert all(fault and reason.startswith(fault) for reason in found)
    assert not [reason for reason in found if "secret" in reason]
