"""Tokens of a real issuer on a port: good ones get in, forged ones never do, and a key's end is its tokens' end."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaigrid.config.identity import Identity
from scaigrid.errors import Code, GatewayError
from scaigrid.identity import Claims
from scaigrid.oidc import verifier as module
from scaigrid.oidc.keys import Key
from scaigrid.oidc.keys import signed as really
from scaigrid.oidc.token import LONGEST
from scaigrid.oidc.verifier import OidcVerifier
from tests.harness.behaviours import answer, gated, reset
from tests.harness.clock import StillClock
from tests.harness.issuer import (
    NOW,
    OF_KIND,
    Kind,
    ScriptedIssuer,
    Signer,
    key_set,
    segment,
    signed,
    signer,
)
from tests.harness.provider import Gate, Provider

_NUMBERS = count()

# Made here, where no loop waits for them.
RSA = signer("rsa", "RSA")


class Scene:
    """A verifier with one issuer, `acme`, whose keys are `one` (P-256) and `rsa`."""

    def __init__(self, provider: Provider, *, remembered: int = 100, **rules: Any) -> None:
        self.clock = StillClock()
        self.issuer = ScriptedIssuer(provider, f"issuer-{next(_NUMBERS)}")
        self.issuer.publish(signer(), RSA)
        identity = Identity(issuers={"acme": self.issuer.rules(**rules)})
        self.verifier = OidcVerifier(identity, self.clock, remembered=remembered)

    async def says(self, token: bytes) -> Claims:
        return await self.verifier.verify(token)

    async def code(self, token: bytes) -> Code | None:
        """Of the refusal, None where there is none."""
        try:
            await self.says(token)
        except GatewayError as error:
            return error.code
        return None


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture
async def scene(provider: Provider) -> AsyncIterator[Scene]:
    made = Scene(provider)
    yield made
    await made.verifier.aclose()


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every token whose signature was looked at."""
    seen: list[bytes] = []

    def counted(token: bytes, key: Key, algorithm: str) -> bool:
        seen.append(token)
        return really(token, key, algorithm)

    monkeypatch.setattr(module, "signed", counted)
    return seen


INVALID, EXPIRED, AWAY = Code.AUTH_TOKEN_INVALID, Code.SESSION_EXPIRED, Code.AUTH_BACKEND_UNAVAILABLE

# -- good ones -------------------------------------------------------------------------------------------------------


async def test_a_token_says_who_its_user_is(scene: Scene) -> None:
    token = scene.issuer.token(email="ann@acme.test", email_verified=True, name="Ann")
    assert await scene.says(token) == Claims(
        issuer="acme", subject="ann-1", email="ann@acme.test", name="Ann", expires_at=NOW + 600.0
    )


@pytest.mark.parametrize(
    ("kind", "algorithm"), [(kind, algorithm) for kind, algorithms in OF_KIND.items() for algorithm in algorithms]
)
async def test_every_kind_of_signature_that_only_a_private_key_makes_is_good(
    scene: Scene, kind: Kind, algorithm: str
) -> None:
    scene.issuer.publish(signer(kind=kind))
    assert (await scene.says(scene.issuer.token(signer(kind=kind), algorithm))).subject == "ann-1"


async def test_a_kind_that_the_configuration_leaves_out_is_not(provider: Provider) -> None:
    scene = Scene(provider, algorithms=["RS256"])
    assert await scene.code(scene.issuer.token(RSA, "RS256")) is None
    for token in (scene.issuer.token(RSA, "RS384"), scene.issuer.token(RSA, "PS256"), scene.issuer.token()):
        assert await scene.code(token) is INVALID
    await scene.verifier.aclose()


