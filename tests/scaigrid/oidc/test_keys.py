"""Of a key set only public keys that can verify a signature are taken, and each verifies its own algorithms alone."""

import json
from typing import Any, get_args

import pytest

from scaigrid.config.identity import Algorithm
from scaigrid.oidc.keys import MOST_KEYS, BadKeySet, KeySet, read_key_set, signed
from tests.harness.issuer import OF_KIND, Kind, Signer, key_set, segment, signer
from tests.harness.issuer import signed as token

EVERY = [(kind, algorithm) for kind, algorithms in OF_KIND.items() for algorithm in algorithms]


def of(*keys: Signer | dict[str, Any]) -> KeySet:
    return read_key_set(key_set(*keys))


def forms(keys: KeySet) -> set[str]:
    """The algorithms of the keys that a token can name as `one`."""
    return {algorithm for _, algorithm in EVERY if keys.find("one", algorithm) is not None}


@pytest.mark.parametrize(("kind", "algorithm"), EVERY)
def test_a_key_verifies_what_was_signed_with_it(kind: Kind, algorithm: str) -> None:
    by, other = signer(kind=kind), signer("other", kind)
    found = of(by, other).find("one", algorithm)
    assert found is not None
    raw = token({"alg": algorithm}, {"sub": "ann"}, by, algorithm)
    assert signed(raw, found, algorithm)
    assert not signed(token({"alg": algorithm}, {"sub": "ann"}, other, algorithm), found, algorithm)
    head, _, signature = raw.split(b".")
    assert not signed(b".".join([head, segment({"sub": "root"}), signature]), found, algorithm)


@pytest.mark.parametrize("kind", OF_KIND)
def test_and_by_the_algorithms_of_its_kind_alone(kind: Kind) -> None:
    assert forms(of(signer(kind=kind))) == set(OF_KIND[kind])


def test_every_algorithm_that_can_be_configured_has_a_kind_of_key() -> None:
    assert {algorithm for _, algorithm in EVERY} == set(get_args(Algorithm))


@pytest.mark.parametrize(("kind", "algorithm"), EVERY)
def test_the_token_says_the_algorithm_that_the_key_was_found_by(kind: Kind, algorithm: str) -> None:
    """Whoever changes `alg` between the two readings gets nowhere."""
    by = signer(kind=kind)
    found = of(by).find("one", algorithm)
    assert found is not None
    for said in ("none", "HS256", "ES256K", *(one for _, one in EVERY if one != algorithm)):
        assert not signed(token({"alg": said}, {}, by, algorithm), found, algorithm)


def test_a_key_that_names_its_algorithm_is_for_that_one() -> None:
    assert forms(of(signer(kind="RSA").jwk(alg="PS384"))) == {"PS384"}
    assert forms(of(signer(kind="RSA").jwk(alg="ES256"))) == set()
    assert forms(of(signer(kind="RSA").jwk(alg="RSA-OAEP"))) == set()


@pytest.mark.parametrize(
    ("changes", "usable"),
    [
        ({}, True),
        ({"use": None}, True),
        ({"use": "enc"}, False),
        ({"use": 1}, False),
        ({"key_ops": ["verify"]}, True),
        ({"key_ops": ["sign"]}, False),
        ({"key_ops": []}, False),
        ({"key_ops": "verify"}, False),
        ({"kty": "oct"}, False),
        ({"kty": "AKP"}, False),
        ({"kty": None}, False),
        ({"kty": 7}, False),
        ({"kid": 7}, False),
        ({"crv": "secp256k1"}, False),
        ({"crv": "P-384"}, False),
        ({"crv": None}, False),
        ({"x": None}, False),
        ({"x": "!"}, False),
        ({"x": "A" * 5000}, False),
        ({"y": "AA"}, False),
        ({"x5c": 5, "x5u": "file:///etc/passwd", "anything": {"else": []}}, True),
    ],
)
def test_a_key_that_cannot_be_used_is_left_out(changes: dict[str, Any], usable: bool) -> None:
    keys = of(signer().jwk(**changes), signer("two"))
    assert (keys.find("one", "ES256") is not None) is usable
    assert keys.find("two", "ES256") is not None, "and spoils none of the others"


