"""Every error code that can arise, in both dialects, before the first byte and after it, with its id everywhere."""

import ast
import json
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from scaigrid.errors import TABLE, Code
from tests.harness import behaviours
from tests.harness.behaviours import Then, answer, cut, raw, reset, silence, stalled, stream
from tests.harness.checkout import ROOMS, ROOT, files
from tests.harness.eventually import eventually
from tests.harness.lanes import CHAT_URL, EMBED_URL, Lane, chat, code_of, http_client, id_of, secret
from tests.harness.ports import LOOPBACK
from tests.harness.provider import Behaviour, Gate

DIALECTS = sorted(CHAT_URL)
REQUEST_ID = "test-request.0123:abc"


class Case(NamedTuple):
    """One way to get an error: what is done in a lane, in a dialect, and the answer to it."""

    name: str
    code: Code
    act: Callable[[Lane, str], httpx.Response]
    dialects: tuple[str, ...] = tuple(DIALECTS)
    final: bool = False
    """No repeat can help, although one can help others of its code."""


def post(lane: Lane, dialect: str, body: Any, *, key: str | None = None, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lane.client(key).post(
        CHAT_URL[dialect],
        content=content,
        headers={"content-type": "application/json", "x-request-id": REQUEST_ID, **headers},
    )


def as_stranger(name: str) -> Callable[[Lane, str], httpx.Response]:
    return lambda lane, dialect: post(lane, dialect, chat(lane.model("openai")), key=secret(name))


def asking(model: str, **more: Any) -> Callable[[Lane, str], httpx.Response]:
    return lambda lane, dialect: post(lane, dialect, chat(lane.model(model), **more))


def sending(body: bytes, **headers: str) -> Callable[[Lane, str], httpx.Response]:
    return lambda lane, dialect: post(lane, dialect, body, **headers)


def plan(lane: Lane, behaviour: Behaviour) -> None:
    """Every backend of the model does this, as often as it is asked: what breaks a used connection is tried anew."""
    for endpoint in (lane.openai, lane.second, lane.anthropic):
        endpoint.always(behaviour)


def answered(behaviour: Behaviour, model: str = "openai") -> Callable[[Lane, str], httpx.Response]:
    """The provider does this to a plain call."""

    def act(lane: Lane, dialect: str) -> httpx.Response:
        plan(lane, behaviour)
        return post(lane, dialect, chat(lane.model(model)))

    return act


def streamed(behaviour: Behaviour, model: str = "openai") -> Callable[[Lane, str], httpx.Response]:
    """The provider does this to a streamed call."""

    def act(lane: Lane, dialect: str) -> httpx.Response:
        plan(lane, behaviour)
        return post(lane, dialect, chat(lane.model(model), stream=True))

    return act


def without_a_key(lane: Lane, dialect: str) -> httpx.Response:
    with http_client(lane.gateway) as client:
        return client.post(CHAT_URL[dialect], json=chat(lane.model("openai")), headers={"x-request-id": REQUEST_ID})


def with_another_scheme(lane: Lane, dialect: str) -> httpx.Response:
    with http_client(lane.gateway) as client:
        headers = {"authorization": f"Basic {lane.key}", "x-request-id": REQUEST_ID}
        return client.post(CHAT_URL[dialect], json=chat(lane.model("openai")), headers=headers)


def at_no_path(lane: Lane, dialect: str) -> httpx.Response:
    path = CHAT_URL[dialect].rpartition("/")[0] + "/nowhere"
    return lane.client().post(path, json={}, headers={"x-request-id": REQUEST_ID})


def by_another_method(lane: Lane, dialect: str) -> httpx.Response:
    got = lane.client().get(CHAT_URL[dialect], headers={"x-request-id": REQUEST_ID})
    assert got.headers["allow"] == "POST"
    return got


def by_another_method_on_the_control_plane(lane: Lane, dialect: str) -> httpx.Response:
    path = "/oai/v1/models" if dialect == "openai" else "/v1/models"
    got = lane.client().request("DELETE", path, headers={"x-request-id": REQUEST_ID})
    assert {"GET", "HEAD"} & set(re.split(r",\s*", got.headers["allow"]))
    return got


def a_chat_as_embeddings(lane: Lane, dialect: str) -> httpx.Response:
    body = {"model": lane.model("openai"), "input": "x"}
    return lane.client().post(EMBED_URL[dialect], json=body, headers={"x-request-id": REQUEST_ID})


def with_a_body_that_is_too_large(lane: Lane, dialect: str) -> httpx.Response:
    """The head announces 64 MiB and none of them follows: whoever waits for them never answers."""
    with socket.create_connection((LOOPBACK, lane.gateway.port), timeout=20) as wire:
        head = [
            f"POST {CHAT_URL[dialect]} HTTP/1.1",
            "host: gateway",
            f"authorization: Bearer {lane.key}",
            "content-type: application/json",
            f"x-request-id: {REQUEST_ID}",
            f"content-length: {64 * 1024 * 1024}",
        ]
        wire.sendall("\r\n".join([*head, "", ""]).encode())
        got = b""
        while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < declared(got):
            piece = wire.recv(65536)
            assert piece, got
            got += piece
    head_got, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head_got.decode().split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines]
    return httpx.Response(int(first.split()[1]), headers=headers, content=body)  # type: ignore[arg-type]  # pairs