async def test_each_issuer_speaks_for_itself(provider: Provider) -> None:
    north, south = (ScriptedIssuer(provider, f"issuer-{next(_NUMBERS)}") for _ in range(2))
    north.publish(signer("n"))
    south.publish(signer("s"))
    rules = {"north": north.rules(), "south": south.rules(audience=["other"])}
    verifier = OidcVerifier(Identity(issuers=rules), StillClock())
    assert (await verifier.verify(north.token(signer("n")))).issuer == "north"
    assert (await verifier.verify(south.token(signer("s"), aud="other"))).issuer == "south"
    crossed = [north.token(signer("s")), south.token(signer("n"), aud="other"), south.token(signer("s"))]
    for token in crossed:
        with pytest.raises(GatewayError) as caught:
            await verifier.verify(token)
        assert caught.value.code is INVALID
    await verifier.aclose()


async def test_a_token_of_an_issuer_that_nobody_configured_asks_nobody(scene: Scene) -> None:
    assert await scene.code(scene.issuer.token(iss="https://issuer.test")) is INVALID
    assert scene.issuer.asked == 0


# -- forged ones -----------------------------------------------------------------------------------------------------


def tampered(issuer: ScriptedIssuer) -> bytes:
    head, _, signature = issuer.token().split(b".")
    return b".".join([head, segment(issuer.claims(sub="root")), signature])


def unsigned(issuer: ScriptedIssuer, alg: str = "none") -> bytes:
    return segment({"alg": alg, "kid": "one"}) + b"." + segment(issuer.claims()) + b".AA"


def shared_secret(issuer: ScriptedIssuer, secret: bytes, alg: str = "HS256") -> bytes:
    """HMAC with what everybody knows (RFC 8725, section 2.1)."""
    message = segment({"alg": alg, "kid": "rsa"}) + b"." + segment(issuer.claims())
    return message + b"." + segment(hmac.digest(secret, message, f"sha{alg[2:]}"))


def own_key(issuer: ScriptedIssuer, **header: Any) -> bytes:
    """Signed with a key of the forger's, which the header points at."""
    mine = signer("mine")
    return signed({"alg": "ES256", **header}, issuer.claims(), mine, "ES256")


def other_curve(issuer: ScriptedIssuer) -> bytes:
    return signed({"alg": "ES384", "kid": "one"}, issuer.claims(), signer("one", "P-384"), "ES384")


