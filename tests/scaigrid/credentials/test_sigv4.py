"""Signature Version 4: what Amazon publishes as examples, and what its own library makes of the same requests."""

import time
from calendar import timegm
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaigrid.adapter import UpstreamRequest
from scaigrid.call import Header
from scaigrid.credentials.sigv4 import Keys, Scope, signed
from scaigrid.secrets import Secret
from tests.scaigrid.credentials import oracle

KEYS = Keys("AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
NOW = timegm(time.strptime("20150830T123600Z", "%Y%m%dT%H%M%SZ"))
SUITE = Scope("us-east-1", "service")
HOST = "https://example.amazonaws.com"
FORM = ("Content-Type", "application/x-www-form-urlencoded")


def authorization(
    method: str, url: str, *headers: Header, body: bytes = b"", scope: Scope = SUITE, keys: Keys = KEYS
) -> str:
    made = signed(UpstreamRequest(method, url, headers, body), keys, scope, NOW)
    return dict(made.headers)["authorization"]


@pytest.mark.parametrize(
    ("method", "url", "headers", "body", "scope", "signature"),
    [
        ("GET", f"{HOST}/", [], b"", SUITE, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", f"{HOST}/", [], b"", SUITE, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "GET",
            f"{HOST}/?Param2=value2&Param1=value1",
            [],
            b"",
            SUITE,
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "POST",
            f"{HOST}/",
            [FORM],
            b"Param1=value1",
            SUITE,
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        (
            "GET",
            f"{HOST}/\u1234",
            [],
            b"",
            SUITE,
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        ),
        (
            "GET",
            f"{HOST}/example1/example2/../..",
            [],
            b"",
            SUITE,
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "GET",
            "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
            [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")],
            b"",
            Scope("us-east-1", "iam"),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ],
    ids=["get-vanilla", "post-vanilla", "query-order", "form", "utf8-path", "dots", "iam-list-users"],
)
def test_the_published_examples_come_out(
    method: str, url: str, headers: list[Header], body: bytes, scope: Scope, signature: str
) -> None:
    assert authorization(method, url, *headers, body=body, scope=scope).endswith(f"Signature={signature}")


WORD = st.text(st.sampled_from("abcXYZ019-_.~:%/+ ,'()!*$&@;=\u00e9\u1234"), min_size=1, max_size=12)


@given(
    model=WORD.filter(lambda text: text.strip(".") != ""),
    query=st.lists(st.tuples(WORD, WORD), max_size=4),
    value=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    body=st.binary(max_size=64),
    token=st.none() | st.just(Secret("a-session-token")),
    region=st.sampled_from(["us-east-1", "eu-central-1"]),
)
@settings(max_examples=200, deadline=None)
def test_amazons_own_library_signs_the_same(
    model: str, query: list[tuple[str, str]], value: str, body: bytes, token: Secret | None, region: str
) -> None:
    """As the requests are that leave us: each part of the path and of the query is percent-encoded once."""
    asked = "&".join(f"{quote(name, safe='-_.~')}={quote(text, safe='-_.~')}" for name, text in query)
    url = f"https://bedrock-runtime.{region}.amazonaws.com/model/{quote(model, safe='-_.~')}/converse?{asked}"
    request = UpstreamRequest(
        "POST", url.rstrip("?"), (("content-type", "application/json"), ("x-custom", value.strip() or "x")), body
    )
    keys, scope = Keys("AKID", Secret("secret"), token), Scope(region, "bedrock")
    made = dict(signed(request, keys, scope, NOW).headers)
    assert made["authorization"] == oracle.authorization(request, keys, scope, "20150830T123600Z")


def test_a_model_with_a_colon_is_encoded_twice_in_the_signature_and_once_in_the_address() -> None:
    """Amazon encodes the path that it got once more, but for S3."""
    url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-v2%3A1/invoke"
    request = UpstreamRequest("POST", url, (), b"{}")
    assert signed(request, KEYS, SUITE, NOW).url == url
    assert dict(signed(request, KEYS, SUITE, NOW).headers)["authorization"] == oracle.authorization(
        request, KEYS, SUITE, "20150830T123600Z"
    )


def test_a_port_that_is_not_the_usual_one_is_part_of_the_host() -> None:
    plain = authorization("GET", "http://127.0.0.1/")
    assert plain == authorization("GET", "http://127.0.0.1:80/")
    assert plain != authorization("GET", "http://127.0.0.1:8080/")
    named = authorization("GET", "http://elsewhere:8080/", ("host", "127.0.0.1"))
    assert named == plain


def test_what_changes_on_the_way_is_not_signed() -> None:
    passing = [("x-request-id", "req_1"), ("User-Agent", "scaigrid"), ("traceparent", "00-1-1-01")]
    assert authorization("GET", HOST, *passing) == authorization("GET", HOST)
    assert authorization("GET", HOST, ("x-team", "blue")) != authorization("GET", HOST)


def test_everything_that_counts_changes_the_signature() -> None:
    made = {
        authorization("GET", HOST),
        authorization("POST", HOST),
        authorization("GET", f"{HOST}/a"),
        authorization("GET", f"{HOST}/?a=b"),
        authorization("GET", HOST, body=b"x"),
        authorization("GET", HOST, scope=Scope("eu-west-1", "service")),
        authorization("GET", HOST, scope=Scope("us-east-1", "bedrock")),
        authorization("GET", HOST, keys=Keys("AKIDEXAMPLE", Secret("another"))),
    }
    assert len(made) == 8


def test_a_request_that_was_signed_before_is_signed_anew() -> None:
    """A retry starts from what it has, and says nothing twice."""
    temporary = Keys("AKID", Secret("secret"), Secret("token"))
    once = signed(UpstreamRequest("POST", HOST, (("authorization", "Bearer x"),), b""), temporary, SUITE, NOW)
    twice = signed(once, temporary, SUITE, NOW)
    assert twice == once
    assert [name for name, _ in once.headers] == ["x-amz-date", "x-amz-security-token", "authorization"]


def test_a_header_said_twice_is_signed_as_one_list() -> None:
    both = authorization("GET", HOST, ("x-a", " one  two "), ("X-A", "three"))
    assert both == authorization("GET", HOST, ("x-a", "one two,three"))
