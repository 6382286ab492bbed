"""A gateway process in front of a provider that answers as recorded: the other way to play an exchange."""

import http.client
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import msgspec

from adapters import ADAPTERS
from scaigrid.adapter import Adapter
from tests.conformance.plans import Play, configured
from tests.conformance.told import Reply, Tokens
from tests.conformance.ways import KEY, NOT_OF_THE_BODY, Played, Question, Sent
from tests.conformance.wire import decoded
from tests.harness import responses
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
_ANSWERED_AT: Final = "/oai/v1/responses"
_MODALITIES: Final = {"embed": "embedding", "rerank": "rerank"}


class Named(msgspec.Struct, frozen=True):
    """A model of a provider, as the gateway is told of it."""

    provider: str
    options: str
    """As JSON."""
    model: str
    modality: str = "chat"

    @classmethod
    def of(cls, provider: str, options: Mapping[str, Any], model: str, operation: str = "chat") -> Self:
        return cls(provider, _text(options), model, _MODALITIES.get(operation, "chat"))


def named(play: Play) -> Named:
    return Named.of(play.provider, play.options, play.model, play.operation)


def _text(options: Mapping[str, Any]) -> str:
    return json.dumps(dict(options), sort_keys=True)


class Catalog:
    """The frontend models: one for each model of each provider that is named."""

    def __init__(self, models: Iterable[Named]) -> None:
        self._slugs = {one: self._slug(number, one) for number, one in enumerate(dict.fromkeys(models))}
        self._providers = {
            key: f"{key[0]}-{number}"
            for number, key in enumerate(dict.fromkeys((one.provider, one.options) for one in self._slugs))
        }

    @staticmethod
    def _slug(number: int, one: Named) -> str:
        return _NOT_IN_SLUGS.sub("_", f"conformance/{one.provider}/{number}/{one.model}/model")

    def slug(self, one: Named) -> str:
        return self._slugs[one]

    def provider(self, kind: str, options: Mapping[str, Any]) -> str:
        """The name under which a provider of these options is configured."""
        return self._providers[kind, _text(options)]

    @property
    def providers(self) -> Mapping[str, tuple[str, dict[str, Any]]]:
        """Name -> type and options."""
        return {name: (kind, json.loads(options)) for (kind, options), name in self._providers.items()}

    def config(self, addresses: Mapping[str, str]) -> dict[str, Any]:
        """A gateway with all of them, whose providers are at `addresses`."""
        backends = {one: f"backend-{number}" for number, one in enumerate(self._slugs)}
        return {
            "log": {"level": "warning"},
            "partners": {"default": _NO_LIMIT},
            "tenants": {"default": _NO_LIMIT},
            "users": {"conformance": _NO_LIMIT},
            "keys": {"conformance": {"user": "conformance", "key": CLIENTS_KEY, **_NO_LIMIT}},
            "providers": {
                name: _provider(kind, options, addresses[name]) for name, (kind, options) in self.providers.items()
            },
            "backends": {
                backends[one]: {"provider": self._providers[one.provider, one.options], "model": one.model}
                for one in self._slugs
            },
            "models": {slug: _model(one, backends[one]) for one, slug in self._slugs.items()},
        }


def _provider(kind: str, options: dict[str, Any], address: str) -> dict[str, Any]:
    said = {"type": kind, "base_url": address, "api_key": KEY}
    return {**said, "options": options} if options else said


def _model(one: Named, backend: str) -> dict[str, Any]:
    return {
        "modality": one.modality,
        "max_output_tokens": _MOST,
        "unpriced": "free",
        "route": {"targets": [{"backend": backend}]},
    }


class Outside:
    """Plays exchanges over the gateway. As a context it is started and ended."""

    def __init__(self, catalog: Catalog, directory: Path, adapters: Mapping[str, Adapter] = ADAPTERS) -> None:
        self._catalog = catalog
        self._adapters = adapters
        self._directory = directory
        self._stack = ExitStack()
        self._last = ""
        self._owed: dict[str, tuple[str, Tokens | None]] = {}
        self._names: dict[str, str] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            provider = stack.enter_context(Provider())
            self._endpoints = {name: provider.at(f"/{name}") for name in self._catalog.providers}
            addresses = {
                name: self._endpoints[name].url + self._path(kind, options)
                for name, (kind, options) in self._catalog.providers.items()
            }
            self._gateway = stack.enter_context(Gateway(self._catalog.config(addresses), self._directory))
            connection = http.client.HTTPConnection(urlsplit(self._gateway.url).netloc, timeout=PATIENCE)
            self._connection = stack.enter_context(closing(connection))
            self._stack = stack.pop_all()
        return self

    def _path(self, kind: str, options: Mapping[str, Any]) -> str:
        """The path that the provider's public address has."""
        address = self._adapters[kind].base_url(configured(kind, options))
        return urlsplit(address or "http://provider.invalid/v1").path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def slug(self, play: Play) -> str:
        return self.slug_of(named(play))

    def slug_of(self, one: Named) -> str:
        return self._catalog.slug(one)

    def name(self, play: Play, own: str) -> str:
        """As a client is told it: of an answer that the provider gives it ahead of the play."""
        slug = self.slug(play)
        body = msgspec.json.encode({"model": slug, "input": "Go on."})
        ahead = Question(_ANSWERED_AT, body, slug, play.provider, play.options, play.model)
        told: str = decoded(self.ask(ahead, answer(responses.response(identifier=own))).reply.body)["id"]
        self._names[told] = own
        return told

    def leads(self, name: str, own: str) -> bool:
        """Of names that it has not asked for it sees no more than their form."""
        return name.startswith("resp_") and self._names.get(name, own) == own

    def play(self, question: Question, answer: Recorded, pieces: Sequence[bytes]) -> Played:
        return self.ask(question, _behaviour(answer, pieces))

    def ask(self, question: Question, behaviour: Behaviour, *, once: bool = True) -> Played:
        """Asks, and lets the provider behave so.

        Without `once` a call may be made again: on a kept connection that rubbish has spoiled it had no answer.
        """
        name = self._catalog.provider(question.provider, question.options)
        endpoint = self._endpoints[name]
        endpoint.then(behaviour)
        before = len(endpoint.requests)
        headers = {"authorization": f"Bearer {CLIENTS_KEY}", "content-type": "application/json"}
        self._connection.request(question.method, question.path, question.body, headers)
        response = self._connection.getresponse()
        reply = Reply(response.status, response.headers["content-type"], response.read())
        self._last = response.headers["x-request-id"]
        seen = endpoint.requests[before:]
        assert len(seen) < 2 or not once, "one call became several"
        if not seen:
            endpoint.take()
            return Played(None, reply)
        path = seen[0].path.removeprefix(f"/{name}")
        return Played(Sent(endpoint.url + path, dict(seen[0].headers), seen[0].body, seen[0].method), reply)

    @property
    def last(self) -> str:
        """The id of the last request."""
        return self._last

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
        input=row["tokens_in"] + row["tokens_audio_in"] + row["tokens_image_in"] + cached + written,
        output=row["tokens_out"] + row["tokens_audio_out"] + row["tokens_image_out"],
        cached=cached,
        written=written,
        reasoning=row["tokens_reasoning"],
    )


def _behaviour(recorded: Recorded, pieces: Sequence[bytes]) -> Behaviour:
    headers: Headers = [(name, value) for name, value in recorded.response_headers if name not in NOT_OF_THE_BODY]
    if len(pieces) == 1:
        return answer(pieces[0], status=recorded.status, headers=headers)
    return stream(*pieces, status=recorded.status, headers=headers)
