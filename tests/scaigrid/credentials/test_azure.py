"""An application of Microsoft Entra ID gets a token by its secret, and calls carry the token."""

import pytest

from scaigrid.adapter import NO_OPTIONS, Options
from scaigrid.credentials.azure import Azure
from scaigrid.errors import Code, GatewayError
from scaigrid.secrets import Secret
from tests.harness.clock import StillClock
from tests.scaigrid.credentials.desk import REQUEST, Desk

GIVEN = {
    "tenant_id": Secret("3f0e-tenant"),
    "client_id": Secret("app"),
    "client_secret": Secret("s3cret&="),
}


class Sovereign(Options, frozen=True):
    authority: str = "https://login.microsoftonline.us/"
    scope: str = "https://cognitiveservices.azure.us/.default"


async def test_calls_carry_the_token_that_the_application_gets() -> None:
    desk = Desk()
    made = Azure(GIVEN, NO_OPTIONS, StillClock(), desk)
    signed = await made.signed(REQUEST)
    assert signed.headers == (*REQUEST.headers, ("authorization", "Bearer ya29.token"))
    assert await made.signed(REQUEST) == signed
    (asked,) = desk.asked
    assert asked.url == "https://login.microsoftonline.com/3f0e-tenant/oauth2/v2.0/token"
    assert desk.fields == {
        "grant_type": "client_credentials",
        "scope": "https://cognitiveservices.azure.com/.default",
        "client_id": "app",
        "client_secret": "s3cret&=",
    }


async def test_another_cloud_has_another_authority() -> None:
    desk = Desk()
    await Azure(GIVEN, Sovereign(), StillClock(), desk).signed(REQUEST)
    assert desk.asked[0].url == "https://login.microsoftonline.us/3f0e-tenant/oauth2/v2.0/token"
    assert desk.fields["scope"] == "https://cognitiveservices.azure.us/.default"


async def test_a_refusal_is_no_news_of_the_secret() -> None:
    desk = Desk(401, error="invalid_client", error_description="s3cret&= is wrong")
    with pytest.raises(GatewayError) as caught:
        await Azure(GIVEN, NO_OPTIONS, StillClock(), desk).signed(REQUEST)
    assert (caught.value.code, "s3cret" in caught.value.message) == (Code.BACKEND_ERROR, False)


def test_a_tenant_is_part_of_an_address_and_has_to_fit_into_it() -> None:
    assert list(Azure.faults(GIVEN)) == []
    (fault,) = Azure.faults({**GIVEN, "tenant_id": Secret("../evil")})
    assert fault[0] == "tenant_id"
    assert "evil" not in fault[1]
