"""State -> Snapshot: ids become references, decimals become integers, limits become buckets."""

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from scaigrid.adapter import Adapter, Target
from scaigrid.config import schema
from scaigrid.config.connection import address_of, options_of
from scaigrid.config.routing import Fallbacks
from scaigrid.config.snapshot import Backend, Candidate, Fund, Model, Route, Snapshot
from scaigrid.control import documents as docs
from scaigrid.control.buckets import request_takes, token_buckets
from scaigrid.control.declared import resources_of, route_id
from scaigrid.control.funds import funds_of
from scaigrid.control.prices import price_list
from scaigrid.control.principals import Principals
from scaigrid.control.state import State
from scaigrid.credentials.signers import NoSigners, SignerSource
from scaigrid.pricing import FREE

_SECRET = re.compile("auth|cookie|key|password|secret|token")
"""In the names of headers that hold a credential."""
NO_ROUTE = Route(tiers=(), max_attempts=1, connect=1.0, first_byte=1.0, idle=1.0, total=1.0)
"""Of a model that nobody has pointed at a backend."""
_TELLING = 16
"""Characters of a header's value or a key from which on it is taken for a secret that could be recognised in a text:
local servers are called with keys like `EMPTY`."""
_NO_SIGNERS = NoSigners()


def compile_snapshot(config: schema.Config, adapters: Mapping[str, Adapter]) -> Snapshot:
    """The snapshot of a configuration that has passed `references.check`, with nothing beside it."""
    return compile_state(State.of(resources_of(config)), config, adapters)


def compile_state(
    state: State, config: schema.Config, adapters: Mapping[str, Adapter], signers: SignerSource = _NO_SIGNERS
) -> Snapshot:
    """The snapshot of a state in which every reference holds; `config` says how tokens become users.

    Callers are made when they first come: there may be ten thousand tenants, and a change must not wait for them.
    """
    funds = tuple(funds_of(state))
    backends = {id_: _backend(id_, state, adapters, signers) for id_ in state.all("backend")}
    by_subject: dict[str, list[Fund]] = {}
    for fund in funds:
        by_subject.setdefault(fund.subject, []).append(fund)
    principals = Principals(state, by_subject)
    models = _Models(state, backends, by_subject, bounded=any(fund.bounds for fund in funds))
    return Snapshot(
        epoch=state.epoch,
        keys=principals,
        sign_in=principals.sign_in(config.identity),
        models={model.name: models.made(id_, model) for id_, model in state.documents(docs.Model)},
        backends=tuple(backends.values()),
        funds=funds,
        anonymous=principals.anonymous(),
        secrets=tuple(_secrets(state)),
    )


def _backend(id_: str, state: State, adapters: Mapping[str, Adapter], signers: SignerSource) -> Backend:
    backend = state.document(docs.Backend, id_)
    provider = state.document(docs.Provider, backend.provider_id)
    adapter = adapters[provider.type]
    options = options_of(provider, adapter)
    headers = {name: value.reveal() for name, value in provider.headers.items()}
    return Backend(
        id=id_,
        name=backend.name,
        provider=provider.name,
        adapter=adapter,
        target=Target(
            type=provider.type,
            base_url=address_of(provider, adapter) or "",
            model=backend.model,
            headers=adapter.headers(backend.api_key or provider.api_key, headers),
            speaks=adapter.speaks(options),
            options=options,
        ),
        cost=price_list(backend.cost),
        # A key of its own goes before whatever its provider has.
        signer=signers.of(adapter, provider.credentials, options) if backend.api_key is None else None,
        lacks=frozenset(backend.lacks),
        context_window=backend.context_window,
        concurrency=backend.concurrency,
        queue=backend.queue,
        queue_seconds=backend.queue_seconds,
        deadlines=backend.deadlines,
        breaker=backend.breaker,
        credentials=tuple([text.encode() for text in _called_with(provider, backend) if len(text) >= _TELLING]),
    )


