"""What holds for every provider in the registry. Registering one is joining.

`answers/<protocol>/<feature>[-<what>]` is an answer as a provider gives it: `.json`, `.sse`, `.ndjson`, or `.frames`,
an event stream in text (see `tests.harness.eventstreams`). `.events` beside it is what it says. `golden/<case>.json` is
a canonical call with the features that it needs, and `golden/<case>.<provider>.json` what becomes of it. Who claims a
feature has to show it, and what is shown has to be claimed.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters import ADAPTERS
from adapters.endpoints import ROWS
from adapters.wire import is_list, is_object
from scaigrid import dropping
from scaigrid.adapter import FEATURES, Adapter, Decoder
from scaigrid.call import Call
from scaigrid.errors import Code, GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import Chat, Done, Embed, Message, Operation, Rerank, Start, TextPart, Usage
from tests.adapters.calls import (
    RELAYING,
    byte_by_byte,
    decode,
    foreign,
    lines,
    openai,
    outgoing,
    target,
    until_failure,
    user,
)
from tests.harness.eventstreams import framed

HERE: Final = Path(__file__).parent
PROTOCOLS: Final = {
    "openai": "openai",
    "azure": "openai",
    "custom": "openai",
    "simulator": "openai",
    "anthropic": "anthropic",
    "google": "google",
    "cohere": "cohere",
    "ollama": "ollama",
    "bedrock": "bedrock",
}
"""Whose answers each provider gives."""
FURTHER: Final[Mapping[str, Sequence[str]]] = {
    "openai": ("openai-cited",),
    "azure": ("openai-cited",),
    "custom": ("openai-cited", "openai-ranked"),
    "simulator": ("openai-ranked",),
}
"""Folders of answers that not everybody of a protocol gives."""
SHOWN: Final = [name for name in ADAPTERS if name not in {row.name for row in ROWS}]
"""All but the rows of the OpenAI protocol, which are the code of `custom`: what each of them says otherwise is shown
by the tests of `endpoints`."""
MODELS: Final = {
    "anthropic": "claude-opus-4-8",
    "google": "gemini-3-flash-preview",
    "bedrock": "us.anthropic.claude-sonnet-4-6",
}
EMBED_MODELS: Final = {"bedrock": "cohere.embed-v4:0"}
"""Who has to be told by a model's name what kind of call it takes."""
GOVERNED: Final[Mapping[str, Sequence[str]]] = {"google": ("model", "contents", "systemInstruction")}
"""What a caller's own options may not set, where a protocol does not say it in the common words."""
CHATS: Final[Mapping[str, str]] = {
    "cohere": "v2/chat",
    "ollama": "api/chat",
    "bedrock": "model/upstream-model-1/converse",
}
"""Where chats go, where that is not told by the pattern that most keep to."""
MODEL_LISTS: Final[Mapping[str, str]] = {
    "azure": "/openai/v1/models",
    "cohere": "/v1/models",
    "ollama": "/api/tags",
    "bedrock": "/foundation-models",
}
"""Where the list of models is, where it is not at `/models`."""
ERRORS: Final[Mapping[str, bytes]] = {
    "bedrock": b'{"__type":"ThrottlingException","message":"Slow down."}',
    "google": b'{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Slow down."}}',
}
"""An error object, where it has other words than most."""
PAGES: Final[Mapping[str, str]] = {"anthropic": "after_id", "cohere": "page_token", "google": "pageToken"}
"""By which parameter the next page of that list is asked for."""
SHOWN_BY_ANSWERS: Final = frozenset(
    {"chat", "embed", "rerank", "stream", "tools", "reasoning", "citations", "n", "logprobs"}
)
SHOWN_BY_CALLS: Final = FEATURES - {"citations"}
SETTINGS: Final = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


