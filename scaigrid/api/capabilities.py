"""`/v1/capabilities`: what each type of provider can do for each dialect, and how that is proved.

What is claimed comes from the adapters as they run, what is proved from the conformance suite of this release. Neither
says that a model of the provider has the feature too.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, route
from msgspec import Meta

from scaigrid.adapter import Adapter
from scaigrid.api.conformance import Cell, Mode, Source, cells
from scaigrid.api.envelope import ListEnvelope, listed
from scaigrid.api.handling import READ, Provided, exchange_in
from scaigrid.api.query import read_query
from scaigrid.api.requirement import ANYONE
from scaigrid.config.connection import credential_names
from scaigrid.dialect import Dialect
from scaigrid.dialects.shapes import OPEN, AnswerShape
from scaigrid.middleware import Services

PATH = "/v1/capabilities"
_OPERATION: Mapping[str, str] = {"embed": "embed", "rerank": "rerank", "count_tokens": "count_tokens"}
"""The operation that a feature belongs to; all others belong to a chat."""

_Word = Annotated[str, Meta(min_length=1, max_length=64)]


class Proof(AnswerShape, kw_only=True):
    """How often the suite has seen it, in one way and by one kind of evidence."""

    mode: Annotated[Mode, OPEN]
    """`passthrough`: the provider speaks the dialect, and its bytes go through. `translation`: the gateway translates
    both ways."""
    proof: Annotated[Source, OPEN]
    """`recorded`: traffic that was recorded from the provider. `fixture`: made by hand from its documentation."""
    passed: int
    failed: int
    not_run: int
    """Exchanges with the feature that could not be played: most often the dialect has no words for them."""


class Capability(AnswerShape, kw_only=True):
    """One feature of a type of provider over one dialect."""

    feature: str
    status: Annotated[Literal["proved", "claimed", "failing"], OPEN]
    """`proved`: the suite has seen it work, and never fail. `claimed`: the adapter says so, and nothing was played.
    `failing`: the suite has seen it fail."""
    proofs: Sequence[Proof]


class DialectCapabilities(AnswerShape, kw_only=True):
    """What a type of provider can do for callers of one dialect. What is not listed is refused."""

    dialect: str
    features: Sequence[Capability]


class ProviderCapabilities(AnswerShape, kw_only=True):
    """One type of provider."""

    provider: str
    """What a provider takes as `type`."""
    can: Sequence[str]
    """All that can be asked of it. Anything else is refused before anything is sent."""
    speaks: Sequence[str]
    """The surfaces that it speaks itself where no option says otherwise, so that bytes go through."""
    options: Sequence[str]
    """What a provider of this type takes in `options`."""
    credentials: Sequence[str]
    """What it takes in `credentials`; empty where an `api_key` is all."""
    dialects: Sequence[DialectCapabilities]


class CapabilitiesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which of them to list."""

    provider: _Word | None = None
    """A type of provider."""
    dialect: _Word | None = None
    feature: _Word | None = None


@route(PATH, http_method=READ, guards=[ANYONE])
async def capabilities(
    request: Request[Any, Any, Any], services: Provided[Services], adapters: Provided[Mapping[str, Adapter]]
) -> ListEnvelope[ProviderCapabilities]:
    wanted = read_query(request, CapabilitiesQuery)
    proved = await asyncio.to_thread(cells)
    return listed(exchange_in(request), items(adapters, services.dialects, proved, wanted), None)


def items(
    adapters: Mapping[str, Adapter], dialects: Sequence[Dialect], proved: Sequence[Cell], wanted: CapabilitiesQuery
) -> Sequence[ProviderCapabilities]:
    """What is asked for of each type of provider, by its name."""
    told = [
        _of_provider(type_, adapters[type_], dialects, [cell for cell in proved if cell.provider == type_])
        for type_ in sorted(adapters)
        if wanted.provider in (None, type_)
    ]
    narrowed = [_narrowed(item, wanted) for item in told]
    if wanted.dialect is None and wanted.feature is None:
        return narrowed
    return [item for item in narrowed if item.dialects]


def _of_provider(
    type_: str, adapter: Adapter, dialects: Sequence[Dialect], proved: Sequence[Cell]
) -> ProviderCapabilities:
    claimed = {dialect.name: list(_claimed(adapter, dialect)) for dialect in dialects}
    named = sorted({*claimed, *(cell.dialect for cell in proved)})
    told = [_of_dialect(name, claimed.get(name, ()), [c for c in proved if c.dialect == name]) for name in named]
    return ProviderCapabilities(
        provider=type_,
        can=sorted(adapter.can),
        speaks=sorted(adapter.speaks(adapter.options())),
        options=[field.encode_name for field in msgspec.structs.fields(adapter.options)],
        credentials=credential_names(adapter),
        dialects=[one for one in told if one.features],
    )


def _claimed(adapter: Adapter, dialect: Dialect) -> Iterator[str]:
    """What the adapter says that it can, of what the dialect has an operation for."""
    asked = set(dialect.operations.values())
    return (feature for feature in adapter.can if _OPERATION.get(feature, "chat") in asked)


def _of_dialect(name: str, claimed: Sequence[str], proved: Sequence[Cell]) -> DialectCapabilities:
    features = sorted({*claimed, *(cell.feature for cell in proved)})
    return DialectCapabilities(
        dialect=name,
        features=[_capability(feature, [cell for cell in proved if cell.feature == feature]) for feature in features],
    )


def _capability(feature: str, proved: Sequence[Cell]) -> Capability:
    failing, passing = any(cell.failed for cell in proved), any(cell.passed for cell in proved)
    return Capability(
        feature=feature,
        status="failing" if failing else "proved" if passing else "claimed",
        proofs=[
            Proof(mode=cell.mode, proof=cell.proof, passed=cell.passed, failed=cell.failed, not_run=cell.not_run)
            for cell in proved
        ],
    )


def _narrowed(item: ProviderCapabilities, wanted: CapabilitiesQuery) -> ProviderCapabilities:
    """Without the dialects and features that are not asked for."""
    chosen = (one for one in item.dialects if wanted.dialect in (None, one.dialect))
    narrowed = (
        msgspec.structs.replace(
            one, features=[feature for feature in one.features if wanted.feature in (None, feature.feature)]
        )
        for one in chosen
    )
    return msgspec.structs.replace(item, dialects=[one for one in narrowed if one.features])