def declared(got: bytes) -> int:
    found = re.search(rb"content-length: (\d+)", got)
    return int(found[1]) if found else 0


def openai_failure(status: int, code: str | None, kind: str = "invalid_request_error", **headers: str) -> Behaviour:
    body = behaviours.openai_error("It went wrong.", code=code, kind=kind)
    return answer(body, status=status, headers=[*behaviours.JSON, *headers.items()])


def anthropic_failure(status: int, kind: str, message: str = "It went wrong.") -> Behaviour:
    return answer(behaviours.anthropic_error(kind, message), status=status)


BEFORE = [
    Case("no key", Code.AUTH_TOKEN_MISSING, without_a_key),
    Case("a key nobody has", Code.AUTH_TOKEN_INVALID, as_stranger("nobody")),
    Case("another scheme", Code.AUTH_TOKEN_INVALID, with_another_scheme),
    Case("an expired key", Code.SESSION_EXPIRED, as_stranger("expired")),
    Case("a suspended tenant", Code.TENANT_SUSPENDED, as_stranger("suspended")),
    Case("a role that may only look", Code.AUTHZ_PERMISSION_DENIED, as_stranger("viewer")),
    Case("a key for other models", Code.MODEL_ACCESS_DENIED, as_stranger("confined")),
    Case("a key for other places", Code.ADDRESS_NOT_ALLOWED, as_stranger("elsewhere")),
    Case("a model nobody declared", Code.MODEL_NOT_FOUND, asking("nothing")),
    Case("no such path", Code.NOT_FOUND, at_no_path),
    Case("a GET", Code.METHOD_NOT_ALLOWED, by_another_method),
    Case("a DELETE", Code.METHOD_NOT_ALLOWED, by_another_method_on_the_control_plane),
    Case("a body too large to read", Code.REQUEST_TOO_LARGE, with_a_body_that_is_too_large),
    Case("a form", Code.UNSUPPORTED_MEDIA_TYPE, sending(b"a=b", **{"content-type": "text/plain"})),
    Case("a compressed body", Code.UNSUPPORTED_MEDIA_TYPE, sending(b"\x1f\x8b", **{"content-encoding": "gzip"})),
    Case("no JSON", Code.VALIDATION_ERROR, sending(b"{")),
    Case("no messages", Code.VALIDATION_ERROR, asking("openai", messages="none")),
    Case("the provider finds a fault", Code.VALIDATION_ERROR, answered(openai_failure(400, None))),
    Case(
        "Anthropic finds a fault",
        Code.VALIDATION_ERROR,
        answered(anthropic_failure(400, "invalid_request_error"), "anthropic"),
    ),
    Case("a chat model asked for vectors", Code.UNSUPPORTED_BY_MODEL, a_chat_as_embeddings),
    Case("two answers of Anthropic", Code.UNSUPPORTED_BY_MODEL, asking("anthropic", n=2)),
    Case("too long", Code.CONTEXT_TOO_LONG, answered(openai_failure(400, "context_length_exceeded"))),
    Case(
        "too long for Anthropic",
        Code.CONTEXT_TOO_LONG,
        answered(
            anthropic_failure(400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"), "anthropic"
        ),
    ),
    Case("a filter", Code.CONTENT_REFUSED, answered(openai_failure(400, "content_filter"))),
    Case("our limit, which is nothing", Code.RATE_LIMITED, as_stranger("barred"), final=True),
    Case(
        "the provider's limit", Code.BACKEND_RATE_LIMITED, answered(openai_failure(429, None, **{"retry-after": "7"}))
    ),
    Case(
        "Anthropic's limit",
        Code.BACKEND_RATE_LIMITED,
        answered(anthropic_failure(429, "rate_limit_error"), "anthropic"),
    ),
    Case("a budget without room", Code.BUDGET_EXCEEDED, as_stranger("poor")),
    Case("500", Code.BACKEND_ERROR, answered(answer(b"oops", status=500))),
    Case("529", Code.BACKEND_ERROR, answered(anthropic_failure(529, "overloaded_error"), "anthropic")),
    Case("our own credential refused", Code.BACKEND_ERROR, answered(openai_failure(401, "invalid_api_key"))),
    Case("a redirect", Code.BACKEND_ERROR, answered(behaviours.redirect("http://127.0.0.1:1/"))),
    Case("reset", Code.BACKEND_ERROR, answered(reset)),
    Case("reset of a stream", Code.BACKEND_ERROR, streamed(reset)),
    Case("babble", Code.BACKEND_ERROR, answered(raw(b"\x00\x01babble\r\n\r\n"))),
    Case("cut short", Code.BACKEND_ERROR, answered(cut(b'{"id": ', declared=100))),
    Case("no JSON from the provider", Code.UPSTREAM_SHAPE_MISMATCH, answered(answer(b"<html>"))),
    Case("a JSON of another shape", Code.UPSTREAM_SHAPE_MISMATCH, answered(answer({"choices": "none"}))),
    Case("another shape from Anthropic", Code.UPSTREAM_SHAPE_MISMATCH, answered(answer({"content": 1}), "anthropic")),
    Case("a stream that is none", Code.UPSTREAM_SHAPE_MISMATCH, streamed(answer(b"<html>"))),
    Case("a stream without a frame", Code.UPSTREAM_SHAPE_MISMATCH, streamed(stream())),
    Case(
        "an answer that is too large", Code.UPSTREAM_SHAPE_MISMATCH, answered(stalled(b" " * 100_000, declared=10**9))
    ),
    Case("a disabled model", Code.MODEL_UNAVAILABLE, asking("disabled")),
    Case("a model without a price", Code.MODEL_UNAVAILABLE, asking("unpriced")),
    Case("silence", Code.BACKEND_TIMEOUT, answered(silence, "hasty")),
    Case("silence instead of a stream", Code.BACKEND_TIMEOUT, streamed(silence, "hasty")),
    Case("half an answer, then silence", Code.BACKEND_TIMEOUT, answered(stalled(b"{", declared=100), "hasty")),
    Case("no time left", Code.BACKEND_TIMEOUT, answered(silence, "hurried")),
    Case("504", Code.BACKEND_TIMEOUT, answered(answer(b"", status=504))),
]


class Late(NamedTuple):
    """One way for a stream to fail once it has begun."""

    name: str
    code: Code
    rest: tuple[behaviours.Step, ...]
    model: str = "openai"


FIRST = behaviours.openai_chunk({"role": "assistant", "content": "It "})
ANTHROPIC_FIRST = b"".join(behaviours.anthropic_frames("It ")[:3])

AFTER = [
    Late("reset", Code.BACKEND_ERROR, (Then.RESET,)),
    Late("closed", Code.BACKEND_ERROR, (Then.CLOSE,)),
    Late("ended without its end", Code.UPSTREAM_SHAPE_MISMATCH, ()),
    Late("ended in the middle of a frame", Code.UPSTREAM_SHAPE_MISMATCH, (b'data: {"id"',)),
    Late("a frame that is no JSON", Code.UPSTREAM_SHAPE_MISMATCH, (b"data: {oops\n\n",)),
    Late(
        "a failure in a frame",
        Code.BACKEND_ERROR,
        (behaviours.data(behaviours.openai_error("Oops", kind="server_error")),),
    ),
    Late(
        "a limit in a frame",
        Code.BACKEND_RATE_LIMITED,
        (behaviours.data(behaviours.openai_error("Slowly", code="rate_limit_exceeded")),),
    ),
    Late("stalled", Code.BACKEND_TIMEOUT, (Then.STALL,), "hasty"),
    Late("out of time", Code.BACKEND_TIMEOUT, (Then.STALL,), "hurried"),
    Late("closed", Code.BACKEND_ERROR, (Then.CLOSE,), "anthropic"),
    Late("ended without its end", Code.UPSTREAM_SHAPE_MISMATCH, (), "anthropic"),
    Late(
        "a failure in an event",
        Code.BACKEND_ERROR,
        (behaviours.event("error", error={"type": "overloaded_error", "message": "Busy"}),),
        "anthropic",
    ),
]

ELSEWHERE: dict[Code, str] = {
    Code.IDEMPOTENCY_IN_PROGRESS: "needs a call that is under way: test_idempotency.py",
    Code.IDEMPOTENCY_KEY_REUSED: "needs an earlier call: test_idempotency.py",
    Code.CLIENT_CLOSED: "no client is there to see it: test_disconnect.py finds it in the log and the ledger",
    Code.STORE_UNAVAILABLE: "needs a full disk: test_full_disk.py",
    Code.INTERNAL_ERROR: "needs a fault of our own: tests/middlewares/test_errors.py puts one in",
    Code.OVERLOADED: "needs a worker or a backend that is full: test_overload.py",
    Code.AUTH_INSUFFICIENT_SCOPE: "needs a key that carries less than its user may: test_keys.py",
    Code.AUTH_BACKEND_UNAVAILABLE: "needs an issuer that is away: test_sign_in.py",
    **dict.fromkeys(
        (
            Code.BACKEND_NOT_FOUND,
            Code.CONFLICT,
            Code.MANAGED_BY_CONFIG,
            Code.MODEL_HAS_BACKENDS,
            Code.PRECONDITION_FAILED,
            Code.PROVIDER_DISCOVERY_ERROR,
            Code.PROVIDER_HAS_BACKENDS,
            Code.PROVIDER_NOT_FOUND,
            Code.SLUG_CONFLICT,
        ),
        "of the control plane, never of a call: tests/scaigrid/api/resources",
    ),
    Code.QUOTA_EXCEEDED: "nothing has a quota yet",
}
"""Codes that are not shown here, each with its reason. It may only get shorter."""


def test_every_code_is_shown_or_has_a_reason_not_to_be() -> None:
    shown = {case.code for case in BEFORE} | {late.code for late in AFTER}
    assert shown | set(ELSEWHERE) == set(TABLE)
    assert shown & set(ELSEWHERE) == set()


def test_a_code_that_nothing_raises_leaves_the_list_once_something_does() -> None:
    silent = [code for code, reason in ELSEWHERE.items() if reason.endswith(" yet")]
    assert {code: where for code in silent if (where := raised(code))} == {}


def raised(code: Code) -> list[str]:
    """Where GatewayError is made with that code by name."""
    sources = [path for path in files() if path.parts[0] in ROOMS and path.suffix == ".py"]
    return [
        f"{path}:{node.lineno}"
        for path in sources
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "GatewayError"
        if node.args and ast.unparse(node.args[0]) == f"Code.{code.name}"
    ]


def test_the_search_for_what_is_raised_finds_what_is() -> None:
    assert raised(Code.TENANT_SUSPENDED) != []


def name(value: object) -> str | None:
    if isinstance(value, Case):
        return f"{value.code}-{value.name}"
    if isinstance(value, Late):
        return f"{value.code}-{value.name}-{value.model}"
    return None


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("case", BEFORE, ids=name)
def test_an_error_before_the_first_byte(lane: Lane, case: Case, dialect: str) -> None:
    got = case.act(lane, dialect)
    body, row = got.json(), TABLE[case.code]
    assert (code_of(body), got.status_code) == (case.code, row.status), body
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-request-id"] == id_of(body) == REQUEST_ID
    assert (got.headers.get("x-should-retry") == "false") == (
        case.final or (row.retry == "no" and row.status in {409, 429, 500, 502, 503})
    )
    assert ("www-authenticate" in got.headers) == (row.status == 401)
    error = body["error"]
    if dialect == "openai":
        assert error["type"] == row.openai_type
        assert error.keys() >= {"message", "type", "param", "code"}
    else:
        assert body["status"] == "error"
    assert error["message"]
    line = eventually(lambda: lines_of(lane, case.code), f"a line with {case.code} in the access log")[-1]
    assert (line["status"], line["level"]) == (row.status, "error" if row.status >= 500 else "info")


def lines_of(lane: Lane, code: Code) -> list[dict[str, Any]]:
    lines = lane.gateway.lines()
    return [line for line in lines if line.get("code") == code and line["request_id"] == REQUEST_ID]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("late", AFTER, ids=name)
def test_an_error_after_the_first_byte(lane: Lane, late: Late, dialect: str) -> None:
    """The client has what was said until then, and is told in its own dialect that this was not all."""
    gate = Gate()
    anthropic = late.model == "anthropic"
    endpoint = lane.anthropic if anthropic else lane.openai
    endpoint.then(stream(ANTHROPIC_FIRST if anthropic else FIRST, gate, *late.rest))
    with lane.client().stream("POST", CHAT_URL[dialect], json=chat(lane.model(late.model), stream=True)) as got:
        assert got.status_code == 200
        assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
        frames = events(got)
        said = next(frames)
        while "It " not in said:
            said = next(frames)
        gate.open()
        rest = list(frames)
    request_id = got.headers["x-request-id"]
    if dialect == "openai":
        (last,) = rest
        error = json.loads(last.removeprefix("data: "))["error"]
        assert (error["code"], error["request_id"]) == (late.code, request_id)
        assert error["type"] == TABLE[late.code].openai_type
    else:
        last, done = rest
        assert done == "data: [DONE]"
        kind, data = last.split("\n")
        assert kind == "event: error"
        error = json.loads(data.removeprefix("data: "))
        assert (error["code"], error["request_id"]) == (late.code, request_id)
    assert error["message"]
    assert lane.gateway.line(request_id)["code"] == late.code
    (row,) = lane.usage(1, request_id=request_id)
    assert row["outcome"] == ("timeout" if late.code is Code.BACKEND_TIMEOUT else "error")
    assert (row["error_code"], row["serving"], row["usage_source"]) == (late.code, 1, "estimated")
    assert row["cost"] > 0


def events(got: httpx.Response) -> Iterator[str]:
    """Server-sent events as they come, each without its blank line."""
    kept = ""
    for piece in got.iter_text():
        *whole, kept = (kept + piece).split("\n\n")
        yield from whole
    assert kept == ""


def test_a_fault_is_told_field_by_field(lane: Lane) -> None:
    body = {
        "model": lane.model("openai"),
        "messages": [{"role": "user", "content": 1}, {"role": "nobody"}],
        "temperature": 9,
    }
    native = post(lane, "native", body).json()["error"]
    fields = {detail["field"] for detail in native["details"]}
    assert {"messages[0].content", "messages[1].role", "temperature"} <= fields
    assert all(detail["message"] for detail in native["details"])


def test_a_limit_names_its_level_and_one_of_nothing_names_no_time(lane: Lane) -> None:
    """When one that is used up has room again is shown in test_limits.py."""
    got = post(lane, "native", chat(lane.model("openai")), key=secret("barred"))
    assert got.json()["error"]["level"] == "key"
    assert "retry-after" not in got.headers


def test_a_provider_s_retry_after_is_handed_on(lane: Lane) -> None:
    got = answered(openai_failure(429, None, **{"retry-after": "7"}))(lane, "native")
    assert (got.headers["retry-after"], got.json()["error"]["retry_after"]) == ("7", 7)


def test_a_budget_names_its_level_and_asks_for_no_retry(lane: Lane) -> None:
    got = post(lane, "native", chat(lane.model("openai")), key=secret("poor"))
    assert got.json()["error"]["level"] == "user"
    assert got.headers["x-should-retry"] == "false"
    assert "retry-after" not in got.headers


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_body_that_grows_too_large_is_not_read_on(lane: Lane, dialect: str) -> None:
    """In chunks, so that no length is declared: the answer comes while more is still to be sent."""
    with socket.create_connection((LOOPBACK, lane.gateway.port), timeout=20) as wire:
        head = (
            f"POST {CHAT_URL[dialect]} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {lane.key}\r\n"
            "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        wire.sendall(head.encode())
        chunk = b"%x\r\n%b\r\n" % (2**20, b" " * 2**20)
        for _ in range(33):
            wire.sendall(chunk)
        got = wire.recv(65536)
    assert got.startswith(b"HTTP/1.1 413 ")
    assert b"REQUEST_TOO_LARGE" in got


@pytest.mark.parametrize("sent", ["short", "with space", "a" * 129, "bad\tid-0123", "ünïcode-0123"])
def test_an_id_that_is_none_is_replaced(lane: Lane, sent: str) -> None:
    got = lane.client().get("/v1/models", headers=[(b"x-request-id", sent.encode())])
    assert got.headers["x-request-id"].startswith("req_")


def test_the_provider_is_told_the_id(lane: Lane) -> None:
    lane.openai.then(answer(behaviours.completion()))
    post(lane, "openai", chat(lane.model("openai")))
    assert lane.openai.seen().header("x-request-id") == REQUEST_ID