class Answer(msgspec.Struct, frozen=True):
    provider: str
    path: Path

    @property
    def adapter(self) -> Adapter:
        return ADAPTERS[self.provider]

    @property
    def stream(self) -> bool:
        return self.path.suffix != ".json"

    @property
    def body(self) -> bytes:
        body = self.path.read_bytes()
        return framed(body.decode()) if self.path.suffix == ".frames" else body

    @property
    def features(self) -> frozenset[str]:
        feature = self.path.name.split(".")[0].split("-")[0]
        return frozenset({feature, "stream"} if self.stream else {feature})

    @property
    def events(self) -> str:
        """What the answer says; reasoning bears the name of whoever gave it."""
        said = Path(f"{self.path}.events").read_text()
        return said.replace(f'"provider":"{PROTOCOLS[self.provider]}"', f'"provider":"{self.provider}"')

    def call(self) -> Call:
        if "embed" in self.features:
            return foreign(Embed(input=("one", "two")))
        if "rerank" in self.features:
            return foreign(Rerank(query="which?", documents=("one", "two")))
        return foreign(Chat(messages=(user("Hi"),), n=2 if "n" in self.features else 1), stream=self.stream)

    def decoder(self) -> Decoder:
        return self.adapter.decoder(self.call(), target(self.provider))


def answers() -> Iterator[Any]:
    for provider in SHOWN:
        for folder in (PROTOCOLS[provider], *FURTHER.get(provider, ())):
            for path in sorted((HERE / "answers" / folder).iterdir()):
                if path.suffix != ".events":
                    yield pytest.param(Answer(provider, path), id=f"{provider}-{path.name}")


ALL: Final[list[Any]] = list(answers())
STREAMS: Final = [case for case in ALL if case.values[0].stream]
SERVER_SENT: Final = [case for case in ALL if case.values[0].path.suffix == ".sse"]
PLAIN: Final = [case for case in ALL if not case.values[0].stream]
CASES: Final = sorted(path.stem for path in (HERE / "golden").glob("*.json") if "." not in path.stem)


class Case(msgspec.Struct, frozen=True):
    features: frozenset[str]
    call: Chat | None = None
    embed: dict[str, Any] | None = None
    rerank: Rerank | None = None
    stream: bool = False
    operation: Operation | None = None

    def made(self) -> Call:
        if self.call is not None:
            return foreign(self.call, stream=self.stream, operation=self.operation)
        if self.rerank is not None:
            return foreign(self.rerank)
        fields: dict[str, Any] = dict(self.embed or {})
        fields["input"] = tuple(tuple(one) if is_list(one) else one for one in fields["input"])
        return foreign(Embed(**fields))


def case(name: str) -> Case:
    return msgspec.json.decode((HERE / "golden" / f"{name}.json").read_bytes(), type=Case)


@pytest.fixture(params=SHOWN)
def provider(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def adapter(provider: str) -> Adapter:
    return ADAPTERS[provider]


def encode(provider: str, call: Call) -> bytes:
    return encode_dropping(provider, call)[0]


def encode_dropping(provider: str, call: Call) -> tuple[bytes, list[str]]:
    """The body, and which fields had to be left out of it, as far as an operator may allow that."""
    models = {**MODELS, **EMBED_MODELS} if call.operation == "embed" else MODELS
    where = target(provider, model=models.get(provider, "upstream-model-1"))
    said = outgoing()
    body = dropping.encoded(ADAPTERS[provider], call, where, said, drops=True).body
    return body, sorted(said.dropped)


# -- the registry ----------------------------------------------------------------------------------------------------


def test_a_provider_is_registered_under_its_name(provider: str, adapter: Adapter) -> None:
    assert adapter.name == provider
    assert adapter.can <= FEATURES
    assert adapter.transport in ("http", "simulator")


def test_an_address_has_no_slash_at_its_end(adapter: Adapter) -> None:
    address = adapter.base_url()
    assert address is None or re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9-]+)*", address)


