"""The harness sees what goes wrong in a page, else the tests of our pages could not fail."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from tests.harness.browser import MISSING, Browser
from tests.harness.ports import LOOPBACK

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no browser on this machine: {MISSING} is not installed")

POLICY = "default-src 'none'; script-src 'self' localhost:*; img-src 'self' data:"
PAGES = {
    "/good": "<title>Good</title><link rel=icon href=data:,><h1>Good</h1><p>One</p><p>Two</p>",
    "/bad": "<link rel=icon href=data:,><script src=/missing.js></script><script src={other}/elsewhere.js></script>"
    "<script>document.title = 'inline'</script>",
}


class Pages(BaseHTTPRequestHandler):
    other: ClassVar[str] = ""

    def do_GET(self) -> None:
        page = PAGES.get(self.path)
        self.send_response(404 if page is None else 200)
        self.send_header("content-type", "text/html")
        self.send_header("content-security-policy", POLICY)
        self.end_headers()
        self.wfile.write((page or "").replace("{other}", self.other).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name for it
        """Not to the test's output."""


@contextmanager
def serving() -> Generator[str]:
    server = ThreadingHTTPServer((LOOPBACK, 0), Pages)
    thread = Thread(target=server.serve_forever)
    thread.start()
    Pages.other = f"http://localhost:{server.server_port}"
    try:
        yield f"http://{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving() as found:
        yield found


def test_a_page_is_read_and_has_no_complaints(address: str) -> None:
    with Browser() as browser:
        browser.open(f"{address}/good")
        assert browser.text("h1") == "Good"
        assert browser.texts("p") == ["One", "Two"]
        assert browser.text("h6") == ""
        assert [(one.url, one.status) for one in browser.asked()] == [(f"{address}/good", 200)]
        assert browser.complaints() == []


def test_what_failed_and_who_else_was_asked_is_seen(address: str) -> None:
    with Browser() as browser:
        browser.open(f"{address}/bad")
        asked = {one.url: one for one in browser.asked()}
        assert asked[f"{address}/missing.js"].status == 404
        assert f"{Pages.other}/elsewhere.js" in asked
        complaints = browser.complaints()
        assert any("missing.js" in text and "404" in text for text in complaints)
        assert any("Content Security Policy" in text for text in complaints)
