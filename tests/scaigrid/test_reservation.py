"""What a call takes ahead: never less than a provider could bill for it, whatever stands in its body."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from scaigrid.call import Call
from scaigrid.config.snapshot import Model
from scaigrid.dialects import DIALECTS
from scaigrid.errors import Code, GatewayError
from scaigrid.exchange import Exchange, Reserved
from scaigrid.middleware import begin, speaker
from scaigrid.reservation import output_bound, reserve
from tests.harness.asgi import Request
from tests.harness.services import Parts

NATIVE: Final = "/v1/inference/chat"
OPENAI: Final = "/oai/v1/chat/completions"
RESPONSES: Final = "/oai/v1/responses"
ANTHROPIC: Final = "/anthropic/v1/messages"
WINDOW: Final = 100_000
ADDED: Final = 1024
"""For what providers add to every prompt."""
IMAGE: Final = 1_500
PNG: Final = base64.b64encode(bytes(range(256)) * 40).decode()


def made(**fields: Any) -> tuple[Parts, Model]:
    """A model with a window of 100,000 tokens and an output bound of 1,000, unless `fields` say otherwise."""
    model = {
        "unpriced": "free",
        "context_window": WINDOW,
        "max_output_tokens": 1_000,
        "route": {"targets": [{"backend": "one"}]},
        **fields,
    }
    parts = Parts(models={"m": model})
    return parts, parts.model


def decoded(path: str, body: Mapping[str, Any] | bytes) -> Call:
    sent = body if isinstance(body, bytes) else json.dumps({"model": "m", **body}).encode()
    return speaker(DIALECTS, path).decode(path, sent)


def exchange_of(parts: Parts) -> Exchange:
    request = Request("/v1/do")
    return begin(request.scope, request.send, parts.services, "test")[0]


def taken(path: str, body: Mapping[str, Any] | bytes, **fields: Any) -> Reserved:
    parts, model = made(**fields)
    return reserve(exchange_of(parts), decoded(path, body), model)


def refusal(path: str, body: Mapping[str, Any] | bytes, **fields: Any) -> GatewayError:
    parts, model = made(**fields)
    call = decoded(path, body)
    with pytest.raises(GatewayError) as caught:
        reserve(exchange_of(parts), call, model)
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    return caught.value


def size(body: Mapping[str, Any]) -> int:
    return len(json.dumps({"model": "m", **body}))


def said(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts) or "Hello?"}], "max_tokens": 10}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


# -- texts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [NATIVE, OPENAI, ANTHROPIC])
def test_a_text_takes_its_bytes_and_the_bound_of_its_answer(path: str) -> None:
    assert taken(path, said()).tokens == size(said()) + ADDED + 10


def test_what_the_operator_puts_into_every_call_counts_too() -> None:
    more = taken(OPENAI, said(), system_prompt="Bé brief.", default_params={"user": "abc"})
    assert more.tokens == taken(OPENAI, said()).tokens + len("Bé brief.".encode()) + len('user"abc"')


def test_a_chat_never_has_more_input_than_its_window() -> None:
    assert taken(OPENAI, said(), context_window=50).tokens == 50 + 10


def test_answers_are_taken_as_often_as_they_are_asked_for() -> None:
    body = said() | {"n": 3, "max_tokens": 7}
    assert taken(OPENAI, body).tokens == size(body) + ADDED + 21
    above = body | {"max_tokens": 5_000}
    assert taken(OPENAI, above).tokens == size(above) + ADDED + 3_000


def test_without_a_bound_of_the_callers_the_models_is_taken_and_sent() -> None:
    parts, model = made()
    body = {"messages": said()["messages"]}
    exchange = exchange_of(parts)
    assert reserve(exchange, decoded(OPENAI, body), model).tokens == size(body) + ADDED + 1_000
    assert exchange.output_bound == 1_000


def test_what_nothing_bounds_is_refused_and_the_field_is_named() -> None:
    body = {"messages": said()["messages"]}
    error = refusal(OPENAI, body, max_output_tokens=None)
    assert [fault.field for fault in error.details] == ["max_tokens"]
    assert taken(OPENAI, said(), max_output_tokens=None).tokens == size(said()) + ADDED + 10


def test_it_is_worked_out_once() -> None:
    parts, model = made()
    exchange = exchange_of(parts)
    first = reserve(exchange, decoded(OPENAI, said()), model)
    assert reserve(exchange, decoded(OPENAI, said(text("longer " * 50))), model) is first


def test_several_prompts_have_the_window_each_to_itself() -> None:
    body = {"prompt": ["word " * 40] * 3, "max_tokens": 5}
    assert taken("/oai/v1/completions", body, context_window=100).tokens == size(body) + ADDED + 15


def test_the_price_is_that_of_the_worst() -> None:
    prices = {"input": 3, "output": 15, "request": "0.5"}
    reserved = taken(OPENAI, said(), unpriced=None, prices=prices)
    assert reserved.cost == (reserved.tokens - 10) * 3_000 + 10 * 15_000 + 500_000_000


# -- what is no chat -------------------------------------------------------------------------------------------------


def test_vectors_take_every_byte_for_the_window_holds_one_text_of_many() -> None:
    body = {"input": ["word " * 100] * 20}
    tokens = taken("/oai/v1/embeddings", body, modality="embedding", context_window=10).tokens
    assert tokens == size(body) + ADDED


def test_a_reranker_reads_the_query_beside_each_document() -> None:
    body = {"query": "é" * 10, "documents": ["a", "b", "c"]}
    tokens = taken("/v1/inference/rerank", body, modality="rerank", context_window=10, route=None).tokens
    assert tokens == size(body) + ADDED + 2 * 20


def test_to_ask_for_a_size_takes_nothing() -> None:
    body = said()
    del body["max_tokens"]
    assert taken(f"{ANTHROPIC}/count_tokens", body) == Reserved(0, 0)


# -- images ----------------------------------------------------------------------------------------------------------


def openai_image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def anthropic_image(data: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


def responses(*parts: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": list(parts)}], "max_output_tokens": 10}


DATA_URL: Final = f"data:image/png;base64,{PNG}"
WAYS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "native": (NATIVE, said(text("Hi"), *[{"type": "image", "data": PNG, "media_type": "image/png"}] * 2)),
    "openai": (OPENAI, said(text("Hi"), *[openai_image(DATA_URL)] * 2)),
    "responses": (RESPONSES, responses(*[{"type": "input_image", "image_url": DATA_URL}] * 2)),
    "anthropic": (ANTHROPIC, said(text("Hi"), *[anthropic_image(PNG)] * 2)),
    "a tool's": (
        ANTHROPIC,
        {
            "messages": [
                {"role": "user", "content": "Look."},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "look", "input": {}}]},
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "t", "content": [anthropic_image(PNG)] * 2}],
                },
            ],
            "max_tokens": 10,
        },
    ),
}


@pytest.mark.parametrize(("path", "body"), WAYS.values(), ids=WAYS)
def test_images_take_what_the_model_says_and_not_their_base64(path: str, body: dict[str, Any]) -> None:
    tokens = taken(path, body, max_image_tokens=IMAGE).tokens
    assert tokens == 2 * IMAGE + size(body) - 2 * len(PNG) + ADDED + 10


@pytest.mark.parametrize(("path", "body"), WAYS.values(), ids=WAYS)
def test_where_the_model_says_nothing_an_image_fills_the_window(path: str, body: dict[str, Any]) -> None:
    assert taken(path, body).tokens == WINDOW + 10
    error = refusal(path, body, context_window=None)
    assert "declares no context window" in error.message


def test_images_fill_no_more_than_the_window() -> None:
    path, body = WAYS["openai"]
    assert taken(path, body, max_image_tokens=90_000).tokens == WINDOW + 10


def test_an_image_by_its_address_takes_as_much() -> None:
    body = said(text("Hi"), openai_image("https://example.test/a.png"))
    assert taken(OPENAI, body, max_image_tokens=IMAGE).tokens == IMAGE + size(body) + ADDED + 10


def test_a_client_that_escapes_slashes_is_counted_alike() -> None:
    body = json.dumps({"model": "m", **WAYS["openai"][1]}).replace("/", "\\/").encode()
    assert "/" in PNG
    assert taken(OPENAI, body, max_image_tokens=IMAGE).tokens == (2 * IMAGE + len(body) - 2 * (len(PNG)) + ADDED + 10)


def test_a_data_url_without_base64_counts_by_its_bytes() -> None:
    """It is given base64 when it is read, which is longer than what stands in the body."""
    body = said(text("Hi"), openai_image("data:image/svg+xml," + "x" * 5_000), openai_image(DATA_URL))
    assert taken(OPENAI, body, max_image_tokens=IMAGE).tokens == 2 * IMAGE + size(body) + ADDED + 10


def test_a_name_that_only_looks_like_an_image_costs_nothing() -> None:
    schema = {"type": "object", "properties": {"image": {"type": "string"}, "file": {"type": "string"}}}
    body = said() | {"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]}
    assert taken(OPENAI, body).tokens == size(body) + ADDED + 10


def test_a_text_about_images_is_a_text() -> None:
    body = said(text('{"type": "image_url", "audio": "\\u0061"}'))
    assert taken(OPENAI, body).tokens == size(body) + ADDED + 10


# -- what is told no closer ------------------------------------------------------------------------------------------

SOUND: Final = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
FILES: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "sound": (OPENAI, said(SOUND)),
    "native sound": (NATIVE, said({"type": "audio", "data": "AAAA", "format": "wav"})),
    "file": (OPENAI, said({"type": "file", "file": {"file_id": "file-1"}})),
    "native file": (NATIVE, said({"type": "file", "url": "https://example.test/a.pdf"})),
    "document": (ANTHROPIC, said({"type": "document", "source": {"type": "url", "url": "https://example.test/a.pdf"}})),
    "input_file": (RESPONSES, responses({"type": "input_file", "file_url": "https://example.test/a.pdf"})),
    "uploaded image": (ANTHROPIC, said({"type": "image", "source": {"type": "file", "file_id": "file_1"}})),
    "video": (OPENAI, said({"type": "video_url", "video_url": {"url": "https://example.test/a.mp4"}})),
    "stored conversation": (RESPONSES, responses(text("Hi")) | {"previous_response_id": "resp_1"}),
    "a field that nobody knows": (OPENAI, said(openai_image(DATA_URL)) | {"frames": [1]}),
    "a part that nobody knows": (OPENAI, said(openai_image(DATA_URL), {"type": "hologram", "url": "x"})),
}


@pytest.mark.parametrize(("path", "body"), FILES.values(), ids=FILES)
def test_what_no_image_is_fills_the_window_beside_images_too(path: str, body: dict[str, Any]) -> None:
    assert taken(path, body, max_image_tokens=IMAGE).tokens == WINDOW + 10


HIDDEN: Final[Mapping[str, bytes]] = {
    "a name spelled by numbers": rb'{"type":"im\u0061ge_url","im\u0061ge_url":{"url":"https://x.test/a.png"}}',
    "the head of a data URL by numbers": rb'{"type":"image_url","image_url":{"url":"data\u003aimage/svg+xml,x"}}',
}


@pytest.mark.parametrize("part", HIDDEN.values(), ids=HIDDEN)
def test_who_hides_what_it_sends_fills_the_window(part: bytes) -> None:
    body = b'{"model":"m","max_tokens":10,"messages":[{"role":"user","content":[%b]}]}' % part
    assert taken(OPENAI, body, max_image_tokens=1).tokens == WINDOW + 10


def test_a_name_that_stands_twice_counts_however_the_provider_reads_it() -> None:
    """We read the last one, others the first."""
    twice = json.dumps(openai_image("https://x.test/a.png"))
    body = (
        '{"model":"m","max_tokens":10,"messages":[{"role":"user","content":['
        f'{twice},{twice},{twice}],"content":"Hi"}}]}}'
    ).encode()
    assert taken(OPENAI, body, max_image_tokens=IMAGE).tokens == 3 * IMAGE + len(body) + ADDED + 10
    sound = body.replace(twice.encode(), json.dumps(SOUND).encode(), 1)
    assert taken(OPENAI, sound, max_image_tokens=IMAGE).tokens == WINDOW + 10


def test_what_cannot_be_told_of_vectors_is_refused() -> None:
    """Their window bounds one text, and not how many there are."""
    body = {"input": ["a"], "image": ["https://x.test/a.png"]}
    assert "Images, audio and files" in refusal("/oai/v1/embeddings", body, modality="embedding").message


# -- the bound alone -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "most", "bounded", "sent"),
    [
        (None, None, True, None),
        (None, 50, True, 50),
        (None, 50, False, None),
        (70, 50, False, 50),
        (30, 50, True, 30),
        (70, None, True, 70),
    ],
)
def test_the_bound_is_the_callers_within_the_models(
    asked: int | None, most: int | None, bounded: bool, sent: int | None
) -> None:
    _, model = made(max_output_tokens=most)
    body = {"messages": said()["messages"], **({} if asked is None else {"max_tokens": asked})}
    assert output_bound(decoded(OPENAI, body), model, bounded=bounded) == sent