FORGED: dict[str, Callable[[ScriptedIssuer], bytes]] = {
    "changed payload": tampered,
    "cut signature": lambda issuer: issuer.token()[:-4],
    "longer signature": lambda issuer: issuer.token() + b"AAAA",
    "signature of zeros": lambda issuer: b".".join([*issuer.token().split(b".")[:2], segment(bytes(64))]),
    "DER instead of raw": lambda issuer: b".".join(
        [*issuer.token().split(b".")[:2], segment(b"0\x06\x02\x01\x01\x02\x01\x01")]
    ),
    "none": unsigned,
    "None": lambda issuer: unsigned(issuer, "None"),
    "nOnE": lambda issuer: unsigned(issuer, "nOnE"),
    "none with an empty signature": lambda issuer: unsigned(issuer).removesuffix(b"AA"),
    "HS256 with the public key as PEM": lambda issuer: shared_secret(issuer, RSA.material.as_pem()),
    "HS256 with the public key as DER": lambda issuer: shared_secret(issuer, RSA.material.as_der()),
    "HS512 with the modulus": lambda issuer: shared_secret(issuer, str(RSA.jwk()["n"]).encode(), "HS512"),
    "HS256 with the key set": lambda issuer: shared_secret(issuer, key_set(signer(), RSA)),
    "a key in the header": lambda issuer: own_key(issuer, kid="one", jwk=signer("mine").jwk()),
    "an address of a key": lambda issuer: own_key(issuer, kid="one", jku="https://issuer.test/keys"),
    "an address of a certificate": lambda issuer: own_key(issuer, kid="one", x5u="https://issuer.test/x"),
    "a certificate": lambda issuer: own_key(issuer, kid="one", x5c=["MIIB"]),
    "kid that walks": lambda issuer: own_key(issuer, kid="../../../../dev/null"),
    "kid that asks a database": lambda issuer: own_key(issuer, kid="x' UNION SELECT 'one"),
    "kid that is empty": lambda issuer: own_key(issuer, kid=""),
    "kid of NULs": lambda issuer: own_key(issuer, kid="one\x00"),
    "no kid": own_key,
    "the other key of the set": lambda issuer: signed({"alg": "RS256", "kid": "one"}, issuer.claims(), RSA, "RS256"),
    "another curve": other_curve,
    "crit": lambda issuer: signed(
        {"alg": "ES256", "kid": "one", "crit": ["exp"], "exp": 1}, issuer.claims(), signer(), "ES256"
    ),
    "crit with b64": lambda issuer: signed(
        {"alg": "ES256", "kid": "one", "crit": ["b64"], "b64": False}, issuer.claims(), signer(), "ES256"
    ),
    "wrong typ": lambda issuer: signed(
        {"alg": "ES256", "kid": "one", "typ": "dpop+jwt"}, issuer.claims(), signer(), "ES256"
    ),
    "a token in a token": lambda issuer: signed(
        {"alg": "ES256", "kid": "one", "cty": "JWT"}, issuer.token(), signer(), "ES256"
    ),
    "encrypted": lambda issuer: issuer.token() + b".AAAA.AAAA",
    "claims twice": lambda issuer: signed(
        {"alg": "ES256", "kid": "one"},
        json.dumps(issuer.claims())[:-1].encode() + b',"sub":"root"}',
        signer(),
        "ES256",
    ),
    "no exp": lambda issuer: issuer.token(exp=None),
    "exp as text": lambda issuer: issuer.token(exp=str(NOW + 600)),
    "exp as bool": lambda issuer: issuer.token(exp=True),
    "exp without an end": lambda issuer: issuer.token(exp=float("inf")),
    "exp that is none": lambda issuer: issuer.token(exp=float("nan")),
    "exp out of range": lambda issuer: signed(
        {"alg": "ES256", "kid": "one"},
        json.dumps(issuer.claims(exp=0)).replace('"exp": 0', '"exp": 1e400').encode(),
        signer(),
        "ES256",
    ),
    "of the future": lambda issuer: issuer.token(nbf=NOW + 3600),
    "issued in the future": lambda issuer: issuer.token(iat=NOW + 3600),
    "for another": lambda issuer: issuer.token(aud="other"),
    "for nobody": lambda issuer: issuer.token(aud=None),
    "of nobody": lambda issuer: issuer.token(iss=None),
    "about nobody": lambda issuer: issuer.token(sub=None),
    "issuer with a slash": lambda issuer: issuer.token(iss=issuer.url + "/"),
    "huge": lambda issuer: issuer.token(filler="x" * LONGEST),
    "a mebibyte": lambda _: b"a" * (1 << 19) + b"." + b"b" * (1 << 19) + b".c",
    "deep": lambda issuer: signed(
        {"alg": "ES256", "kid": "one"}, b'{"a":' + b"[" * 2500 + b"]" * 2500 + b"}", signer(), "ES256"
    ),
    "nothing": lambda _: b"..",
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_or_malformed_token_is_invalid(scene: Scene, name: str) -> None:
    token = FORGED[name](scene.issuer)
    for _ in range(2):
        assert await scene.code(token) is INVALID, name
    assert await scene.code(scene.issuer.token()) is None, "and the good one is good"
    assert await scene.code(token) is INVALID


async def test_what_an_expired_token_says_is_believed_only_where_it_was_signed(scene: Scene) -> None:
    good = scene.issuer.token(exp=NOW - 31)
    assert await scene.code(good) is EXPIRED
    head, payload, _ = good.split(b".")
    assert await scene.code(b".".join([head, payload, segment(bytes(64))])) is INVALID


async def test_a_refusal_quotes_nothing_of_the_token(scene: Scene) -> None:
    canary = "canary-8c1f"
    for token in (
        scene.issuer.token(iss=canary),
        scene.issuer.token(aud=canary),
        scene.issuer.token(exp=canary),
        own_key(scene.issuer, kid=canary),
        unsigned(scene.issuer, canary),
    ):
        with pytest.raises(GatewayError) as caught:
            await scene.says(token)
        assert canary not in str(caught.value)
        assert caught.value.__cause__ is None


# -- the same one again ----------------------------------------------------------------------------------------------


async def test_a_token_that_comes_again_is_known(scene: Scene, verified: list[bytes]) -> None:
    token = scene.issuer.token()
    first = await scene.says(token)
    assert await scene.says(token) is first
    assert verified == [token]


async def test_a_token_with_another_signature_is_another_one(scene: Scene) -> None:
    """ECDSA gives a different one each time; both are good, and each is judged by itself."""
    first, second = scene.issuer.token(), scene.issuer.token()
    assert first != second
    assert [await scene.code(token) for token in (first, second)] == [None, None]


async def test_a_known_token_expires_too(scene: Scene, verified: list[bytes]) -> None:
    token = scene.issuer.token(exp=NOW + 60)
    assert await scene.code(token) is None
    scene.clock.wall = NOW + 89.9
    assert await scene.code(token) is None
    scene.clock.wall = NOW + 90
    assert await scene.code(token) is EXPIRED
    assert verified == [token]


async def test_a_refused_token_is_not_remembered(scene: Scene) -> None:
    early = scene.issuer.token(nbf=NOW + 60)
    assert await scene.code(early) is INVALID
    scene.clock.wall = NOW + 30
    assert await scene.code(early) is None


async def test_no_more_tokens_are_remembered_than_agreed(provider: Provider, verified: list[bytes]) -> None:
    scene = Scene(provider, remembered=2)
    a, b, c = (scene.issuer.token(jti=name) for name in "abc")
    for token in (a, b, a, c, a, b):
        assert await scene.code(token) is None
    assert verified == [a, b, c, b], "b had not been sent for the longest time when c came"
    await scene.verifier.aclose()


# -- keys come and go ------------------------------------------------------------------------------------------------


async def test_after_a_rotation_the_first_token_of_the_new_key_is_good(scene: Scene) -> None:
    assert await scene.code(scene.issuer.token()) is None
    scene.issuer.publish(signer(), signer("two"))
    scene.clock.advance(10)
    assert await scene.code(scene.issuer.token(signer("two"))) is None
    assert await scene.code(scene.issuer.token()) is None
    assert scene.issuer.asked == 2


async def test_a_withdrawn_key_takes_the_tokens_that_were_known_along(scene: Scene) -> None:
    token = scene.issuer.token(exp=NOW + 86_400)
    assert await scene.code(token) is None
    scene.issuer.publish(signer("two"))
    scene.clock.advance(149)
    assert await scene.code(token) is None, "until the keys are asked for again"
    scene.clock.advance(151)
    assert await scene.code(token) is INVALID, "300 s after the last answer at the latest"
    assert await scene.code(scene.issuer.token(signer("two"))) is None


async def test_a_key_that_took_the_name_of_another_opens_nothing_for_its_tokens(scene: Scene) -> None:
    token = scene.issuer.token(exp=NOW + 86_400)
    assert await scene.code(token) is None
    scene.issuer.publish(signer("two").jwk(kid="one"))
    scene.clock.advance(300)
    assert await scene.code(token) is INVALID


async def test_a_known_token_outlives_a_key_that_only_got_another_name(scene: Scene, verified: list[bytes]) -> None:
    token = scene.issuer.token(exp=NOW + 86_400)
    assert await scene.code(token) is None
    scene.issuer.publish(signer().jwk(kid="renamed"))
    scene.clock.advance(300)
    assert await scene.code(token) is None
    assert verified == [token]


async def test_a_flood_of_made_up_keys_does_not_flood_the_issuer(scene: Scene) -> None:
    forged = [own_key(scene.issuer, kid=f"made-up-{number}") for number in range(50)]
    assert await asyncio.gather(*(scene.code(token) for token in forged)) == [INVALID] * 50
    assert scene.issuer.asked == 1
    scene.clock.advance(10)
    assert await asyncio.gather(*(scene.code(token) for token in forged)) == [INVALID] * 50
    assert scene.issuer.asked == 2


async def test_made_up_keys_hold_up_nobody_whose_key_is_known(scene: Scene) -> None:
    assert await scene.code(scene.issuer.token()) is None
    scene.clock.advance(10)
    gate = Gate()
    scene.issuer.keys.then(gated(gate, answer(key_set(signer()))))
    forged = asyncio.create_task(scene.code(own_key(scene.issuer, kid="made-up")))
    await scene.issuer.keys.comes()
    await scene.issuer.keys.comes()
    assert await scene.code(scene.issuer.token()) is None
    assert not forged.done()
    gate.open()
    assert await forged is INVALID


async def test_an_issuer_whose_keys_have_no_names_may_change_its_key(scene: Scene) -> None:
    def nameless(by: Signer) -> bytes:
        return signed({"alg": "ES256"}, scene.issuer.claims(), by, "ES256")

    scene.issuer.publish(signer().jwk(kid=None))
    assert await scene.code(nameless(signer())) is None
    scene.issuer.publish(signer("two").jwk(kid=None))
    assert await scene.code(nameless(signer("two"))) is INVALID, "asked a moment ago"
    scene.clock.advance(10)
    assert await scene.code(nameless(signer("two"))) is None
    assert await scene.code(nameless(signer())) is INVALID


# -- the issuer goes away --------------------------------------------------------------------------------------------


async def test_an_issuer_that_was_never_there_cannot_vouch_for_anybody(scene: Scene) -> None:
    scene.issuer.away()
    with pytest.raises(GatewayError) as caught:
        await scene.says(scene.issuer.token())
    assert (caught.value.code, caught.value.status, caught.value.retry_after) == (AWAY, 503, 10)
    scene.issuer.back()
    assert await scene.code(scene.issuer.token()) is AWAY
    scene.clock.advance(10)
    assert await scene.code(scene.issuer.token()) is None


@pytest.mark.parametrize(
    "behaviour", [reset, answer(b"<html>"), answer(b"{}", status=500)], ids=["reset", "html", "500"]
)
async def test_its_keys_serve_while_it_is_away_and_not_for_ever(scene: Scene, behaviour: Any) -> None:
    known, new = scene.issuer.token(exp=NOW + 86_400), scene.issuer.token(exp=NOW + 86_400)
    assert await scene.code(known) is None
    scene.issuer.away(behaviour)
    scene.clock.advance(14_399)
    assert [await scene.code(token) for token in (known, new)] == [None, None]
    scene.clock.advance(1)
    assert [await scene.code(token) for token in (known, new)] == [AWAY, AWAY]


async def test_while_it_is_away_a_key_that_nobody_knows_may_be_a_new_one(scene: Scene) -> None:
    assert await scene.code(scene.issuer.token()) is None
    scene.issuer.away()
    scene.clock.advance(10)
    assert await scene.code(scene.issuer.token(signer("two"))) is AWAY
    assert await scene.code(FORGED["changed payload"](scene.issuer)) is INVALID


async def test_a_malformed_token_is_invalid_whether_it_is_there_or_not(scene: Scene) -> None:
    scene.issuer.away()
    for name in ("none", "crit", "huge", "encrypted", "HS256 with the public key as PEM"):
        assert await scene.code(FORGED[name](scene.issuer)) is INVALID
    assert scene.issuer.asked == 0


# -- whatever comes --------------------------------------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["ES256", "RS256", "none", "HS256", "ES256K", "EdDSA"]) | JSON_VALUES,
        "kid": st.sampled_from(["one", "rsa", "", "../x"]) | JSON_VALUES,
        "typ": st.sampled_from(["JWT", "at+jwt", "x"]) | JSON_VALUES,
        "crit": JSON_VALUES,
        "b64": JSON_VALUES,
        "jku": JSON_VALUES,
        "x5c": JSON_VALUES,
        "x5t#S256": JSON_VALUES,
        "cty": JSON_VALUES,
    },
)
SAID = ("sub", "aud", "exp", "nbf", "iat", "email", "email_verified", "name", "realm_access", "groups", "events")
CLAIMS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(SAID, JSON_VALUES),
)
SIGNATURES = st.sampled_from(["true", "other", "random"])


