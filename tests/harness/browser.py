"""A real browser: Chromium without a screen, driven through ChromeDriver's own protocol (W3C WebDriver) over HTTP.

What a page asked for and what the browser complained of come from its own log of the network and of the console, so a
test can say that nothing failed and that nobody else was asked.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
import msgspec

from tests.harness.eventually import PATIENCE, eventually
from tests.harness.ports import LOOPBACK, free_port

CHROMIUM: Final = shutil.which("chromium")
DRIVER: Final = shutil.which("chromedriver")
MISSING: Final = ", ".join(name for name, found in (("chromium", CHROMIUM), ("chromedriver", DRIVER)) if found is None)
"""The names of what this machine lacks for a browser; empty where it lacks nothing."""

_ARGUMENTS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    # Else it asks its makers' hosts for things of its own, at every start.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
)
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"
"""The key under which WebDriver names an element (W3C WebDriver, section 12.1)."""


class Asked(msgspec.Struct, frozen=True):
    """One request that a page made: `status` None and a `failure` where there was no answer."""

    url: str
    status: int | None
    failure: str | None = None


class Browser:
    """One browser with one page and a profile of its own. As a context it is started and ended."""

    def __init__(self) -> None:
        self._ended = ExitStack()
        self._session = ""
        self._client = httpx.Client(timeout=PATIENCE)
        self._network: list[dict[str, Any]] = []
        self._console: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        assert CHROMIUM is not None
        assert DRIVER is not None
        profile = self._ended.enter_context(tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True))
        port = free_port()
        log = self._ended.enter_context(Path(profile, "driver.log").open("wb"))
        command = [DRIVER, f"--port={port}", "--allowed-ips=127.0.0.1"]
        driver = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self._ended.callback(_end, driver)
        self._client.base_url = httpx.URL(f"http://{LOOPBACK}:{port}")
        eventually(self._ready, "ChromeDriver is ready")
        options = {
            "binary": CHROMIUM,
            "args": [*_ARGUMENTS, f"--user-data-dir={profile}/profile"],
        }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
        }
        made = self._client.post("/session", json={"capabilities": {"alwaysMatch": wanted}})
        assert made.status_code == 200, made.text
        self._session = f"/session/{made.json()['value']['sessionId']}"
        self._ended.callback(self._quit)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.close()
        self._client.close()

    def _ready(self) -> bool:
        with suppress(httpx.HTTPError):
            return bool(self._client.get("/status").json()["value"]["ready"])
        return False

    def _quit(self) -> None:
        with suppress(httpx.HTTPError):
            self._client.delete(self._session)

    # -- what a person does ------------------------------------------------------------------------------------------

    def open(self, url: str) -> None:
        """Goes there and waits until the page has loaded."""
        self._do("POST", "/url", {"url": url})

    def text(self, css: str) -> str:
        """What can be read in the first element that fits; empty where there is none."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", css))

    def texts(self, css: str) -> list[str]:
        """What can be read in each element that fits."""
        found: list[str] = self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)", css)
        return found

    def click(self, css: str) -> None:
        """The first element that fits, which has to be in sight or within reach of scrolling."""
        self._do("POST", f"/element/{self._element(css)}/click", {})

    def type(self, css: str, text: str) -> None:
        """Into the first element that fits."""
        self._do("POST", f"/element/{self._element(css)}/value", {"text": text})

    def run(self, script: str, *arguments: object) -> Any:
        """The value of a script's `return`."""
        return self._do("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def _element(self, css: str) -> str:
        found: Mapping[str, str] = self._do("POST", "/element", {"using": "css selector", "value": css})
        return found[_ELEMENT]

    # -- what the browser did ----------------------------------------------------------------------------------------

    def asked(self) -> list[Asked]:
        """Every request of the page, in order; those under way have neither status nor failure.

        Left out is what never leaves the browser: addresses that hold their data, and its own pages, of which it shows
        one before it is sent anywhere.
        """
        self._network += [msgspec.json.decode(entry["message"])["message"] for entry in self._log("performance")]
        urls: dict[str, str] = {}
        statuses: dict[str, int] = {}
        failures: dict[str, str] = {}
        for event in self._network:
            parameters = event["params"]
            match event["method"]:
                case "Network.requestWillBeSent":
                    urls.setdefault(parameters["requestId"], parameters["request"]["url"])
                case "Network.responseReceived":
                    statuses[parameters["requestId"]] = parameters["response"]["status"]
                case "Network.loadingFailed":
                    failures[parameters["requestId"]] = parameters["errorText"]
                case _:
                    pass
        return [
            Asked(url, statuses.get(request), failures.get(request))
            for request, url in urls.items()
            if not url.startswith(("chrome", "data:"))
        ]

    def complaints(self) -> list[str]:
        """What the console shows as an error or a warning: failed requests, broken scripts, refusals of the policy."""
        self._console += self._log("browser")
        return [entry["message"] for entry in self._console if entry["level"] in {"SEVERE", "WARNING"}]

    def _log(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self._do("POST", "/se/log", {"type": kind})
        return entries

    def _do(self, method: str, path: str, body: Mapping[str, object]) -> Any:
        answer = self._client.request(method, self._session + path, json=body)
        value = answer.json()["value"]
        assert answer.status_code == 200, f"{path}: {value['error']}: {value['message']}"
        return value


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
