"""The one call of every lane: what is asked, what comes back, and what that has to cost, reckoned here by itself."""

import json
from decimal import ROUND_CEILING, Decimal
from typing import Final

import msgspec

PROVIDER_MODEL: Final = "mock-large"
PROVIDER_KEY: Final = "provider-key-of-the-benchmark"
FRONTEND_MODEL: Final = "bench/chat"
GATEWAY_KEY: Final = "sgk_benchmark_0123456789abcdefghijklmnopqrstuv"

# More bytes than the prompt tokens that the provider bills: a token is at least one byte, so no budget is overrun.
_SYSTEM = (
    "You answer questions about a gateway that stands between applications and language models. Be brief and exact: "
    "name the part that does the work, say what it keeps and what it forgets, and leave out what was not asked."
)
_QUESTION = (
    "A call arrives with a key that belongs to a user of a tenant of a partner. Each of them has a limit, each has a "
    "budget, and the model has one too. In which order are they asked, what happens to what was taken at the first "
    "ones when the last one refuses, and what is written down about it?"
)


class Target(msgspec.Struct, frozen=True):
    """Where calls go and how they are made there."""

    port: int
    path: str
    key: str
    model: str
    stream_options: bool = True
    """Whether a stream has to be asked for its usage, as OpenAI's."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}", "content-type": "application/json", "user-agent": "benchmarks"}

    def body(self, *, stream: bool = False) -> bytes:
        """A chat call as an SDK writes it, of about 800 bytes."""
        call: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _QUESTION}],
            "temperature": 0.2,
            "max_tokens": 256,
        }
        if stream:
            call["stream"] = True
        if stream and self.stream_options:
            call["stream_options"] = {"include_usage": True}
        return json.dumps(call, separators=(",", ":")).encode()


def at_provider(port: int) -> Target:
    """The provider itself, or a proxy that hands on what it gets."""
    return Target(port, "/v1/chat/completions", PROVIDER_KEY, PROVIDER_MODEL)


def at_gateway(port: int) -> Target:
    """The gateway by its OpenAI dialect, the provider's own: answers are passed through."""
    return Target(port, "/oai/v1/chat/completions", GATEWAY_KEY, FRONTEND_MODEL)


def at_gateway_translated(port: int) -> Target:
    """The gateway by its native dialect: every answer is translated."""
    return Target(port, "/v1/inference/chat", GATEWAY_KEY, FRONTEND_MODEL, stream_options=False)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider bills for one answer. Its prompt tokens include the cached ones, as OpenAI counts them."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


ANSWER: Final = Answer(prompt_tokens=146, cached_tokens=64, completion_tokens=96)


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Decimal amounts per million tokens, and per request."""

    input: str
    cached_input: str
    output: str
    request: str = "0"

    def cost(self, answer: Answer) -> int:
        """Nano-units for one answer: each class rounded up once (the gateway's promise, not its code)."""
        classes = (
            (answer.prompt_tokens - answer.cached_tokens, self.input),
            (answer.cached_tokens, self.cached_input),
            (answer.completion_tokens, self.output),
        )
        amounts = [Decimal(self.request) * 10**9, *(tokens * Decimal(price) * 1000 for tokens, price in classes)]
        return sum(int(amount.to_integral_value(ROUND_CEILING)) for amount in amounts)


# No class comes out even, so that a price that is rounded otherwise, or twice, is seen.
PRICES: Final = Prices(input="0.1503", cached_input="0.07519", output="0.6017", request="0.000001")
COST: Final = Prices(input="0.1201", cached_input="0.06013", output="0.4811")