class _Models:
    """Makes models, each with what it is reached by and counted against."""

    def __init__(
        self,
        state: State,
        backends: Mapping[str, Backend],
        funds: Mapping[str, Sequence[Fund]],
        *,
        bounded: bool,
    ) -> None:
        self._state = state
        self._backends = backends
        self._funds = funds
        self._bounded = bounded

    def made(self, id_: str, model: docs.Model) -> Model:
        price = None if model.unpriced == "refuse" else price_list(model.prices) if model.prices else FREE
        found = self._state.get("route", route_id(id_))
        route = found.document if found is not None and isinstance(found.document, docs.Route) else None
        return Model(
            id=id_,
            slug=model.name,
            display_name=model.display_name or model.name,
            description=model.description,
            modality=model.modality,
            status=model.status,
            context_window=model.context_window,
            max_output_tokens=model.max_output_tokens,
            max_image_tokens=model.max_image_tokens,
            windows=tuple(request_takes("model", id_, model.limits)),
            token_windows=tuple(token_buckets("model", id_, model.limits)),
            price=price,
            bounded=self._bounded,
            defaults={name: msgspec.Raw(msgspec.json.encode(value)) for name, value in model.default_params.items()},
            system_prompt=model.system_prompt,
            drops_unsupported=model.on_unsupported == "drop_with_header",
            on_disconnect=model.on_disconnect,
            metadata=model.metadata,
            route=NO_ROUTE if route is None else _route(route, self._backends),
            funds=tuple(fund for fund in self._funds.get(model.name, ()) if fund.level == "model"),
            backend_count=0 if route is None else len({target.backend_id for target in route.targets}),
        )


def _route(route: docs.Route, backends: Mapping[str, Backend]) -> Route:
    tiers: dict[int, list[Candidate]] = {}
    for target in sorted(route.targets, key=lambda target: target.priority):
        candidate = Candidate(backends[target.backend_id], target.weight, target.when)
        tiers.setdefault(target.priority, []).append(candidate)
    deadlines = route.deadlines
    return Route(
        tiers=tuple(tuple(tier) for tier in tiers.values()),
        strategy=route.strategy,
        sticky_by=route.sticky_by,
        max_attempts=route.max_attempts,
        attempts_per_backend=route.attempts_per_backend,
        failover_on=frozenset(route.failover_on),
        when_unhealthy=route.when_unhealthy,
        connect=deadlines.connect,
        first_byte=deadlines.first_byte,
        idle=deadlines.idle,
        total=deadlines.total,
        hedge=route.hedge,
        fallbacks=route.fallbacks if route.fallbacks != Fallbacks() else None,
        asks_facts=any(_asks_facts(candidate) for tier in tiers.values() for candidate in tier),
    )


def _asks_facts(candidate: Candidate) -> bool:
    backend = candidate.backend
    return candidate.when is not None or bool(backend.lacks) or backend.context_window is not None


def _called_with(provider: docs.Provider, backend: docs.Backend) -> Iterable[str]:
    """Whatever else headers say, an answer may say too: the name of an organisation, of a feature."""
    yield from (key.reveal() for key in (backend.api_key, provider.api_key) if key is not None)
    for name, value in provider.headers.items():
        if _SECRET.search(name.lower()):
            yield from _of_header(value.reveal())


def _secrets(state: State) -> Iterable[str]:
    for _, provider in state.documents(docs.Provider):
        if provider.api_key is not None:
            yield provider.api_key.reveal()
        for name, value in provider.headers.items():
            text = value.reveal()
            told = _of_header(text) if _SECRET.search(name.lower()) else (text,)
            yield from (one for one in told if len(one) >= _TELLING)
        for value in provider.credentials.values():
            yield from _pieces(value.reveal())
    for _, backend in state.documents(docs.Backend):
        if backend.api_key is not None:
            yield backend.api_key.reveal()


def _of_header(text: str) -> Sequence[str]:
    """What of a credential in a header would be told: it, without the word before it (`Bearer`)."""
    return [piece for piece in text.split() if len(piece) >= _TELLING] or (text,)


def _pieces(text: str) -> Iterable[str]:
    """What of a credential could stand in a text: a file with a key in it would be quoted by its lines, if at all."""
    lines = (line.strip() for line in text.replace("\\n", "\n").split("\n"))
    return (line for line in lines if len(line) >= _TELLING and "-----" not in line)
