"""Does everybody tell the same story? The client, the gateway's counters, its log, ledger, audit and budgets.

Three kinds of number are compared, each as it grew during one part of a run:

- *what the client saw*: `answered` calls, and `left_open` ones: its connections at the moment it left, on each of which
  one call more may have been answered, cancelled or never read. A client that waits for its last answer leaves none
  open, and then every bound below is an equality;
- *what the gateway keeps*: one line, one audit row and one count for each call; a usage row for each call that reached
  the provider;
- *what follows from those rows*: every limit has let in exactly the calls that reached the provider, every budget has
  spent exactly the sum of the rows, and each answered row costs exactly what the provider's usage costs at the price.
"""

import sys
from collections.abc import Iterable, Mapping

import msgspec

from benchmarks.chat import COST, PRICES, Answer
from benchmarks.gateway import BUDGETS, LIMITED

_ANSWERED = 200
_CLIENT_CLOSED = 499
_WITNESSES = ("metrics", "log", "audit")


class Client(msgspec.Struct, frozen=True):
    """What the client saw, and the faults it met, by name."""

    answered: int
    left_open: int = 0
    faults: Mapping[str, int] = {}


class Check(msgspec.Struct, frozen=True):
    """One number and its bounds; they are the same where it has to be equal. None: nobody stated it."""

    what: str
    value: int | None
    low: int | None
    high: int | None
    because: str

    @property
    def holds(self) -> bool:
        if self.value is None or self.low is None or self.high is None:
            return False
        return self.low <= self.value <= self.high

    def __str__(self) -> str:
        stated = "is not stated" if self.value is None else f"= {self.value:,}"
        if self.low is None or self.high is None:
            due = "something to compare it with"
        elif self.low == self.high:
            off = "" if self.value is None or self.holds else f" (off by {self.value - self.low:+,})"
            due = f"{self.low:,}{off}"
        else:
            due = f"{self.low:,} to {self.high:,}"
        return f"{self.what} {stated}, has to be {due}: {self.because}"


