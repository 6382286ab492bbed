"""The judge: what one call was to come to, what it came to, and everything in which the two differ.

Three witnesses are heard: the caller's client, the backends that were asked, and the ledger.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from scaigrid.errors import TABLE, Code
from tests.faults.heard import Heard
from tests.faults.spoken import Words

Row = Mapping[str, Any]


class Tried(NamedTuple):
    """One attempt: the backend that was asked, why it failed where it did, and for which of the case's models."""

    backend: str
    failure: Code | None = None
    model: str = ""
    """Empty: the one that the caller asked for."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What one call is to come to. Backends and models are named by the case's own words for them."""

    model: str
    tried: tuple[Tried, ...]
    """The attempts of the request that the caller has the answer of."""
    told: Code | None = None
    """What the caller is told; None: the last attempt's answer, all of it."""
    begun: bool = False
    """The failure comes after the first byte: the caller has what came ahead of it, and the attempt serves."""
    said: str | None = None
    """What the caller has by then; None: the backend's first piece of text."""
    retry_after: int | None = None
    ahead: tuple[tuple[Tried, ...], ...] = ()
    """The attempts of requests that failed, which the caller's own client then made again."""

    @property
    def requests(self) -> tuple[tuple[Tried, ...], ...]:
        """The attempts of each request, in their order."""
        return (*self.ahead, self.tried)

    def asked(self) -> dict[str, int]:
        """Calls by backend."""
        counts: dict[str, int] = {}
        for one in (tried for request in self.requests for tried in request):
            counts[one.backend] = counts.get(one.backend, 0) + 1
        return counts


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What a judge has to know of a case: who answers what, and what it costs."""

    dialect: str
    stream: bool
    finish: str
    tells_usage: bool
    words: Mapping[str, Words]
    """By backend."""
    backends: Mapping[str, str]
    """The name in the configuration, by the case's word for it."""
    ids: Mapping[str, str]
    """The id, likewise."""
    models: Mapping[str, str]
    """The slug, likewise."""
    prices: Mapping[str, tuple[int, int]]
    """Of models, in nano-units for a token in and a token out."""
    costs: Mapping[str, tuple[int, int]]
    """Of backends, likewise."""
    kept_alive: bool = False
    """The head of each answer goes out with a comment, ahead of what would be told in it."""


class Got(msgspec.Struct, kw_only=True):
    """One call: what was wanted of it, and what the witnesses say."""

    wanted: Wanted
    heard: Heard
    asked: dict[str, int]
    """Calls that came to each backend meanwhile; backends that none came to are left out."""
    rows: Sequence[Row] = ()
    """Of the ledger."""


def judged(site: Site, got: Got) -> list[str]:
    """What speaks against it, a sentence each; nothing where all is as it should be."""
    faults = [*_of_client(site, got.wanted, got.heard), *_of_rows(site, got)]
    if got.asked != got.wanted.asked():
        faults.append(f"backends were asked {got.asked or 'never'} instead of {got.wanted.asked() or 'never'}")
    return faults


# -- the client ------------------------------------------------------------------------------------------------------


def _of_client(site: Site, wanted: Wanted, heard: Heard) -> Iterable[str]:
    if wanted.told is None:
        yield from _of_answer(site, wanted, heard)
        return
    if heard.looks_complete:
        yield f"the client took {heard.text!r} for a whole answer, where {wanted.told} was to be told"
    elif not heard.raised:
        yield f"the client noticed nothing of {wanted.told}"
    if heard.code != wanted.told:
        yield f"the client was told {heard.code} ({heard.raised}: {heard.message[:200]}) instead of {wanted.told}"
    last = wanted.tried[-1] if wanted.tried else None
    said = "" if not wanted.begun or last is None else site.words[last.backend].texts[0]
    if heard.text != (said if wanted.said is None else wanted.said):
        yield f"by then the client had {heard.text!r} instead of {said if wanted.said is None else wanted.said!r}"
    early = wanted.begun or site.kept_alive
    status = 200 if early else TABLE[wanted.told].status
    if heard.status != status:
        yield f"the status was {heard.status} instead of {status}"
    if not early:
        yield from _of_headers(wanted.told, wanted.retry_after, heard.headers)


def _of_headers(told: Code, retry_after: int | None, headers: Mapping[str, str]) -> Iterable[str]:
    stops = TABLE[told].retry == "no" and TABLE[told].status >= 429
    if (headers.get("x-should-retry") == "false") != stops:
        yield f"x-should-retry was {headers.get('x-should-retry')} with {told}"
    if retry_after is not None and headers.get("retry-after") != str(retry_after):
        yield f"retry-after was {headers.get('retry-after')} instead of {retry_after}"