def test_headers_hold_the_key_once_and_give_way_to_the_operators_own(adapter: Adapter) -> None:
    key = Secret("key-that-is-secret")
    made = adapter.headers(key, {"X-Team": "blue", "Content-Type": "application/json; v=2"})
    assert [name for name, value in made if "key-that-is-secret" in value] in (
        ["authorization"],
        ["x-api-key"],
        ["x-goog-api-key"],
        ["api-key"],
    )
    assert ("x-team", "blue") in made
    assert [value for name, value in made if name == "content-type"] == ["application/json; v=2"]
    assert len(dict(made)) == len(made)
    assert all(name == name.lower() for name, _ in made)


def test_without_a_key_nothing_is_sent_for_one(adapter: Adapter) -> None:
    for key in (None, Secret("")):
        names = dict(adapter.headers(key, {}))
        assert names["content-type"] == "application/json"
        assert not {"authorization", "x-api-key", "x-goog-api-key", "api-key"} & names.keys()


def test_a_claim_has_a_fixture_and_a_fixture_has_a_claim(provider: str, adapter: Adapter) -> None:
    mine = [one.values[0] for one in ALL if one.values[0].provider == provider]
    by_answers = frozenset[str]().union(*(answer.features for answer in mine))
    assert by_answers == adapter.can & SHOWN_BY_ANSWERS
    spoken = [case(name) for name in written(provider) if not is_refused(name, provider)]
    assert frozenset[str]().union(*(one.features for one in spoken)) == adapter.can & SHOWN_BY_CALLS


# -- calls -----------------------------------------------------------------------------------------------------------


def golden_file(name: str, provider: str) -> Path:
    """What is written for the provider, or for all of its protocol."""
    own = HERE / "golden" / f"{name}.{provider}.json"
    return own if own.exists() else HERE / "golden" / f"{name}.{PROTOCOLS[provider]}.json"


def written(provider: str) -> list[str]:
    """The cases that say something of the provider: those of features that all have in one call, and its own."""
    return [name for name in CASES if golden_file(name, provider).exists()]


def golden(name: str, provider: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(golden_file(name, provider).read_bytes())
    return found


def is_refused(name: str, provider: str) -> bool:
    return "refused" in golden(name, provider)


@pytest.mark.parametrize(("name", "provider"), [(name, one) for one in SHOWN for name in written(one)])
def test_a_call_becomes_what_is_written_beside_it(name: str, provider: str, adapter: Adapter) -> None:
    wanted = golden(name, provider)
    if "refused" not in wanted:
        # The bytes: what is written is only spread over lines.
        compact = json.dumps(wanted.get("body", wanted), ensure_ascii=False, separators=(",", ":")).encode()
        assert encode_dropping(provider, case(name).made()) == (compact, wanted.get("dropped", []))
        assert case(name).features <= adapter.can
        return
    with pytest.raises(GatewayError) as caught:
        encode(provider, case(name).made())
    assert {"code": caught.value.code, "fields": [one.field for one in caught.value.details]} == wanted["refused"]
    # What is claimed is refused only for a reason that is written down.
    assert "because" in wanted or not case(name).features <= adapter.can


def test_encoding_is_the_same_each_time_and_leaves_the_call_alone(provider: str) -> None:
    for name in (name for name in written(provider) if not is_refused(name, provider)):
        call = case(name).made()
        before = msgspec.json.encode(call.canonical())
        assert encode(provider, call) == encode(provider, call)
        assert msgspec.json.encode(call.canonical()) == before


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        (name, one)
        for one in SHOWN
        for name in ("full", "rich", "least")
        if name in written(one) and not is_refused(name, one)
    ],
)
def test_the_next_turn_begins_with_the_bytes_of_the_last(name: str, provider: str) -> None:
    """Else the provider's prompt cache would never meet what it knows."""
    asked = case(name).call
    assert asked is not None
    first = encode(provider, foreign(asked))
    more = (*asked.messages, Message(role="assistant", content=(TextPart("Yes."),)), user("More."))
    second = encode(provider, foreign(msgspec.structs.replace(asked, messages=more)))
    # All but what closes the messages and the body.
    assert second.startswith(first.removesuffix(b"]}"))


