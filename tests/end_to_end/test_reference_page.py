"""`/docs` in a real browser: it shows every operation, asks nobody but the gateway, and a call can be made from it."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from scaigrid.api.operations import OPERATIONS
from scaigrid.config.terms import DEMO_KEY
from tests.harness.browser import MISSING, Browser
from tests.harness.checkout import ROOT
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no browser on this machine: {MISSING} is not installed")

INFERENCE = "#operations-Inference-chat"
ME = "#operations-Account-getMe"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config: dict[str, Any] = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    del config["server"]
    with Gateway(config, tmp_path_factory.mktemp("reference")) as running:
        yield running


@pytest.fixture
def browser(gateway: Gateway) -> Iterator[Browser]:
    """At the page, once it shows what it is to show."""
    with Browser() as opened:
        opened.open(f"{gateway.url}/docs")
        eventually(lambda: opened.texts(".opblock"), "the page shows operations")
        yield opened


def test_every_operation_is_shown_and_nobody_else_is_asked(browser: Browser, gateway: Gateway) -> None:
    assert "ScaiGrid" in browser.text("h1, h2.title")
    assert sorted(browser.texts(".opblock-summary-description")) == sorted(row.summary for row in OPERATIONS)
    assert "Chat" in browser.text(INFERENCE)
    browser.click(f"{INFERENCE} .opblock-summary-control")
    eventually(lambda: "Unknown fields are refused" in browser.text(INFERENCE), "the chat is described")
    asked = browser.asked()
    assert len(asked) == 7, "the page, its five files and the document"
    assert [one for one in asked if not one.url.startswith(f"{gateway.url}/docs")] == []
    assert [one for one in asked if one.status != 200 or one.failure] == []
    assert browser.complaints() == []


def test_a_call_can_be_made_from_the_page(browser: Browser) -> None:
    browser.click(".auth-wrapper .authorize")
    eventually(lambda: browser.texts(".auth-container input"), "the page asks for a key")
    browser.type(".auth-container input", DEMO_KEY)
    browser.click(".auth-btn-wrapper .authorize")
    eventually(lambda: "Authorized" in browser.text(".auth-container"), "the page has the key")
    browser.click(".auth-btn-wrapper .btn-done")
    browser.click(f"{ME} .opblock-summary-control")
    eventually(lambda: browser.texts(f"{ME} .try-out__btn"), "the operation can be tried")
    browser.click(f"{ME} .try-out__btn")
    eventually(lambda: browser.texts(f"{ME} .execute"), "the call can be sent")
    browser.click(f"{ME} .execute")
    answer = f"{ME} .live-responses-table .response .response-col_status"
    eventually(lambda: browser.text(answer).startswith("200"), "the answer is shown")
    assert '"name": "demo"' in browser.text(f"{ME} .live-responses-table .response .response-col_description")
    assert browser.complaints() == []