def growth(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """How much each number grew; one that was not there before began at 0."""
    return {name: value - before.get(name, 0) for name, value in after.items()}


def checks(client: Client, grown: Mapping[str, int], answer: Answer) -> list[Check]:
    """Everything that has to hold of one part of a run in which `answer` came back from every call."""
    made = [
        Check(f"client: {name}", count, 0, 0, "the client met no fault")
        for name, count in sorted(client.faults.items())
    ]
    made += _calls(client, grown)
    made += _rows(client, grown, answer)
    made += _levels(grown)
    made += _budgets(grown)
    return made


def provider_checks(name: str, client: Client, answered: int, refused: int) -> Iterable[Check]:
    """What has to hold of calls that go to the provider past the gateway."""
    for fault, count in sorted(client.faults.items()):
        yield Check(f"{name}: {fault}", count, 0, 0, "the client met no fault")
    high = client.answered + client.left_open
    yield Check(f"{name}: answered by the provider", answered, client.answered, high, _seen(client))
    yield Check(f"{name}: refused by the provider", refused, 0, 0, "the provider was asked as it wants to be")


def _equal(what: str, grown: Mapping[str, int], expected: int | None, because: str) -> Check:
    return Check(what, grown.get(what), expected, expected, because)


def _calls(client: Client, grown: Mapping[str, int]) -> Iterable[Check]:
    low, high = client.answered, client.answered + client.left_open
    answered = f"metrics: status {_ANSWERED}"
    yield Check(answered, grown.get(answered, 0), low, high, _seen(client))
    yield Check("metrics: calls of any status", _calls_of_any_status(grown), low, high, _seen(client))
    for status in sorted({name.rpartition(" ")[2] for name in grown if " status " in name}):
        first, *others = (f"{witness}: status {status}" for witness in _WITNESSES)
        count = grown.get(first, 0)
        if status not in {str(_ANSWERED), str(_CLIENT_CLOSED)}:
            yield Check(first, count, 0, 0, "no call was refused or failed")
        for other in others:
            yield Check(other, grown.get(other, 0), count, count, f"as many as {first}")
    yield Check("provider: refused", grown.get("provider: refused"), 0, 0, "the provider was asked as it wants to be")


def _rows(client: Client, grown: Mapping[str, int], answer: Answer) -> Iterable[Check]:
    rows, ok = grown.get("ledger: rows"), grown.get("ledger ok: rows")
    answered, calls = grown.get(f"metrics: status {_ANSWERED}", 0), _calls_of_any_status(grown)
    yield Check("ledger: rows", rows, answered, calls, "each answered call has one, and no call has two")
    yield Check("ledger ok: rows", ok, client.answered, rows, "each call that the client saw answered has one")
    yield Check("ledger ok: serving rows", grown.get("ledger ok: serving rows"), ok, ok, "who answers serves")
    yield Check("ledger: requests", grown.get("ledger: requests"), rows, rows, "one row for each call")
    yield Check("provider: answered", grown.get("provider: answered"), ok, rows, "what was answered is in the ledger")
    each = {
        "input tokens, not cached": answer.prompt_tokens - answer.cached_tokens,
        "input tokens, cached": answer.cached_tokens,
        "input tokens, written to a cache": 0,
        "output tokens": answer.completion_tokens,
        "cost": PRICES.cost(answer),
        "backend cost": COST.cost(answer),
    }
    for name, amount in each.items():
        due = None if ok is None else ok * amount
        yield _equal(f"ledger ok: {name}", grown, due, f"{amount:,} for each answered call")
    for witness in ("metrics", "log"):
        yield _equal(f"{witness}: input tokens", grown, _input_tokens(grown), "the sum of the ledger")
        yield _equal(f"{witness}: output tokens", grown, grown.get("ledger: output tokens"), "the sum of the ledger")
    yield _equal("log: cost", grown, grown.get("ledger: cost"), "the sum of the ledger")


def _levels(grown: Mapping[str, int]) -> Iterable[Check]:
    for level in LIMITED:
        name = f"limits of the {level}: requests"
        yield _equal(name, grown, grown.get("ledger: rows"), "each call that reached the provider")


def _budgets(grown: Mapping[str, int]) -> Iterable[Check]:
    inputs, outputs = _input_tokens(grown), grown.get("ledger: output tokens")
    tokens = None if inputs is None or outputs is None else inputs + outputs
    for budget, (level, _) in BUDGETS.items():
        # What was taken of a level's budgets, and what the one budget of that level has spent.
        for name in (f"budgets of the {level}", f"budget {budget}"):
            serving = grown.get("ledger: serving rows")
            yield _equal(f"{name}: requests", grown, serving, "every call that the provider may bill")
            yield _equal(f"{name}: tokens", grown, tokens, "the sum of the ledger")
            yield _equal(f"{name}: cost", grown, grown.get("ledger: cost"), "the sum of the ledger, in nano-units")


def _calls_of_any_status(grown: Mapping[str, int]) -> int:
    return sum(count for name, count in grown.items() if name.startswith("metrics: status "))


def _input_tokens(grown: Mapping[str, int]) -> int | None:
    parts = [value for name, value in grown.items() if name.startswith("ledger: input tokens")]
    return sum(parts) if parts else None


def _seen(client: Client) -> str:
    if not client.left_open:
        return f"the client saw {client.answered:,} answers"
    return f"the client saw {client.answered:,} answers and left up to {client.left_open} calls open"


def id_checks(seen: Iterable[str], kept: Mapping[str, Mapping[str, int]]) -> list[Check]:
    """Each request id that the client saw stands once with each witness."""
    ids = list(seen)
    made = [Check("client: different request ids", len(set(ids)), len(ids), len(ids), "every call has its own")]
    for witness, counts in kept.items():
        once = sum(counts.get(name, 0) == 1 for name in ids)
        made.append(Check(f"{witness}: ids there once", once, len(ids), len(ids), "each id that the client saw"))
    return made


def tell(part: str, made: Iterable[Check]) -> int:
    """Prints every check that does not hold, in full; how many those are."""
    checks_made = list(made)
    wrong = [check for check in checks_made if not check.holds]
    print(f"truth, {part}: {len(checks_made) - len(wrong)} of {len(checks_made)} hold", flush=True)
    for check in wrong:
        print(f"  DOES NOT HOLD: {check}", file=sys.stderr, flush=True)
    return len(wrong)
