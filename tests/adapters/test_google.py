import json
from typing import Any

import pytest

from adapters.google import Google, GoogleOptions
from scaigrid.adapter import Target
from scaigrid.errors import Code, GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import Chat, Counted, Done, Embed, Rerank
from tests.adapters.calls import RELAYING, decode, foreign, outgoing, target, user

CLOUD = GoogleOptions(project="p", location="europe-west4")


def asked(call: Any, where: Target) -> tuple[str, dict[str, Any]]:
    request = Google().encode(call, where, outgoing())
    return request.url.removeprefix(where.base_url), json.loads(request.body)


def test_a_key_goes_in_googles_own_header() -> None:
    assert Google().headers(Secret("k"), {"X-Goog-User-Project": "p"}) == (
        ("content-type", "application/json"),
        ("x-goog-api-key", "k"),
        ("x-goog-user-project", "p"),
    )


@pytest.mark.parametrize(
    ("options", "address"),
    [
        (GoogleOptions(), "https://generativelanguage.googleapis.com/v1beta"),
        (
            CLOUD,
            "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/publishers/google",
        ),
        (
            GoogleOptions(project="p"),
            "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google",
        ),
        (
            GoogleOptions(project="p", location="eu"),
            "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu/publishers/google",
        ),
        (GoogleOptions(location="global"), "https://aiplatform.googleapis.com/v1/publishers/google"),
    ],
)
def test_vertex_ai_is_a_project_at_a_location_and_express_mode_a_location_alone(
    options: GoogleOptions, address: str
) -> None:
    assert Google().base_url(options) == address


@pytest.mark.parametrize("wrong", [{"project": "p/../q"}, {"location": ""}, {"location": "evil.example/"}])
def test_a_project_or_a_location_that_would_bend_the_address_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must be lower-case"):
        GoogleOptions(**wrong)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-pro", "/models/gemini-2.5-pro:generateContent"),
        ("models/gemini-2.5-pro", "/models/gemini-2.5-pro:generateContent"),
        ("tunedModels/mine", "/tunedModels/mine:generateContent"),
    ],
)
def test_a_model_is_called_by_its_path(model: str, path: str) -> None:
    call = foreign(Chat(messages=(user("Hi"),)))
    assert asked(call, target("google", model=model)) == (
        path,
        {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
    )


def test_a_tuned_model_of_vertex_ai_is_an_endpoint_beside_the_publishers() -> None:
    address = Google().base_url(CLOUD) or ""
    where = Target(type="google", base_url=address, model="endpoints/7", headers=(), options=CLOUD)
    request = Google().encode(foreign(Chat(messages=(user("Hi"),))), where, outgoing())
    assert request.url.endswith("/v1/projects/p/locations/europe-west4/endpoints/7:generateContent")


def test_a_stream_is_asked_for_as_events() -> None:
    path, _ = asked(foreign(Chat(messages=(user("Hi"),)), stream=True), target("google", model="m"))
    assert path == "/models/m:streamGenerateContent?alt=sse"


def test_tokens_are_counted_by_the_provider() -> None:
    call = foreign(Chat(messages=(user("Hi"),), temperature=0.5), operation="count_tokens")
    contents = [{"role": "user", "parts": [{"text": "Hi"}]}]
    config = {"temperature": 0.5}
    assert asked(call, target("google", model="m")) == (
        "/models/m:countTokens",
        {"generateContentRequest": {"model": "models/m", "generationConfig": config, "contents": contents}},
    )
    assert asked(call, target("google", model="m", options=CLOUD))[1] == {
        "generationConfig": config,
        "contents": contents,
    }
    decoder = Google().decoder(call, target("google"))
    assert decode(decoder, [b'{"totalTokens": 31, "promptTokensDetails": []}']) == [Counted(31)]


def test_what_it_has_no_operation_for_is_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        Google().encode(foreign(Rerank(query="q", documents=("a",))), target("google"), outgoing())
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL


def test_an_answer_is_decoded_as_it_was_asked_for() -> None:
    body = b'{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}'
    plain, stream = (foreign(Chat(messages=(user("Hi"),)), stream=stream) for stream in (False, True))
    assert decode(Google().decoder(plain, target("google")), [body])[-1] == Done("stop")
    assert decode(Google().decoder(stream, target("google")), [b"data: " + body + b"\n\n"])[-1] == Done("stop")
    vectors = Google().decoder(foreign(Embed(input=("a",))), target("google"))
    assert len(decode(vectors, [b'{"embeddings":[{"values":[1]}]}'])) == 2


def test_vertex_ai_lists_its_models_in_its_beta() -> None:
    base = Google().base_url(CLOUD) or ""
    assert Google().discovery(base, (), None, CLOUD).url == (
        "https://europe-west4-aiplatform.googleapis.com/v1beta1/publishers/google/models?pageSize=1000"
    )
    assert Google().discovery("https://g.example/v1beta", (), "next=1").url == (
        "https://g.example/v1beta/models?pageSize=1000&pageToken=next%3D1"
    )


def test_nothing_is_passed_through() -> None:
    assert Google().speaks() == frozenset()
    with pytest.raises(NotImplementedError):
        Google().relay(foreign(Chat(messages=())), target("google"), RELAYING)