def test_a_request_goes_to_the_targets_address_with_its_headers(provider: str, adapter: Adapter) -> None:
    request = adapter.encode(foreign(Chat(messages=(user("Hi"),), max_tokens=9)), target(provider), outgoing())
    assert request.method == "POST"
    usual = r"(openai/v1/)?chat/completions|messages|models/[a-z0-9-]+:generateContent"
    assert re.fullmatch(rf"https://provider\.example/v1/({CHATS.get(PROTOCOLS[provider], usual)})", request.url)
    assert request.headers == target(provider).headers


def test_what_the_caller_said_in_another_dialect_alone_is_refused_by_name(provider: str) -> None:
    asked = Chat(messages=(user("Hi"),), max_tokens=9, unknown=("store", "messages[0].audio"))
    with pytest.raises(GatewayError) as caught:
        encode(provider, foreign(asked))
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    assert [one.field for one in caught.value.details] == ["store", "messages[0].audio"]


def test_the_gateways_own_word_is_in_every_translation(provider: str, adapter: Adapter) -> None:
    said = outgoing(max_output=77, system_prompt="Obey.", defaults={"temperature": 0.25, "top_p": 0.5})
    call = foreign(Chat(messages=(user("Hi"),), max_tokens=9, top_p=0.75), members={"top_p": 0.75})
    found = leaves(json.loads(adapter.encode(call, target(provider), said).body))
    assert [one for one in (0.25, 0.5, 0.75, 9, 77) if one in found] == [0.25, 0.75, 77]
    assert found.index("Obey.") < found.index("Hi")


def leaves(value: Any) -> list[Any]:
    """Every value of a body that holds no others, wherever it stands."""
    if is_object(value):
        return [leaf for one in value.values() for leaf in leaves(one)]
    return [leaf for one in value for leaf in leaves(one)] if is_list(value) else [value]


def test_a_callers_own_options_cannot_take_what_is_governed(provider: str) -> None:
    for field in GOVERNED.get(PROTOCOLS[provider], ("model", "messages", "stream", "max_tokens")):
        asked = Chat(messages=(user("Hi"),), max_tokens=9, provider_options={provider: {field: "mine"}})
        with pytest.raises(GatewayError) as caught:
            encode(provider, foreign(asked))
        assert caught.value.code is Code.VALIDATION_ERROR
        assert [one.field for one in caught.value.details] == [f"provider_options.{provider}.{field}"]


def test_options_for_another_provider_are_not_for_this_one(provider: str) -> None:
    plain = Chat(messages=(user("Hi"),), max_tokens=9)
    others = {name: {"top_k": 1} for name in ADAPTERS if name != provider}
    assert encode(provider, foreign(msgspec.structs.replace(plain, provider_options=others))) == encode(
        provider, foreign(plain)
    )


# -- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ALL)
def test_an_answer_says_what_is_written_beside_it(answer: Answer) -> None:
    assert lines(decode(answer.decoder(), [answer.body])) == answer.events


@pytest.mark.parametrize("answer", ALL)
def test_an_answer_has_one_beginning_and_one_end_for_each_choice(answer: Answer) -> None:
    events = decode(answer.decoder(), [answer.body])
    assert [isinstance(event, Start) for event in events] == [True] + [False] * (len(events) - 1)
    done = [event.index for event in events if isinstance(event, Done)]
    choices = 0 if answer.features & {"embed", "rerank"} else 2 if "n" in answer.features else 1
    assert done == list(range(choices))
    assert events[len(events) - choices :] == [event for event in events if isinstance(event, Done)]
    assert any(isinstance(event, Usage) for event in events)


@pytest.mark.parametrize("answer", ALL)
def test_an_answer_fed_byte_by_byte_says_the_same(answer: Answer) -> None:
    assert lines(decode(answer.decoder(), byte_by_byte(answer.body))) == answer.events


