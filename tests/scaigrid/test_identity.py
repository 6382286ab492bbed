import pytest

from scaigrid.errors import Code, GatewayError
from scaigrid.identity import NO_ISSUER, Claims, NoIssuer, TokenVerifier


async def test_without_an_issuer_every_token_is_refused() -> None:
    verifier: TokenVerifier = NoIssuer()
    for token in (b"", b"a.b.c", b"x" * 100_000):
        with pytest.raises(GatewayError) as caught:
            await verifier.verify(token)
        assert caught.value.code is Code.AUTH_TOKEN_INVALID
    await verifier.aclose()


async def test_one_stands_for_all() -> None:
    """It has no state, so closing it for one gateway takes nothing from another in the same process."""
    await NO_ISSUER.aclose()
    with pytest.raises(GatewayError, match="send an API key"):
        await NO_ISSUER.verify(b"a.b.c")


def test_claims_do_not_change_and_are_known_by_their_value() -> None:
    """Whoever keeps what was made of them finds it again."""
    one, same = (Claims(issuer="acme", subject="ann", roles=("tenant_user",), expires_at=1.0) for _ in range(2))
    assert {one: "kept"}[same] == "kept"
    with pytest.raises(AttributeError):
        one.subject = "root"  # type: ignore[misc]
