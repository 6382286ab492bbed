"""A gateway process in front of a provider that answers as recorded: the other way to play an exchange."""

import http.client
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from scaigrid.adapter import Adapter
from tests.conformance import cases, plans
from tests.conformance.told import Reply, Tokens
from tests.conformance.ways import KEY, NOT_OF_THE_BODY, Played, Question, Sent
from tests.harness.behaviours import answer, stream
from tests.harness.eventually import PATIENCE, eventually
from tests.harness.gateway import Gateway, Row
from tests.harness.provider import Behaviour, Headers, Provider
from tests.harness.recordings import Recorded

CLIENTS_KEY: Final = "sgk_conformance_0123456789abcdef0123456789"
_MOST: Final = 1_000_000
"""More output tokens than any recorded call asks for, so that no bound is cut down."""
_NO_LIMIT: Final = {"limits": {"requests_per_minute": None}}
_NOT_IN_SLUGS: Final = re.compile(r"[^A-Za-z0-9._:@/-]")


class Catalog:
    """The frontend models: one for each model of each type of provider that the exchanges name."""

    def __init__(self, exchanges: Iterable[Recorded]) -> None:
        self._modalities: dict[tuple[str, str], str] = {}
        self._slugs: dict[tuple[str, str], str] = {}
        for one in exchanges:
            named = (cases.provider(one), one.request_json["model"])
            self._modalities[named] = "embedding" if cases.asks(one, plans.EMBEDDINGS) else "chat"
            self._slugs[named] = _NOT_IN_SLUGS.sub("_", f"conformance/{'/'.join(named)}/model")
        assert len(set(self._slugs.values())) == len(self._slugs), "two models with one slug"

    def slug(self, provider: str, model: str) -> str:
        return self._slugs[provider, model]

    def config(self, addresses: Mapping[str, str]) -> dict[str, Any]:
        """A gateway with all of them, whose providers are at `addresses`."""
        names = {named: f"backend-{number}" for number, named in enumerate(self._slugs)}
        return {
            "log": {"level": "warning"},
            "partners": {"default": _NO_LIMIT},
            "tenants": {"default": _NO_LIMIT},
            "users": {"conformance": _NO_LIMIT},
            "keys": {"conformance": {"user": "conformance", "key": CLIENTS_KEY, **_NO_LIMIT}},
            "providers": {
                name: {"type": name, "base_url": address, "api_key": KEY} for name, address in addresses.items()
            },
            "backends": {names[named]: {"provider": named[0], "model": named[1]} for named in self._slugs},
            "models": {slug: self._model(named, names[named]) for named, slug in self._slugs.items()},
        }

    def _model(self, named: tuple[str, str], backend: str) -> dict[str, Any]:
        return {
            "modality": self._modalities[named],
            "max_output_tokens": _MOST,
            "unpriced": "free",
            "route": {"targets": [{"backend": backend}]},
        }


class Outside:
    """Plays exchanges over the gateway. As a context it is started and ended."""

    def __init__(self, catalog: Catalog, adapters: Mapping[str, Adapter], directory: Path) -> None:
        self._catalog = catalog
        self._adapters = adapters
        self._directory = directory
        self._stack = ExitStack()
        self._last = ""
        self._owed: dict[str, tuple[str, Tokens | None]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            provider = stack.enter_context(Provider())
            kinds = [name for name, adapter in self._adapters.items() if adapter.transport == "http"]
            self._endpoints = {name: provider.at(f"/{name}") for name in kinds}
            addresses = {name: self._endpoints[name].url + self._path(name) for name in kinds}
            self._gateway = stack.enter_context(Gateway(self._catalog.config(addresses), self._directory))
            connection = http.client.HTTPConnection(urlsplit(self._gateway.url).netloc, timeout=PATIENCE)
            self._connection = stack.enter_context(closing(connection))
            self._stack = stack.pop_all()
        return self

    def _path(self, kind: str) -> str:
        """The path that the provider's public address has."""
        return urlsplit(self._adapters[kind].base_url() or "http://provider.invalid/v1").path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def slug(self, provider: str, model: str) -> str:
        return self._catalog.slug(provider, model)

    def play(self, question: Question, answer: Recorded, pieces: Sequence[bytes]) -> Played:
        endpoint = self._endpoints[question.provider]
        endpoint.then(_behaviour(answer, pieces))
        before = len(endpoint.requests)
        headers = {"authorization": f"Bearer {CLIENTS_KEY}", "content-type": "application/json"}
        self._connection.request("POST", question.path, question.body, headers)
        response = self._connection.getresponse()
        reply = Reply(response.status, response.headers["content-type"], response.read())
        self._last = response.headers["x-request-id"]
        seen = endpoint.requests[before:]
        assert len(seen) < 2, "one call became several"
        if not seen:
            endpoint.take()
            return Played(None, reply)
        path = seen[0].path.removeprefix(f"/{question.provider}")
        return Played(Sent(endpoint.url + path, dict(seen[0].headers), seen[0].body), reply)

    # -- the ledger --------------------------------------------------------------------------------------------------

    def owes(self, call: object, tokens: Tokens | None) -> None:
        """`call`, the last one, has to be on the ledger by these; by an estimate where its provider told none."""
        self._owed[self._last] = (str(call), tokens)

    def ledger(self) -> list[str]:
        """In words, where the ledger has otherwise than what is owed."""

        def all_there() -> dict[str, Row] | None:
            rows = {str(row["request_id"]): row for row in self._gateway.rows("usage")}
            return rows if self._owed.keys() <= rows.keys() else None

        rows = eventually(all_there, f"{len(self._owed)} calls on the ledger") if self._owed else {}
        return [
            f"{call}: {kept} instead of {tokens}"
            for request, (call, tokens) in self._owed.items()
            if (kept := _tokens(rows[request])) != tokens
        ]


def _tokens(row: Row) -> Tokens | None:
    if row["usage_source"] != "provider":
        return None
    cached, written = row["tokens_cache_read"], row["tokens_cache_write"] + row["tokens_cache_write_1h"]
    return Tokens(
        input=row["tokens_in"] + cached + written,
        output=row["tokens_out"],
        cached=cached,
        written=written,
        reasoning=row["tokens_reasoning"],
    )


def _behaviour(recorded: Recorded, pieces: Sequence[bytes]) -> Behaviour:
    headers: Headers = [(name, value) for name, value in recorded.response_headers if name not in NOT_OF_THE_BODY]
    if len(pieces) == 1:
        return answer(pieces[0], status=recorded.status, headers=headers)
    return stream(*pieces, status=recorded.status, headers=headers)
