"""What cannot be a token that somebody signs in with is refused before anybody is asked about it."""

import base64
import json
from typing import Any

import pytest

from scaigrid.errors import Code, GatewayError
from scaigrid.oidc.token import LONGEST, read
from tests.harness.issuer import segment

HEADER = {"alg": "ES256", "kid": "one", "typ": "JWT"}
PAYLOAD: dict[str, Any] = {"iss": "https://issuer.test", "sub": "ann"}


def compact(header: Any = HEADER, payload: Any = PAYLOAD, signature: bytes = b"c2ln") -> bytes:
    return segment(header) + b"." + segment(payload) + b"." + signature


def refusal(raw: bytes) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        read(raw)
    assert caught.value.code is Code.AUTH_TOKEN_INVALID
    return caught.value


def test_a_token_says_by_whom_and_how_it_was_signed() -> None:
    raw = compact()
    token = read(raw)
    assert (token.raw, token.algorithm, token.kid, token.issuer) == (raw, "ES256", "one", "https://issuer.test")
    assert token.payload == PAYLOAD


def test_a_key_need_not_be_named() -> None:
    assert read(compact({"alg": "ES256"})).kid is None


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", "Application/AT+JWT"])
def test_a_token_may_say_that_it_is_one(kind: str) -> None:
    assert read(compact({**HEADER, "typ": kind})).algorithm == "ES256"


@pytest.mark.parametrize("kind", ["dpop+jwt", "logout+jwt", "secevent+jwt", "JOSE", "", "x/jwt", None, 1, ["JWT"]])
def test_a_token_of_another_kind_is_none_to_sign_in_with(kind: object) -> None:
    """RFC 8725, section 3.11."""
    assert "kind" in refusal(compact({**HEADER, "typ": kind})).message


def test_nor_is_an_event() -> None:
    """RFC 8417, section 2.2: what an issuer says about somebody is not said by that somebody."""
    event: dict[str, object] = {**PAYLOAD, "events": {"http://schemas.openid.net/event/backchannel-logout": {}}}
    assert "kind" in refusal(compact(payload=event)).message


@pytest.mark.parametrize("more", [{"crit": ["exp"]}, {"crit": []}, {"crit": None}, {"b64": False}, {"b64": True}])
def test_an_extension_that_changes_what_is_signed_is_not_understood(more: dict[str, Any]) -> None:
    """RFC 7515, section 4.1.11; RFC 7797."""
    assert "extension" in refusal(compact({**HEADER, **more, "exp": 1})).message


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b".",
        b"..",
        b"a.b",
        b"a.b.c.d.e",
        compact() + b"\n",
        b" " + compact(),
        compact().replace(b".", b".."),
        compact(signature=b""),
        compact(signature=b"c2ln="),
        compact(signature=b"c2+n"),
        compact(signature=b"c2\xc3\xbcn"),
        b"%b.%b." % (segment(HEADER), segment(PAYLOAD)),
        b"..%b" % segment(PAYLOAD),
        b'{"payload":"x","signatures":[]}',
    ],
)
def test_what_has_not_the_form_of_a_token_is_none(raw: bytes) -> None:
    assert "compact form" in refusal(raw).message


def test_a_token_of_more_than_a_header_holds_is_not_looked_into() -> None:
    fits = compact(signature=b"A" * (LONGEST - len(compact(signature=b""))))
    assert len(fits) == LONGEST
    assert read(fits).kid == "one"
    assert "compact form" in refusal(fits + b"A").message


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b"{",
        b'{"alg":"ES256",}',
        b'{"iss":"\xff"}',
        b'\xff\xfe{\x00"\x00',
        b'\xef\xbb\xbf{"iss":"x"}',
        b'{"exp":NaN}',
        b'{"exp":Infinity}',
        b'{"exp":-Infinity}',
        b'{"n":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 2500 + b"]" * 2500 + b"}",
        b'{"a":{"b":1,"b":2}}',
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_what_is_not_made_of_json_objects_is_refused(bad: bytes, place: int) -> None:
    parts = [segment(HEADER), segment(PAYLOAD), b"c2ln"]
    parts[place] = segment(bad) or b"A"
    assert "JSON objects" in refusal(b".".join(parts)).message


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b'{"alg":"none","alg":"ES256"}', b'{"iss":"x"}'),
        (b'{"alg":"ES256","kid":"a","kid":"b"}', b'{"iss":"x"}'),
        (b'{"alg":"ES256"}', b'{"iss":"x","sub":"ann","sub":"root"}'),
        (b'{"alg":"ES256"}', b'{"iss":"x","i\\u0073s":"y"}'),
    ],
)
def test_a_name_stands_once(header: bytes, payload: bytes) -> None:
    """RFC 7519, section 4: two readers must not read two things."""
    assert "JSON objects" in refusal(compact(header, payload)).message


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        ({"kid": "one"}, PAYLOAD),
        ({"alg": None}, PAYLOAD),
        ({"alg": 256}, PAYLOAD),
        ({"alg": ["ES256"]}, PAYLOAD),
        ({"alg": "ES256", "kid": 1}, PAYLOAD),
        ({"alg": "ES256", "kid": {"a": 1}}, PAYLOAD),
        (HEADER, {"sub": "ann"}),
        (HEADER, {"iss": None}),
        (HEADER, {"iss": ["https://issuer.test"]}),
    ],
)
def test_what_finds_the_key_must_be_there_and_text(header: dict[str, Any], payload: dict[str, Any]) -> None:
    assert "no text" in refusal(compact(header, payload)).message


def test_a_refusal_quotes_nothing_of_the_token() -> None:
    secret = "canary-7f3a"
    for raw in (
        secret.encode(),
        compact({**HEADER, "typ": secret}),
        compact({**HEADER, "crit": [secret]}),
        compact({"alg": "ES256", "kid": [secret]}),
        compact(payload=json.dumps(secret).encode()),
    ):
        error = refusal(raw)
        assert secret not in str(error)
        assert base64.b64encode(secret.encode()).decode() not in str(error)