def _of_answer(site: Site, wanted: Wanted, heard: Heard) -> Iterable[str]:
    last = wanted.tried[-1]
    words = site.words[last.backend]
    if not heard.looks_complete:
        yield f"the client failed with {heard.code} ({heard.raised}: {heard.message[:200]}) instead of an answer"
        return
    if heard.text != words.text:
        yield f"the client heard {heard.text!r} instead of {words.text!r}"
    if heard.finish != site.finish:
        yield f"the answer ended with {heard.finish!r} instead of {site.finish!r}"
    if heard.usage != words.tokens and (site.tells_usage or not site.stream):
        yield f"the answer told {heard.usage} tokens instead of {words.tokens}"
    if site.kept_alive:
        return
    shown = {
        "x-scaigrid-backend": site.backends[last.backend],
        "x-scaigrid-model": site.models[last.model or wanted.model],
        "x-scaigrid-attempts": str(len(wanted.tried)),
    }
    for name, value in shown.items():
        if heard.headers.get(name) != value:
            yield f"{name} was {heard.headers.get(name)} instead of {value}"


# -- the ledger ------------------------------------------------------------------------------------------------------


def _of_rows(site: Site, got: Got) -> Iterable[str]:
    wanted, rows = got.wanted, got.rows
    expected = [(place, tried) for request in wanted.requests for place, tried in enumerate(request, 1)]
    if len(rows) != len(expected):
        told = [f"{row['attempt']} {row['backend_id']} {row['error_code'] or row['outcome']}" for row in rows]
        yield f"the ledger has {len(rows)} rows instead of {len(expected)}: {told}"
        return
    if wanted.tried and rows[-1]["request_id"] != got.heard.request_id:
        yield f"the last row is of {rows[-1]['request_id']}, the answer of {got.heard.request_id}"
    for number, (row, (place, tried)) in enumerate(zip(rows, expected, strict=True), 1):
        begun = wanted.begun and number == len(expected)
        for fault in _of_row(site, wanted, row, place, tried, begun=begun):
            yield f"row {number} ({tried.backend}): {fault}"


_BYTES_A_TOKEN: Final = 4
_SAID: Final = {Code.BACKEND_TIMEOUT: "timeout"}


def _of_row(site: Site, wanted: Wanted, row: Row, place: int, tried: Tried, *, begun: bool) -> Iterable[str]:
    served = tried.failure is None or begun
    model = tried.model or wanted.model
    is_so: dict[str, object] = {
        "attempt": place,
        "backend_id": site.ids[tried.backend],
        "model": site.models[model],
        "dialect": site.dialect,
        "operation": "chat",
        "stream": int(site.stream),
        "serving": int(served),
        "outcome": "ok" if tried.failure is None else _SAID.get(tried.failure, "error"),
        "error_code": tried.failure,
        **_billed(site, row, model, tried, served=served),
    }
    for name, value in is_so.items():
        if row[name] != value:
            yield f"{name} is {row[name]!r} instead of {value!r}"
    if begun and not 0 < row["tokens_out"] <= _most(site.words[tried.backend]):
        yield f"{row['tokens_out']} tokens were billed of an answer that broke off"


def _billed(site: Site, row: Row, model: str, tried: Tried, *, served: bool) -> dict[str, object]:
    """What the row is to say of tokens and money."""
    if not served:
        return {"tokens_in": 0, "tokens_out": 0, "usage_source": "none", "cost": 0, "backend_cost": 0}
    whole = tried.failure is None
    counted = site.words[tried.backend].tokens if whole else (row["tokens_in"], row["tokens_out"])
    told = {"tokens_in": counted[0], "tokens_out": counted[1], "usage_source": "provider"} if whole else {}
    return {
        **told,
        "cost": _product(counted, site.prices[model]),
        "backend_cost": _product(counted, site.costs[tried.backend]),
    }


def _most(words: Words) -> int:
    """Of all that a backend says: what it counts, or what is guessed of each piece."""
    return max(words.tokens[1], sum(-(-len(text) // _BYTES_A_TOKEN) for text in words.texts))


def _product(tokens: tuple[int, int], price: tuple[int, int]) -> int:
    return tokens[0] * price[0] + tokens[1] * price[1]
