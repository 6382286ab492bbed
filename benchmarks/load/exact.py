"""A fixed number of calls over a fixed number of connections, every one waited for: a client to be counted on."""

import http.client
import json
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import msgspec

from benchmarks.chat import Answer, Target

_TIMEOUT_SECONDS: Final = 30.0


class Seen(msgspec.Struct, frozen=True):
    """The answers: the request id of each good one, and what was wrong with the others, by name."""

    ids: list[str]
    faults: dict[str, int]


def call(target: Target, answer: Answer, *, requests: int, connections: int) -> Seen:
    """Makes so many calls; each thread has its own connection, and a call that fails is not repeated."""
    shares = [requests // connections + (place < requests % connections) for place in range(connections)]
    with ThreadPoolExecutor(connections) as threads:
        seen = list(threads.map(partial(_call_in_turn, target, answer), shares))
    return Seen([name for one in seen for name in one.ids], dict(_added(one.faults for one in seen)))


def _call_in_turn(target: Target, answer: Answer, share: int) -> Seen:
    ids: list[str] = []
    faults: Counter[str] = Counter()
    body = target.body()
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=_TIMEOUT_SECONDS)
    try:
        for _ in range(share):
            try:
                connection.request("POST", target.path, body, target.headers)
                response = connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException) as error:
                faults[type(error).__name__] += 1
                connection.close()
                continue
            fault = fault_of(response.status, text, target.model, answer)
            if fault is None:
                ids.append(response.headers.get("x-request-id", ""))
            else:
                faults[fault] += 1
    finally:
        connection.close()
    return Seen(ids, dict(faults))


def fault_of(status: int, text: bytes, model: str, answer: Answer) -> str | None:
    """What is wrong with an answer: its status, its model (the one that was asked for) or the usage that it states."""
    if status != 200:
        return f"status {status}"
    try:
        completion: dict[str, Any] = json.loads(text)
        usage: dict[str, Any] = completion["usage"]
        stated = Answer(
            prompt_tokens=usage["prompt_tokens"],
            cached_tokens=usage["prompt_tokens_details"]["cached_tokens"],
            completion_tokens=usage["completion_tokens"],
        )
        content: str = completion["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as error:
        return f"no completion ({type(error).__name__})"
    if completion.get("model") != model:
        return f"model {completion.get('model')!r}"
    if stated != answer:
        return "another usage than the provider's"
    return None if content else "no text"


def _added(counts: Iterable[dict[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return total
