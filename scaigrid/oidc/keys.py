"""An issuer's key set (RFC 7517): the public keys in it that can verify a signature, by key id and algorithm.

Of each key only its public numbers are taken: whatever else a set says of a key (certificates, addresses, a private
part that was published by mistake) has no say here. A key that cannot be used is left out; it does not spoil the set.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, OKPKey, RSAKey

MOST_KEYS: Final = 100
"""Of one set; importing one takes a tenth of a millisecond, and issuers publish a handful."""
RSA_BITS: Final = range(2048, 8192 + 1)
"""NIST SP 800-131A demands 2048; a modulus of more than 8192 is there to keep us busy."""
_LONGEST_NUMBER: Final = 2048
"""Characters of a number in base64url."""

_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final[Mapping[tuple[str, str | None], tuple[str, ...]]] = {
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
}
"""By key type and curve, the algorithms (RFC 7518, section 3.1; RFC 8037; RFC 9864)."""


class BadKeySet(Exception):
    """What came is no key set; the text is for the log."""


class Key(msgspec.Struct, frozen=True, eq=False):
    """One public key. `id` is a digest of its numbers: the same key has the same one in another set."""

    id: str
    material: RSAKey | ECKey | OKPKey


class KeySet:
    """The usable keys of one set."""

    def __init__(self, keys: Iterable[tuple[str | None, tuple[str, ...], Key]]) -> None:
        """`keys` as key id (None where the set gives none), algorithms and the key itself."""
        self._named: dict[tuple[str, str], Key] = {}
        self._by_algorithm: dict[str, list[Key]] = {}
        for kid, algorithms, key in keys:
            for algorithm in algorithms:
                self._by_algorithm.setdefault(algorithm, []).append(key)
                if kid is not None:
                    self._named.setdefault((kid, algorithm), key)
        self.ids = frozenset(key.id for keys in self._by_algorithm.values() for key in keys)

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key of a token. Without a key id: the only one that could have signed it (OIDC Core 1.0, 10.1)."""
        if kid is not None:
            return self._named.get((kid, algorithm))
        candidates = self._by_algorithm.get(algorithm, ())
        return candidates[0] if len(candidates) == 1 else None


class _Jwk(msgspec.Struct):
    """What is read of a key."""

    kty: str
    kid: str | None = None
    use: str | None = None
    key_ops: list[str] | None = None
    alg: str | None = None
    n: str = ""
    e: str = ""
    crv: str | None = None
    x: str = ""
    y: str = ""


class _Jwks(msgspec.Struct):
    keys: list[msgspec.Raw]


def read_key_set(raw: bytes) -> KeySet:
    """The keys of a set that can be used, perhaps none. Raises BadKeySet for what is no set."""
    try:
        found = msgspec.json.decode(raw, type=_Jwks).keys
    except (msgspec.DecodeError, RecursionError):
        raise BadKeySet("its key set is none") from None
    if len(found) > MOST_KEYS:
        raise BadKeySet(f"its key set has {len(found)} keys; {MOST_KEYS} are the most that is taken")
    return KeySet(usable for one in found if (usable := _usable(one)) is not None)


def _usable(raw: msgspec.Raw) -> tuple[str | None, tuple[str, ...], Key] | None:
    try:
        jwk = msgspec.json.decode(raw, type=_Jwk)
    except (msgspec.DecodeError, RecursionError):
        return None
    algorithms = _RSA if jwk.kty == "RSA" else _CURVES.get((jwk.kty, jwk.crv), ())
    if jwk.alg is not None:
        algorithms = tuple(one for one in algorithms if one == jwk.alg)
    if not algorithms or jwk.use not in {None, "sig"} or (jwk.key_ops is not None and "verify" not in jwk.key_ops):
        return None
    try:
        key = _public(jwk)
    except (JoseError, ValueError):
        return None
    return None if key is None else (jwk.kid, algorithms, key)


def _public(jwk: _Jwk) -> Key | None:
    """Raises JoseError or ValueError for numbers that are no key."""
    if max(map(len, (jwk.n, jwk.e, jwk.x, jwk.y))) > _LONGEST_NUMBER:
        return None
    if jwk.kty == "RSA":
        # Looked at first: joserfc only warns of a short one.
        if _bits(jwk.n) not in RSA_BITS:
            return None
        return Key(_digest("RSA", jwk.n, jwk.e), RSAKey.import_key({"kty": "RSA", "n": jwk.n, "e": jwk.e}))
    crv = jwk.crv or ""
    if jwk.kty == "EC":
        numbers: dict[str, Any] = {"kty": "EC", "crv": crv, "x": jwk.x, "y": jwk.y}
        return Key(_digest(crv, jwk.x, jwk.y), ECKey.import_key(numbers))
    return Key(_digest(crv, jwk.x), OKPKey.import_key({"kty": "OKP", "crv": crv, "x": jwk.x}))


def _bits(number: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(number + "=" * (-len(number) % 4))).bit_length()


def _digest(*numbers: str) -> str:
    return hashlib.sha256("|".join(numbers).encode()).hexdigest()


class _Signatures(jws.JWSRegistry):
    """The rules by which joserfc reads a token: the algorithms that were asked for, sizes up to our own bound."""

    max_header_length = 8192
    max_signature_length = 2048

    def get_alg(self, name: str) -> JWSAlgModel:
        # joserfc warns of each use of the name EdDSA, which RFC 9864 discourages and issuers go on using.
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError(f"the algorithm {name!r} is not the one of the key")
        return self.algorithms[name]


_RULES: Final = {
    name: _Signatures(algorithms=(name,), strict_check_header=False)
    for name in (*_RSA, *(one for algorithms in _CURVES.values() for one in algorithms))
}


def signed(token: bytes, key: Key, algorithm: str) -> bool:
    """Whether a compact token was signed with the key by that very algorithm (RFC 7515, section 5.2)."""
    try:
        jws.deserialize_compact(token, key.material, registry=_RULES[algorithm])
    except (JoseError, ValueError):
        return False
    return True
