import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from scaigrid.adapter import Header, UpstreamRequest
from scaigrid.upstream.port import Upstream, UpstreamTooLarge
from scaigrid.upstream.simulated import MODELS, NOTICE
from scaigrid.upstream.simulator import PACE, SimulatorUpstream
from tests.harness.answers import chunks, gather

CHAT: dict[str, Any] = {"model": "trial", "messages": [{"role": "user", "content": "Hi you"}]}
LIMIT = 1_000_000


class Waits:
    """A sleep that is over at once, and remembers."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def request(
    body: dict[str, Any] | bytes,
    path: str = "/chat/completions",
    headers: tuple[Header, ...] = (),
    method: str = "POST",
) -> UpstreamRequest:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return UpstreamRequest(method, f"simulator://here/v1{path}", headers, text)


async def pieces(upstream: Upstream, asked: UpstreamRequest) -> tuple[int, str, list[bytes]]:
    """Status, content type and the body piece by piece."""
    found: list[bytes] = []
    async with upstream.send(asked, connect_timeout=1, stream=True) as response:
        while piece := await response.chunk():
            found.append(piece)
        return response.status, response.headers["content-type"], found


async def answer(body: dict[str, Any] | bytes, **more: Any) -> tuple[int, Any]:
    async with SimulatorUpstream().send(request(body, **more), connect_timeout=1, stream=False) as response:
        return response.status, json.loads(await response.read(LIMIT))


async def test_a_plain_answer_is_one_that_the_sdk_reads() -> None:
    status, body = await answer(CHAT)
    read = ChatCompletion.model_validate(body)
    assert status == 200
    assert read.id.startswith("chatcmpl-simulator-")
    assert (read.model, read.choices[0].message.content) == ("trial", f"{NOTICE} You said: Hi you")
    assert read.usage is not None
    assert (read.usage.prompt_tokens, read.usage.completion_tokens) == (2, 12)


async def test_the_same_request_has_the_same_answer_and_another_one_another() -> None:
    first, second = SimulatorUpstream(), SimulatorUpstream()
    assert await pieces(first, request(CHAT)) == await pieces(second, request(CHAT))
    _, _, (one,) = await pieces(first, request(CHAT))
    _, _, (other,) = await pieces(first, request(CHAT | {"seed": 1}))
    assert json.loads(one)["id"] != json.loads(other)["id"]


async def test_a_stream_comes_word_by_word_and_ends_as_openais() -> None:
    status, kind, found = await pieces(SimulatorUpstream(), request(CHAT | {"stream": True}))
    assert (status, kind) == (200, "text/event-stream")
    assert len(found) == 12 + 1 + 1, "a piece for each token, the end of the choice, the end of the stream"
    read = [ChatCompletionChunk.model_validate(chunk) for chunk in chunks(b"".join(found))]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in read) == f"{NOTICE} You said: Hi you"
    assert all(chunk.usage is None for chunk in read)


async def test_usage_is_streamed_where_it_was_asked_for() -> None:
    asked = request(CHAT | {"stream": True, "n": 2, "stream_options": {"include_usage": True}})
    _, _, found = await pieces(SimulatorUpstream(), asked)
    *said, last = chunks(b"".join(found))
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 2 + 2 * 16)
    choices = gather(said, "reasoning_content")
    assert [choices[index].finishes for index in (0, 1)] == [["stop"], ["stop"]]


async def test_a_tool_call_is_streamed() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"required": ["a"], "type": "object"}}}
    asked = request(CHAT | {"stream": True, "tools": [tool], "tool_choice": "required"})
    _, _, found = await pieces(SimulatorUpstream(), asked)
    choice = gather(chunks(b"".join(found)), "reasoning_content")[0]
    assert (choice.tools[0].name, choice.tools[0].arguments) == ("f", '{"a":"simulated"}')
    assert choice.finishes == ["tool_calls"]


# -- pace ------------------------------------------------------------------------------------------------------------


async def test_without_a_pace_nothing_waits() -> None:
    waits = Waits()
    await pieces(SimulatorUpstream(waits), request(CHAT | {"stream": True}))
    assert waits.seconds == []


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
async def test_the_provider_s_configuration_sets_the_pace(stream: bool) -> None:
    waits = Waits()
    asked = request(CHAT | {"stream": stream, "max_tokens": 3}, headers=((PACE.title(), "50"),))
    await pieces(SimulatorUpstream(waits), asked)
    assert waits.seconds == [0.02] * 4, "three tokens and the end"


async def test_each_token_waits_only_for_its_own() -> None:
    waits = Waits()
    asked = request(CHAT | {"stream": True}, headers=((PACE, "2"),))
    async with SimulatorUpstream(waits).send(asked, connect_timeout=1, stream=True) as response:
        assert waits.seconds == []
        assert b"This" in await response.chunk()
        assert waits.seconds == [0.5]


@pytest.mark.parametrize("pace", ["fast", "0", "-1", "nan", "inf", "1e-9"])
async def test_a_pace_that_is_none_is_refused(pace: str) -> None:
    status, body = await answer(CHAT, headers=((PACE, pace),))
    assert status == 400
    assert body["error"]["message"] == f"The header {PACE} must be a number from 0.001 to 1000000."


# -- embeddings ------------------------------------------------------------------------------------------------------


async def test_embeddings_in_either_spelling() -> None:
    asked: dict[str, Any] = {"model": "e", "input": ["a", "b"], "dimensions": 3}
    status, numbers = await answer(asked, path="/embeddings")
    _, encoded = await answer(asked | {"encoding_format": "base64"}, path="/embeddings")
    assert status == 200
    assert (numbers["model"], numbers["usage"]) == ("e", {"prompt_tokens": 2, "total_tokens": 2})
    for listed, packed in zip(numbers["data"], encoded["data"], strict=True):
        unpacked = struct.unpack("<3f", base64.b64decode(packed["embedding"]))
        assert listed["embedding"] == pytest.approx(unpacked)


# -- refusals --------------------------------------------------------------------------------------------------------


RUBBISH: list[tuple[dict[str, Any] | bytes, str, str]] = [
    (b"{", "body", "The request is not valid. body is not valid JSON: input data was truncated."),
    (b"[]", "body", "The request is not valid. body must be a JSON object."),
    ({"messages": []}, "messages", "The request is not valid. messages must not be empty. model is required."),
    (CHAT | {"n": 0}, "n", "The request is not valid. n must be at least 1."),
    (CHAT | {"top_k": 5}, "top_k", "Unrecognized request argument supplied. top_k is not known."),
    (
        CHAT | {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
        "messages[0].content[0].file",
        "The request is not valid. messages[0].content[0].file must have exactly one of file_data and file_id.",
    ),
    (
        CHAT | {"tool_choice": "required"},
        "tool_choice",
        "The request is not valid. tool_choice asks for a tool that is not in tools.",
    ),
]


@pytest.mark.parametrize(("body", "param", "message"), RUBBISH, ids=range(len(RUBBISH)))
async def test_rubbish_is_refused_as_openai_refuses_it(body: dict[str, Any] | bytes, param: str, message: str) -> None:
    status, refusal = await answer(body)
    assert status == 400
    assert refusal == {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}}


async def test_what_openai_documents_is_taken_without_effect() -> None:
    status, body = await answer(CHAT | {"logit_bias": {"1": 1}, "store": True, "prediction": {}, "verbosity": "low"})
    assert status == 200
    assert body["choices"][0]["message"]["content"] == f"{NOTICE} You said: Hi you"


async def test_it_lists_its_models_as_the_sdk_reads_them() -> None:
    status, body = await answer(b"", path="/models", method="GET")
    assert (status, body["object"]) == (200, "list")
    read = [Model.model_validate(entry) for entry in body["data"]]
    assert [(one.id, one.owned_by) for one in read] == [(name, "scaigrid-simulator") for name in MODELS]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/completions"), ("GET", "/chat/completions"), ("POST", "/models"), ("GET", "/models/one")],
    ids=range(4),
)
async def test_there_is_nothing_at_any_other_place(method: str, path: str) -> None:
    status, refusal = await answer(CHAT, path=path, method=method)
    assert status == 404
    assert refusal["error"]["message"] == f"Invalid URL ({method} /v1{path})"


async def test_an_answer_larger_than_the_bound_is_an_upstream_failure() -> None:
    async with SimulatorUpstream().send(request(CHAT), connect_timeout=1, stream=False) as response:
        with pytest.raises(UpstreamTooLarge):
            await response.read(10)


async def test_it_closes_like_any_upstream() -> None:
    upstream: Upstream = SimulatorUpstream()
    await upstream.aclose()
    assert (await pieces(upstream, request(CHAT)))[0] == 200


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_fields = st.sampled_from(("messages", "n", "stop", "tools", "tool_choice", "response_format", "max_tokens", "input"))


@settings(deadline=None)
@given(st.sampled_from(("/chat/completions", "/embeddings")), st.dictionaries(_fields, _json))
async def test_no_request_brings_anything_but_an_answer_or_a_refusal(path: str, more: dict[str, Any]) -> None:
    body = CHAT | {"stream": False} | more if path != "/embeddings" else {"model": "e", "input": "x"} | more
    status, read = await answer(body, path=path)
    assert status in (200, 400)
    assert ("error" in read) == (status == 400)