@pytest.mark.parametrize("answer", ALL)
def test_an_answer_cut_in_two_anywhere_says_the_same(answer: Answer) -> None:
    body = answer.body
    for place in range(len(body) + 1):
        assert lines(decode(answer.decoder(), [body[:place], body[place:]])) == answer.events, place


@pytest.mark.parametrize("answer", SERVER_SENT)
@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
def test_other_line_ends_say_the_same(answer: Answer, line_end: bytes) -> None:
    body = answer.body.replace(b"\n", line_end)
    assert lines(decode(answer.decoder(), [body])) == answer.events
    assert lines(decode(answer.decoder(), byte_by_byte(body))) == answer.events


@pytest.mark.parametrize("answer", STREAMS)
@pytest.mark.parametrize("trailing", [b": bye\n\n", b'data: {"rubbish\n\n', b"event: error\ndata: {}\n\n", b"<html>"])
def test_what_follows_the_end_of_a_stream_does_not_matter(answer: Answer, trailing: bytes) -> None:
    assert lines(decode(answer.decoder(), [answer.body + trailing])) == answer.events
    assert lines(decode(answer.decoder(), [answer.body, trailing])) == answer.events


@pytest.mark.parametrize("answer", STREAMS)
def test_the_last_blank_line_may_be_missing(answer: Answer) -> None:
    assert lines(decode(answer.decoder(), [answer.body.rstrip()])) == answer.events


@pytest.mark.parametrize("answer", PLAIN)
@pytest.mark.parametrize("trailing", [b"{}", b"x", b"]"])
def test_a_plain_answer_with_more_behind_it_is_broken(answer: Answer, trailing: bytes) -> None:
    assert lines(decode(answer.decoder(), [answer.body, b"\r\n "])) == answer.events
    _, failure = until_failure(answer.decoder(), [answer.body + trailing])
    assert failure is not None
    assert failure.code is Code.UPSTREAM_SHAPE_MISMATCH


@pytest.mark.parametrize("answer", ALL)
def test_an_answer_that_is_cut_short_never_looks_complete(answer: Answer) -> None:
    body = answer.body.rstrip()
    for end in range(len(body)):
        events, failure = until_failure(answer.decoder(), [body[:end]])
        assert failure is not None, end
        assert failure.code is Code.UPSTREAM_SHAPE_MISMATCH
        assert not any(isinstance(event, Done) for event in events), end


@pytest.mark.parametrize("answer", SERVER_SENT)
def test_what_comes_ahead_of_a_failure_comes_out_however_it_was_cut(answer: Answer) -> None:
    """Whether another backend may be tried must not hang on how the network put bytes together."""
    events = answer.body.split(b"\n\n")[:-2]
    broken = b"\n\n".join([*events, b"data: {rubbish", b""]) + b"\n\n"
    whole, failure = until_failure(answer.decoder(), [broken])
    single, again = until_failure(answer.decoder(), byte_by_byte(broken))
    assert failure is not None
    assert again is not None
    assert (whole, failure.code) == (single, again.code)
    assert whole


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n\n",
        b"<html><body>Bad gateway</body></html>",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"choices":',
        b"\xff\xfe",
        b"\x00",
        b'{"choices":null,"content":null,"data":null}',
        b'{"choices":{},"content":{},"data":{}}',
        b'{"choices":[1],"content":[1],"data":[1]}',
        b'{"choices":[],"content":[],"data":[]}',
        b"[" * 50_000,
        b'{"choices":' * 50_000,
    ],
)
def test_rubbish_is_a_broken_format(adapter: Adapter, stream: bool, body: bytes) -> None:
    kinds: list[Chat | Embed] = [Chat(messages=(user("Hi"),))]
    if "embed" in adapter.can and not stream:
        kinds.append(Embed(input=("one",)))
    for asked in kinds:
        for text in [body, b"data: " + body + b"\n\n"] if stream else [body]:
            events, failure = until_failure(
                adapter.decoder(foreign(asked, stream=stream), target(adapter.name)), [text]
            )
            assert failure is not None
            assert failure.code is Code.UPSTREAM_SHAPE_MISMATCH
            assert not any(isinstance(event, Done) for event in events)


