"""A running gateway, for commands that ask its API.

Who asks is in the environment or in a file, never on the command line: that one is in the shell's history, and
everybody on the machine sees it.
"""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scaigrid.cli.command import WRONG, Failed
from scaigrid.cli.paint import harmless
from scaigrid.secrets import masked

if TYPE_CHECKING:
    import httpx

URL = "SCAIGRID_URL"
KEY = "SCAIGRID_API_KEY"
DEFAULT_URL = "http://127.0.0.1:8000"
_SECONDS = 30.0
_HERE = frozenset({"127.0.0.1", "localhost", "::1"})
_MOST_DETAILS = 5


def remote_arguments(parser: ArgumentParser) -> None:
    """What every command about a running gateway takes."""
    parser.add_argument("--url", help=f"the gateway; left out: ${URL}, or else {DEFAULT_URL}")
    parser.add_argument(
        "--key-file", type=Path, metavar="FILE", help=f"a file with your API key; left out: the variable {KEY}"
    )
    parser.add_argument("--tenant", metavar="SLUG", help="the tenant to act on, where you may act on several")


class Remote:
    """One gateway, asked one thing after another. Its methods raise Failed, with one line."""

    def __init__(self, client: "httpx.Client", url: str) -> None:
        self._client = client
        self._url = url

    def get(self, path: str, **query: str | None) -> Any:
        """The `data` of an answer."""
        return self._ask("GET", path, query={name: value for name, value in query.items() if value})["data"]

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("POST", path, body=body)["data"]

    def items(self, path: str, **query: str | None) -> Iterator[Any]:
        """Every item of a list, page by page."""
        asked = {name: value for name, value in query.items() if value}
        while True:
            page = self._ask("GET", path, query=asked)
            try:
                items, following = page["data"]["items"], page["pagination"]["next_cursor"]
            except (KeyError, TypeError) as error:
                raise self._stranger() from error
            yield from items
            if following is None:
                return
            asked["cursor"] = following

    def _ask(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        import httpx
        import msgspec

        try:
            answer = self._client.request(method, path, params=query, json=body)
        except httpx.HTTPError as error:
            why = harmless(str(error) or type(error).__name__)
            raise Failed(f"scaigrid: {self._url} cannot be reached: {why}: is the gateway running there?") from error
        try:
            told: dict[str, Any] = msgspec.json.decode(answer.content, type=dict[str, Any])
            if answer.is_success and "data" in told:
                return told
            refusal = _refusal(told["error"], told["meta"]["request_id"])
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise self._stranger(answer.status_code) from error
        raise Failed(refusal)

    def _stranger(self, status: int = 200) -> Failed:
        return Failed(f"scaigrid: {self._url} does not answer as ScaiGrid does (status {status}): is that its address?")


@contextmanager
def connected(given: Namespace) -> Generator[Remote]:
    """The gateway that the arguments of `remote_arguments` are about. Raises Failed."""
    url = given.url or os.environ.get(URL) or DEFAULT_URL
    key = _key(given.key_file)
    try:
        parts = urlsplit(url)
        here = parts.hostname in _HERE
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError
    except ValueError:
        raise Failed(
            f"scaigrid: --url: {harmless(url)} is no address: http://HOST:PORT or https://HOST", WRONG
        ) from None
    import httpx

    from scaigrid import __version__

    headers = {"authorization": f"Bearer {key}", "user-agent": f"scaigrid/{__version__}"}
    if given.tenant:
        headers["x-scaigrid-tenant"] = given.tenant
    try:
        # A proxy has no business between us and this machine, and the key would go through it.
        client = httpx.Client(base_url=url, headers=headers, timeout=_SECONDS, trust_env=not here)
    except (ValueError, httpx.InvalidURL) as error:
        raise Failed(f"scaigrid: {harmless(str(error))}", WRONG) from error
    with client:
        yield Remote(client, url)


def _key(file: Path | None) -> str:
    if file is None:
        key, source = os.environ.get(KEY, ""), f"the variable {KEY}"
        if not key.strip():
            raise Failed(f"scaigrid: set {KEY} to your API key, or give --key-file FILE", WRONG)
    else:
        # People give the key itself where its file is meant.
        source = f"--key-file: {masked(harmless(str(file)))}"
        try:
            key = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "is no text"
            raise Failed(f"scaigrid: {source}: {why}", WRONG) from error
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key or not key:
        # Not a word of what is there instead: it may be a secret too.
        raise Failed(f"scaigrid: {source} holds no API key", WRONG)
    return key


def _refusal(error: Mapping[str, Any], request_id: str) -> str:
    details = [f"{detail['field']}: {detail['message']}" for detail in error.get("details", ())]
    more = f" ({'; '.join(details[:_MOST_DETAILS])})" if details else ""
    return harmless(f"scaigrid: {error['code']}: {error['message']}{more} [{request_id}]")