class Fuzzed:
    """A verifier that the examples share, driven from outside of any loop."""

    def __init__(self, provider: Provider) -> None:
        self.runner = asyncio.Runner()
        self.scene = self.runner.run(self._made(provider))

    async def _made(self, provider: Provider) -> Scene:
        mapping = {"email": "email", "roles": "realm_access.roles", "groups": "groups"}
        return Scene(provider, claims=mapping, roles={"a": "tenant_user"})

    def verify(self, token: bytes) -> Claims | GatewayError:
        async def judged() -> Claims | GatewayError:
            try:
                return await self.scene.says(token)
            except GatewayError as error:
                return error

        return self.runner.run(judged())

    def close(self) -> None:
        self.runner.run(self.scene.verifier.aclose())
        self.runner.close()


@pytest.fixture(scope="module")
def fuzzed(provider: Provider) -> Iterator[Fuzzed]:
    made = Fuzzed(provider)
    yield made
    made.close()


def refused(found: Claims | GatewayError) -> bool:
    return isinstance(found, GatewayError) and found.code in {INVALID, EXPIRED}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(token=st.binary(max_size=200) | st.binary(max_size=60).map(base64.urlsafe_b64encode))
def test_of_any_bytes_nothing_comes_but_a_refusal(fuzzed: Fuzzed, token: bytes) -> None:
    assert refused(fuzzed.verify(token))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=st.binary(max_size=60), payload=st.binary(max_size=60), signature=st.binary(max_size=80))