@given(body=st.binary(max_size=200), stream=st.booleans())
@SETTINGS
def test_any_bytes_at_all_end_in_events_or_in_a_gateway_error(adapter: Adapter, body: bytes, stream: bool) -> None:
    until_failure(
        adapter.decoder(foreign(Chat(messages=(user("Hi"),)), stream=stream), target(adapter.name)), [body, b"\n\n"]
    )
    if "embed" in adapter.can:
        until_failure(adapter.decoder(foreign(Embed(input=("one",))), target(adapter.name)), [body])


WORDS: Final = re.findall(
    r"\w+",
    "type index choices delta message content usage error id tool_calls function arguments name text data input created"
    " content_block stop_reason finish_reason embedding prompt_tokens output_tokens logprobs thinking signature",
)
TYPES: Final = ["message_start", "content_block_start", "content_block_delta", "message_stop", "text", "tool_use"]
JSON: Final[st.SearchStrategy[Any]] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(TYPES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=30,
)


@given(objects=st.lists(JSON, max_size=4), stream=st.booleans())
@SETTINGS
def test_any_json_at_all_ends_in_events_or_in_a_gateway_error(
    adapter: Adapter, objects: list[object], stream: bool
) -> None:
    texts = [json.dumps(one).encode() for one in objects]
    body = b"".join(b"data: " + text + b"\n\n" for text in texts) + b"data: [DONE]\n\n" if stream else b"".join(texts)
    until_failure(adapter.decoder(foreign(Chat(messages=(user("Hi"),)), stream=stream), target(adapter.name)), [body])
    if "embed" in adapter.can:
        until_failure(adapter.decoder(foreign(Embed(input=("one",))), target(adapter.name)), texts)


@pytest.mark.parametrize("answer", ALL)
@given(data=st.data())
@settings(SETTINGS, max_examples=30)
def test_a_damaged_answer_ends_in_events_or_in_a_gateway_error(answer: Answer, data: st.DataObject) -> None:
    body = bytearray(answer.body)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    until_failure(answer.decoder(), [bytes(body)])


# -- answers that go through -----------------------------------------------------------------------------------------

RELAYED: Final = [
    one for one in ALL if PROTOCOLS[one.values[0].provider] == "openai" and "rerank" not in one.values[0].features
]


def passed(answer: Answer, chunks: list[bytes], *, usage: bool) -> bytes:
    asked: dict[str, Any] = {"model": "scailabs/best", "stream": answer.stream}
    if "embed" in answer.features:
        asked = {"model": "scailabs/best", "input": "x"}
    elif usage:
        asked["stream_options"] = {"include_usage": True}
    pipe = answer.adapter.relay(openai(asked), target(answer.provider), RELAYING)
    return b"".join([*[pipe.feed(chunk) for chunk in chunks], pipe.close()])


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("answer", RELAYED)
def test_what_goes_through_is_the_answer_but_for_the_models_name(answer: Answer, usage: bool) -> None:
    out = passed(answer, [answer.body], usage=usage)
    back = re.sub(rb'("model": ?)"scailabs/best"', rb"\1" + model_in(answer.body), out)
    if not usage and answer.stream:
        assert b'"usage"' not in out
        assert back == without_usage(answer.body)
    else:
        assert back == answer.body


def model_in(body: bytes) -> bytes:
    found = re.search(rb'"model": ?("[^"]*")', body)
    assert found is not None
    return found[1]


