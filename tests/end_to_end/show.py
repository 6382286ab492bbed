"""Shows one client, unchanged, before and after its provider is swapped in the YAML: `python -m tests.end_to_end.show`.

The provider sends a piece, waits, sends the next one. What is printed is when each piece left the provider and when
the OpenAI SDK handed it to the client, in milliseconds from the call.
"""

import sys
import tempfile
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import openai

from tests.harness import behaviours
from tests.harness.behaviours import answer, stream
from tests.harness.gateway import Gateway
from tests.harness.provider import Endpoint, Gate, Provider

KEY = "sgk_" + "s" * 32
PIECES = ("It ", "rains ", "in ", "Utrecht.")
PAUSE = 0.15
"""Seconds between two pieces."""


def ask(client: openai.OpenAI, *, on_piece: Callable[[str], None]) -> str:
    """What the application does: a plain call and a streamed one. It knows the model's address and nothing else."""
    messages: Any = [{"role": "user", "content": "How is the weather?"}]
    plain = client.chat.completions.create(model="acme/chat", messages=messages, max_tokens=50)
    for chunk in client.chat.completions.create(model="acme/chat", messages=messages, max_tokens=50, stream=True):
        if chunk.choices and chunk.choices[0].delta.content:
            on_piece(chunk.choices[0].delta.content)
    return plain.choices[0].message.content or ""


def configuration(kind: str, url: str) -> dict[str, Any]:
    """The YAML. Between the two runs only `providers` and the backend's model name differ."""
    model = "claude-sonnet-4-5" if kind == "anthropic" else "gpt-4o"
    return {
        "users": {"app": {}},
        "keys": {"app": {"user": "app", "key": KEY}},
        "providers": {"main": {"type": kind, "base_url": url, "api_key": "sk-not-a-real-key"}},
        "backends": {"main": {"provider": "main", "model": model}},
        "models": {
            "acme/chat": {
                "prices": {"input": 3, "output": 15},
                "max_output_tokens": 100,
                "route": {"targets": [{"backend": "main"}]},
            }
        },
    }


@contextmanager
def paced(endpoint: Endpoint, kind: str, sent: list[float]) -> Generator[None]:
    """Plans a plain answer and a stream whose pieces leave one by one."""
    anthropic = kind == "anthropic"
    whole = (behaviours.anthropic_message if anthropic else behaviours.completion)("".join(PIECES))
    frames = (behaviours.anthropic_frames if anthropic else behaviours.openai_frames)(*PIECES)
    gates = [Gate() for _ in PIECES]
    steps: list[bytes | Gate] = []
    held = 0
    for frame in frames:
        if held < len(PIECES) and PIECES[held].strip().encode() in frame:
            steps.append(gates[held])
            held += 1
        steps.append(frame)
    endpoint.then(answer(whole), stream(*steps))

    def pace() -> None:
        endpoint.seen()
        endpoint.seen()
        for one in gates:
            threading.Event().wait(PAUSE)
            sent.append(perf_counter())
            one.open()

    thread = threading.Thread(target=pace)
    thread.start()
    yield
    thread.join()


def note(times: list[float], _piece: str) -> None:
    times.append(perf_counter())


def main() -> int:
    """Runs the client against both providers; 0 where each first piece arrived while its provider was still sending."""
    well = True
    with Provider() as provider, tempfile.TemporaryDirectory() as folder:
        for kind in ("openai", "anthropic"):
            endpoint = provider.at(f"/{kind}/v1")
            sent: list[float] = []
            got: list[float] = []
            with Gateway(configuration(kind, endpoint.url), Path(folder) / kind) as gateway:
                client = openai.OpenAI(base_url=f"{gateway.url}/oai/v1", api_key=KEY)
                with paced(endpoint, kind, sent):
                    begun = perf_counter()
                    plain = ask(client, on_piece=partial(note, got))
            print(f"provider of type {kind}: plain answer {plain!r}; streamed, in ms from the call:")
            for piece, left, came in zip(PIECES, sent, got, strict=True):
                left_ms, came_ms = 1e3 * (left - begun), 1e3 * (came - begun)
                print(f"  {piece!r:12} left the provider {left_ms:7.1f}   reached the client {came_ms:7.1f}")
            early = got[0] < sent[-1]
            print(f"  the first piece came {1e3 * (sent[-1] - got[0]):.0f} ms before the provider sent its last one")
            well = well and early
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