def test_nor_of_any_three_segments(fuzzed: Fuzzed, header: bytes, payload: bytes, signature: bytes) -> None:
    assert refused(fuzzed.verify(b".".join(map(segment, (header, payload, signature)))))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=HEADERS, said=CLAIMS, how=SIGNATURES, random=st.binary(max_size=300))
def test_of_any_objects_nothing_comes_but_a_refusal_or_what_was_signed(
    fuzzed: Fuzzed, header: dict[str, Any], said: dict[str, Any], how: str, random: bytes
) -> None:
    header = {"alg": "ES256", "kid": "one", **header}
    payload = {**fuzzed.scene.issuer.claims(), **said}
    by = signer("other") if how == "other" else signer()
    message = segment(header) + b"." + segment(payload)
    signature = random if how == "random" else by.sign("ES256", message)
    found = fuzzed.verify(message + b"." + segment(signature))
    if refused(found):
        return
    assert isinstance(found, Claims)
    assert how == "true"
    assert (header["alg"], header["kid"]) == ("ES256", "one")
    assert "crit" not in header
    assert found.subject == payload["sub"]
    assert found.expires_at == payload["exp"]
    assert set(found.roles) <= {"tenant_user"}
    msgspec.json.encode(found)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(min_value=0), letter=st.sampled_from(list(b"Aa0_-.=+/\x00\xff")))
def test_no_byte_of_a_good_token_can_be_another(fuzzed: Fuzzed, place: int, letter: int) -> None:
    token = bytearray(fuzzed.scene.issuer.token())
    place %= len(token)
    before, token[place] = token[place], letter
    found = fuzzed.verify(bytes(token))
    assert refused(found) is (before != letter)