def without_usage(body: bytes) -> bytes:
    """By another way than the relay's: each event decoded, its usage taken out, and encoded again."""
    kept: list[bytes] = []
    for event in body.split(b"\n\n"):
        data = event.removeprefix(b"data: ")
        if data in (event, b"[DONE]"):
            kept.append(event)
            continue
        decoded = json.loads(data)
        if decoded["choices"] or not decoded.get("usage"):
            decoded.pop("usage", None)
            kept.append(b"data: " + json.dumps(decoded, separators=(",", ":"), ensure_ascii=False).encode())
    return b"\n\n".join(kept)


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("answer", RELAYED)
def test_what_goes_through_does_not_hang_on_how_it_is_cut(answer: Answer, usage: bool) -> None:
    body = answer.body
    whole = passed(answer, [body], usage=usage)
    assert passed(answer, byte_by_byte(body), usage=usage) == whole
    for place in range(len(body) + 1):
        assert passed(answer, [body[:place], body[place:]], usage=usage) == whole, place


@pytest.mark.parametrize("answer", RELAYED)
def test_what_goes_through_and_is_cut_short_never_looks_complete(answer: Answer) -> None:
    body = answer.body.rstrip()
    for end in range(len(body)):
        with pytest.raises(GatewayError) as caught:
            passed(answer, [body[:end]], usage=True)
        assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH, end


# -- the list of models ----------------------------------------------------------------------------------------------

BASE: Final = "https://provider.example/v1"
LISTS: Final[Mapping[str, bytes]] = {
    "openai": b'{"object":"list","data":[{"id":"one","object":"model","created":1,"owned_by":"them"},{"id":"two"}]}',
    "cohere": b'{"models":[{"name":"one","endpoints":["chat"]},{"name":"two"}],"next_page_token":""}',
    "bedrock": b'{"modelSummaries":[{"modelId":"one","modelName":"One","providerName":"Them"},{"modelId":"two"}]}',
    "google": b'{"models":[{"name":"models/one","inputTokenLimit":9},{"name":"models/two"}],"nextPageToken":""}',
    "ollama": b'{"models":[{"name":"one","model":"one","size":5},{"name":"two"}]}',
    "anthropic": b'{"data":[{"type":"model","id":"one","display_name":"One"},{"id":"two"}],"has_more":false,'
    b'"first_id":"one","last_id":"two"}',
}


def test_a_provider_is_asked_for_its_models_where_calls_go_with_the_same_credential(
    provider: str, adapter: Adapter
) -> None:
    headers = adapter.headers(Secret("key-that-is-secret"), {})
    request = adapter.discovery(BASE, headers)
    assert (request.method, request.body, request.headers) == ("GET", b"", headers)
    assert request.url.partition("?")[0] == BASE + MODEL_LISTS.get(provider, "/models")


def test_each_model_of_a_list_has_the_name_that_calls_take(provider: str, adapter: Adapter) -> None:
    found = adapter.offers(LISTS[PROTOCOLS[provider]])
    assert [one.model for one in found.models] == ["one", "two"]
    assert found.after is None


def test_pages_follow_each_other_where_the_protocol_has_pages(provider: str, adapter: Adapter) -> None:
    page = LISTS[PROTOCOLS[provider]].replace(b'"has_more":false', b'"has_more":true')
    after = adapter.offers(re.sub(rb'(page_?token":)""', rb'\1"two"', page, flags=re.IGNORECASE)).after
    assert (after == "two") is (PROTOCOLS[provider] in PAGES)
    if after is not None:
        asked = f"{PAGES[PROTOCOLS[provider]]}=two"
        assert adapter.discovery(BASE, (), after).url == f"{adapter.discovery(BASE, ()).url}&{asked}"


def test_a_list_that_is_cut_short_is_broken(provider: str, adapter: Adapter) -> None:
    body = LISTS[PROTOCOLS[provider]]
    for end in range(len(body)):
        with pytest.raises(GatewayError) as caught:
            adapter.offers(body[:end])
        assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH, end


@given(body=st.binary(max_size=100) | JSON.map(lambda value: json.dumps({"data": [value]}).encode()))
@SETTINGS
def test_any_list_at_all_ends_in_named_models_or_in_a_broken_format(adapter: Adapter, body: bytes) -> None:
    failure = None
    try:
        named = all(one.model for one in adapter.offers(body).models)
    except GatewayError as error:
        named, failure = False, error.code
    assert named or failure is Code.UPSTREAM_SHAPE_MISMATCH


