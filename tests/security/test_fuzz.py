"""Arbitrary bytes at every inference surface, arbitrary credentials at every kind of path: never a 500.

SCAIGRID_FUZZ_EXAMPLES says how many examples each test tries; left out, few. Calls that are nearly right, of the shapes
that the document describes, are tests/end_to_end/test_schemathesis.py's.
"""

import json
import os
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaigrid.dialects import DIALECTS
from scaigrid.errors import TABLE, Code
from tests.harness.behaviours import answer, completion
from tests.harness.eventually import PATIENCE
from tests.harness.gateway import Gateway
from tests.harness.lanes import UNLIMITED, secret
from tests.harness.provider import Provider

EXAMPLES: Final = int(os.environ.get("SCAIGRID_FUZZ_EXAMPLES", "20"))
SURFACES: Final = tuple(path for dialect in DIALECTS for path in dialect.operations)
KINDS: Final = {
    "an inference surface": ("POST", "/v1/inference/chat"),
    "the OpenAI dialect": ("POST", "/oai/v1/chat/completions"),
    "the Anthropic dialect": ("POST", "/anthropic/v1/messages"),
    "a list": ("GET", "/v1/models"),
    "a thing": ("GET", "/v1/users/user_00000000000000000000000000000000"),
    "a change": ("PATCH", "/v1/users/user_00000000000000000000000000000000"),
    "a request's timeline": ("GET", "/v1/requests/req_00000000000000000000000000000000"),
    "usage": ("GET", "/v1/accounting/usage"),
    "an export": ("GET", "/v1/audit-log/export"),
    "health": ("GET", "/health/detailed"),
    "no path": ("GET", "/v1/nowhere"),
}
"""One of each kind that needs a key."""
NOT_IN: Final = frozenset({401, 403})

fuzzed = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with Provider() as provider:
        url = provider.at("/fuzz/v1").always(answer(completion())).url
        config: dict[str, Any] = {
            "partners": {"default": {"limits": UNLIMITED}},
            "tenants": {"default": {"limits": UNLIMITED}},
            "users": {"ann": {"limits": UNLIMITED}},
            "keys": {"ann": {"user": "ann", "key": secret("ann"), "limits": UNLIMITED}},
            "providers": {"p": {"type": "openai", "base_url": url, "api_key": "provider-key"}},
            "backends": {"b": {"provider": "p", "model": "m"}},
            "models": {"m": {"unpriced": "free", "max_output_tokens": 100, "route": {"targets": [{"backend": "b"}]}}},
        }
        with (
            Gateway(config, tmp_path_factory.mktemp("fuzz")) as gateway,
            httpx.Client(base_url=gateway.url, timeout=PATIENCE, trust_env=False) as client,
        ):
            yield client
            assert [line for line in gateway.lines() if line["event"] == "unexpected_error"] == []
            assert gateway.stop() == 0


def judge(got: httpx.Response, path: str) -> None:
    """No 500; an error has the shape of its dialect, a code of the table, and that code's status."""
    assert got.status_code != 500, got.text
    if got.status_code < 400:
        return
    body = json.loads(got.content)
    error = body["error"]
    code = error["code"]
    assert code in TABLE, body
    assert got.status_code == TABLE[Code(code)].status
    assert error["message"]
    if path.startswith("/anthropic/"):
        assert body["type"] == "error"
        assert body["request_id"] == got.headers["x-request-id"]
    elif path.startswith("/oai/"):
        assert {"message", "type", "param", "code"} <= error.keys()
    else:
        assert body["status"] == "error"
        assert body["meta"]["request_id"] == got.headers["x-request-id"]


# -- bodies ----------------------------------------------------------------------------------------------------------

WORDS: Final = [
    "model",
    "messages",
    "input",
    "prompt",
    "query",
    "documents",
    "role",
    "content",
    "type",
    "text",
    "image_url",
    "stream",
    "tools",
    "tool_choice",
    "n",
    "stop",
    "max_tokens",
    "temperature",
    "metadata",
    "response_format",
    "reasoning",
    "user",
    "system",
    "dimensions",
    "store",
]
scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["m", "user", "assistant", "text", "function", "auto"]),
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=8), inner),
    max_leaves=20,
)
objects = st.dictionaries(st.sampled_from(WORDS), values, max_size=8)


@pytest.mark.parametrize("path", SURFACES)
@fuzzed
@given(body=st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
def test_whatever_bytes_are_sent_are_answered_in_the_dialect_s_shape(
    client: httpx.Client, path: str, body: bytes
) -> None:
    headers = {"authorization": f"Bearer {secret('ann')}", "content-type": "application/json"}
    judge(client.post(path, content=body, headers=headers), path)


@pytest.mark.parametrize("path", SURFACES)
@fuzzed
@given(found=objects)
def test_members_of_the_right_names_and_any_values_are_too(
    client: httpx.Client, path: str, found: dict[str, Any]
) -> None:
    """Near enough that more than the outermost layer is read."""
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "input": "x", "prompt": "x", **found}
    headers = {"authorization": f"Bearer {secret('ann')}", "content-type": "application/json"}
    judge(client.post(path, content=json.dumps(body).encode(), headers=headers), path)


# -- credentials -----------------------------------------------------------------------------------------------------

LEGAL: Final = st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")
"""What a field's value may hold (RFC 9110, section 5.5)."""
tokens = st.one_of(
    st.text(LEGAL, max_size=60),
    st.text(LEGAL, max_size=60).map("Bearer {}".format),
    st.text(LEGAL, max_size=60).map("Bearer sgk_{}".format),
    st.tuples(*[st.text("abcXYZ019-_=", max_size=30)] * 3).map(lambda parts: f"Bearer {'.'.join(parts)}"),
    st.sampled_from(["Basic YTpi", "Bearer", "Bearer ", "bearer\tx", "Digest a=b", "Bearer " + "x" * 20_000]),
)


@pytest.mark.parametrize("kind", KINDS)
@fuzzed
@given(token=tokens)
def test_whatever_is_sent_as_a_credential_lets_nobody_in(client: httpx.Client, kind: str, token: str) -> None:
    method, path = KINDS[kind]
    got = client.request(method, path, headers=[(b"authorization", token.encode("latin-1").strip())], json={})
    assert got.status_code in NOT_IN, got.text
    judge(got, path)


@fuzzed
@given(token=st.text(LEGAL, max_size=60))
def test_nor_does_it_in_the_header_that_a_dialect_has_for_it(client: httpx.Client, token: str) -> None:
    path = "/anthropic/v1/messages"
    got = client.post(path, headers=[(b"x-api-key", token.encode("latin-1").strip())], json={})
    assert got.status_code in NOT_IN, got.text
    judge(got, path)