@pytest.mark.parametrize("bits", [512, 1024, 2040, 8200, 16384])
def test_an_rsa_key_that_is_too_short_or_too_long_is_left_out(bits: int) -> None:
    modulus = ((1 << bits) - 1).to_bytes((bits + 7) // 8)
    assert forms(of(signer(kind="RSA").jwk(n=segment(modulus).decode()))) == set()


@pytest.mark.parametrize("e", ["AA", "AQ", "Ag", "BA", "", "!", "A" * 4000])
def test_so_is_one_whose_exponent_is_none(e: str) -> None:
    assert forms(of(signer(kind="RSA").jwk(e=e))) == set()


def test_a_curve_for_agreeing_on_keys_signs_nothing() -> None:
    assert forms(of(signer(kind="Ed25519").jwk(crv="X25519"))) == set()


def test_a_private_key_that_was_published_is_taken_for_its_public_half() -> None:
    by = signer()
    key = of({**by.material.as_dict(private=True), "kid": "one"}).find("one", "ES256")
    assert key is not None
    assert not key.material.is_private


def test_a_symmetric_key_is_never_taken() -> None:
    assert of({"kty": "oct", "kid": "one", "k": "c2VjcmV0", "alg": "HS256"}).ids == frozenset()


def test_a_token_that_names_no_key_needs_a_set_with_one_that_fits() -> None:
    """OpenID Connect Core 1.0, section 10.1."""
    alone = of(signer(), signer("r", "RSA"))
    assert alone.find(None, "ES256") is alone.find("one", "ES256")
    assert of(signer(), signer("two")).find(None, "ES256") is None
    assert of().find(None, "ES256") is None


def test_a_key_without_a_name_is_found_by_those_who_name_none() -> None:
    keys = of(signer().jwk(kid=None))
    assert keys.find(None, "ES256") is not None
    assert keys.find("one", "ES256") is None
    assert keys.find("", "ES256") is None


@pytest.mark.parametrize("kid", ["../../etc/passwd", "one' OR '1'='1", "\u0000", "x" * 4000])
def test_a_name_is_compared_and_nothing_else(kid: str) -> None:
    assert of(signer()).find(kid, "ES256") is None
    assert of(signer().jwk(kid=kid)).find(kid, "ES256") is not None


def test_of_two_keys_of_one_name_each_serves_its_kind_and_the_first_one_both() -> None:
    mixed = of(signer(kind="RSA"), signer(kind="P-256"))
    assert forms(mixed) == {*OF_KIND["RSA"], "ES256"}
    first, second = signer("first"), signer("second")
    same = of(first.jwk(kid="one"), second.jwk(kid="one")).find("one", "ES256")
    assert same is not None
    assert signed(token({"alg": "ES256"}, {}, first, "ES256"), same, "ES256")


def test_the_same_key_has_the_same_id_in_another_set_and_under_another_name() -> None:
    assert of(signer(), signer("two")).ids == of(signer("two"), signer().jwk(kid="renamed", use=None)).ids
    assert len({*of(signer()).ids, *of(signer("two")).ids, *of(signer(kind="RSA")).ids}) == 3


def test_an_empty_set_is_a_set() -> None:
    assert read_key_set(b'{"keys":[]}').ids == frozenset()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"{}",
        b"[]",
        b"null",
        b'{"keys":{}}',
        b'{"keys":null}',
        b'{"keys":"x"}',
        b'{"keys":[{]}',
        b'{"keys":[{"kty":"EC"}]',
        b'{"keys":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
    ],
)
def test_anything_else_is_none(raw: bytes) -> None:
    with pytest.raises(BadKeySet):
        read_key_set(raw)


@pytest.mark.parametrize("odd", ["1", '"x"', "null", "[]", "{}", '{"kty":{}}', "[[[]]]"])
def test_what_stands_in_a_set_and_is_no_key_is_left_out(odd: str) -> None:
    raw = b'{"keys":[%b,%b],"more":%b}' % (odd.encode(), json.dumps(signer().jwk()).encode(), odd.encode())
    assert forms(read_key_set(raw)) == {"ES256"}


def test_more_keys_than_anybody_has_are_not_looked_at() -> None:
    fits = key_set(*[{"kty": "oct"}] * (MOST_KEYS - 1), signer())
    assert forms(read_key_set(fits)) == {"ES256"}
    with pytest.raises(BadKeySet, match="101 keys"):
        read_key_set(key_set(*[{"kty": "oct"}] * MOST_KEYS, signer()))