# -- failures --------------------------------------------------------------------------------------------------------

PLANTED: Final = (
    "sk-proj-Ab12Cd34Ef56Gh78Ij90",
    "AIzaSyA1b2C3d4E5f6G7h8I9j0",
    "0123456789abcdef0123456789abcdef",
    "https://internal.example.org/admin?token=abc",
    "admin.internal.example/keys",
    "org-AbCdEfGhIjKlMnOp",
    "someone@operator.example",
    "10.1.2.3:8443",
    "Bearer letmein",
)
SHAPES: Final[dict[str, Callable[[str], object]]] = {
    "openai": lambda text: {"error": {"message": text, "type": "invalid_request_error", "param": text, "code": text}},
    "anthropic": lambda text: {"type": "error", "error": {"type": "invalid_request_error", "message": text}},
    "type": lambda text: {"type": "error", "error": {"type": text, "message": text}},
    "string": lambda text: {"error": text},
    "flat": lambda text: {"message": text},
    "detail": lambda text: {"detail": text},
    "details": lambda text: {"detail": [{"loc": ["body"], "msg": text}]},
    "text": lambda text: text,
}


@pytest.mark.parametrize("shape", list(SHAPES))
def test_every_status_has_a_meaning_that_tells_no_secret(adapter: Adapter, shape: str) -> None:
    body = json.dumps(SHAPES[shape]("It is " + ", ".join(PLANTED))).encode()
    for status in range(300, 600):
        failure = adapter.error(status, {}, body)
        told = repr((failure.message, failure.details))
        assert not [secret for secret in PLANTED if secret in told], status
        blamed = shape == "openai" and PROTOCOLS[adapter.name] in ("openai", "ollama")
        assert failure.code is expected(status, blamed=blamed), status


def expected(status: int, *, blamed: bool) -> Code:
    """`blamed`: the provider names a field of the request."""
    match status:
        case 400 | 422:
            return Code.VALIDATION_ERROR
        case 404:
            return Code.VALIDATION_ERROR if blamed else Code.BACKEND_ERROR
        case 408 | 504 | 524:
            return Code.BACKEND_TIMEOUT
        case 413:
            return Code.REQUEST_TOO_LARGE
        case 429:
            return Code.BACKEND_RATE_LIMITED
        case _:
            return Code.BACKEND_ERROR


@pytest.mark.parametrize("status", [401, 402, 403, 404, 409, 429, 500, 502, 503, 529])
def test_what_is_between_operator_and_provider_stays_between_them(adapter: Adapter, status: int) -> None:
    body = json.dumps(
        {"type": "error", "error": {"message": "Your account is overdue.", "type": "invalid_request_error"}}
    )
    failure = adapter.error(status, {}, body.encode())
    assert "overdue" not in failure.message
    assert failure.details == ()


@given(status=st.integers(100, 599), body=st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
@SETTINGS
def test_any_refusal_at_all_has_a_meaning(adapter: Adapter, status: int, body: bytes) -> None:
    failure = adapter.error(status, {"retry-after": "soon"}, body)
    assert failure.message
    assert len(failure.message) <= 500
    assert failure.retry_after is None


def test_an_error_object_in_place_of_an_answer_is_that_error(adapter: Adapter) -> None:
    usual = b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down."}}'
    body = ERRORS.get(adapter.name, usual)
    named = b"event: error\ndata: " + body + b"\n\n"
    for stream, text in ((False, body), (True, body), (True, named)):
        if text is named and not any(answer.values[0].provider == adapter.name for answer in SERVER_SENT):
            continue
        _, failure = until_failure(
            adapter.decoder(foreign(Chat(messages=(user("Hi"),)), stream=stream), target(adapter.name)), [text]
        )
        assert failure is not None
        assert failure.code is Code.BACKEND_RATE_LIMITED
