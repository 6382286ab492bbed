"""A gateway that does not keep to its document is found out, and only what is named is forgiven."""

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
from schemathesis import HookContext

from scaigrid.errors import TABLE, Code
from tests.harness import fuzz_hooks
from tests.harness.fuzzing import KEY, configuration, run
from tests.harness.ports import LOOPBACK

Node = dict[str, Any]


def refusal(code: str, *details: tuple[str, str]) -> bytes:
    listed = [{"field": field, "message": message} for field, message in details]
    return json.dumps({"error": {"code": code, "details": listed}}).encode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (refusal("UNSUPPORTED_BY_MODEL"), True),
        (refusal("VALIDATION_ERROR", ("cursor", "is not the next_cursor of a page")), True),
        (refusal("VALIDATION_ERROR", ("a.b", "must have exactly one of x and y")), True),
        (refusal("VALIDATION_ERROR", ("end", "must be later than start")), True),
        (refusal("VALIDATION_ERROR", ("start", "must be later than start")), False),
        (refusal("VALIDATION_ERROR", ("cursor", "is not the next_cursor of a page"), ("x", "is required")), False),
        (refusal("VALIDATION_ERROR", ("x", "is required: a budget asks for it")), True),
        (refusal("VALIDATION_ERROR", ("x", "must be a string")), False),
        (refusal("VALIDATION_ERROR", ("x", "must have at most 5 characters")), False),
        (refusal("VALIDATION_ERROR", ("x", "must be one of a, b")), False),
        (refusal("VALIDATION_ERROR", ("x", "is not a known field")), False),
        (refusal("VALIDATION_ERROR"), False),
        (refusal("INTERNAL_ERROR"), False),
        (b"", False),
        (b"[]", False),
        (b'{"error": "no"}', False),
        (b"\xff", False),
    ],
)
def test_a_refusal_is_forgiven_for_what_it_says_alone(body: bytes, expected: bool) -> None:
    assert fuzz_hooks.forgiven(body) is expected


def test_each_code_that_is_forgiven_is_one() -> None:
    assert set(fuzz_hooks.CODES) <= {code.value for code in Code}
    assert [code for code in fuzz_hooks.CODES if TABLE[Code(code)].status >= 500] == []
    assert [code for code in fuzz_hooks.BROKEN if TABLE[Code(code)].status not in {502, 503, 504}] == []


def test_a_failure_is_the_gateways_own_unless_it_says_otherwise() -> None:
    assert fuzz_hooks.told(refusal("BACKEND_ERROR")) in fuzz_hooks.BROKEN
    assert fuzz_hooks.told(refusal("INTERNAL_ERROR")) not in fuzz_hooks.BROKEN
    assert fuzz_hooks.told(b"<html>") is None


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"a": 2.0, "b": [1.5, -3.0, "2.0", None, True]}, {"a": 2, "b": [1.5, -3, "2.0", None, True]}),
        ([{"n": 1e3}], [{"n": 1000}]),
        ("x", "x"),
        ({"base_url": "https://example.com/v1"}, {"base_url": fuzz_hooks.NOWHERE}),
    ],
)
def test_a_whole_number_is_sent_without_a_fraction_and_no_address_leads_elsewhere(given: Any, sent: Any) -> None:
    assert repr(fuzz_hooks.map_body(HookContext(), given)) == repr(sent)


def test_the_configuration_is_of_one_user_who_may_do_all_that_can_be_done() -> None:
    config = configuration("sqlite+aiosqlite:///x.db")
    assert config["users"]["fuzz"]["roles"] == ["super_admin"]
    assert config["keys"]["fuzz"]["key"] == KEY


def described(**answers: Node) -> Node:
    """A document with one operation, GET /thing, that takes `size` and a key."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "T", "version": "1"},
        "security": [{"key": []}],
        "paths": {
            "/thing": {
                "get": {
                    "tags": ["Things"],
                    "parameters": [
                        {"name": "size", "in": "query", "required": True, "schema": {"enum": ["small", "large"]}}
                    ],
                    "responses": {
                        "200": {
                            "description": "Yes.",
                            "content": {
                                "application/json": {
                                    "schema": {
                                        "type": "object",
                                        "required": ["ok"],
                                        "properties": {"ok": {"const": True}},
                                    }
                                }
                            },
                        },
                        "401": {"description": "No."},
                        "405": {"description": "No."},
                        "422": {"description": "No."},
                    },
                }
            }
        },
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


class Things(BaseHTTPRequestHandler):
    """Keeps to the document, but for the one `fault` that it is told to have."""

    fault: ClassVar[str] = ""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/openapi.json":
            return self._answer(200, described())
        if self.headers.get("authorization") != f"Bearer {KEY}" and self.fault != "open to all":
            return self._answer(401)
        if query not in {"size=small", "size=large"} and self.fault != "takes anything":
            return self._answer(500 if self.fault == "breaks down" else 422)
        if self.fault == "odd status":
            return self._answer(418)
        if self.fault == "refuses":
            return self._answer(422)
        return self._answer(200, {"ok": "yes" if self.fault == "odd body" else True})

    def _answer(self, status: int, body: Node | None = None) -> None:
        self.send_response(status)
        if body is not None:
            self.send_header("content-type", "text/html" if self.fault == "odd type" else "application/json")
        if status == 405:
            self.send_header("allow", "GET")
        content = b"" if body is None else json.dumps(body).encode()
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _other(self) -> None:
        self._answer(200 if self.fault == "any method" else 405, {"ok": True} if self.fault == "any method" else None)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Every method has an answer."""
        if name.startswith("do_"):
            return self._other
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name for it
        """Not to the test's output."""


@contextmanager
def serving() -> Generator[str]:
    server = ThreadingHTTPServer((LOOPBACK, 0), Things)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}/openapi.json"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def document() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("", "No issues found"),
        ("breaks down", "Server error"),
        ("odd status", "Undocumented status code"),
        ("odd body", "Response violates schema"),
        ("odd type", "Undocumented Content-Type"),
        ("refuses", "Schema-valid request rejected"),
        ("takes anything", "Schema-violating request accepted"),
        ("open to all", "API accepts requests without authentication"),
        ("any method", "Unsupported method"),
    ],
)
def test_each_kind_of_fault_is_found(
    document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, words: str
) -> None:
    monkeypatch.setattr(Things, "fault", fault)
    done = run(document, tmp_path, "--phases=coverage")
    assert words.lower() in done.text.lower(), done.text
    assert done.code == (1 if fault else 0)
    assert done.operations == 1
    assert done.cases > 5
