from typing import Any

import msgspec
import pytest

from adapters.azure import Azure, AzureOptions
from scaigrid.adapter import NO_OPTIONS, Target
from scaigrid.errors import Code
from scaigrid.secrets import Secret
from scaigrid.types import Chat, Done, Embed, Text
from tests.adapters.calls import decode, foreign, openai, outgoing, user

RESOURCE = "https://ours.openai.azure.com"
ASKED = foreign(Chat(messages=(user("Hi"),)))


def target(options: Any = NO_OPTIONS, base_url: str = RESOURCE) -> Target:
    return Target(
        type="azure",
        base_url=base_url,
        model="our gpt-5",
        headers=(),
        speaks=Azure().speaks(options),
        options=options,
    )


def url(call: Any, at: Target) -> str:
    return Azure().encode(call, at, outgoing()).url


@pytest.mark.parametrize("base_url", [RESOURCE, f"{RESOURCE}/openai/v1"])
def test_the_v1_api_is_openais_own_below_the_resource(base_url: str) -> None:
    at = target(AzureOptions(), base_url)
    assert url(ASKED, at) == f"{RESOURCE}/openai/v1/chat/completions"
    assert url(foreign(Embed(input=("a",))), at) == f"{RESOURCE}/openai/v1/embeddings"
    assert Azure().discovery(base_url, ()).url == f"{RESOURCE}/openai/v1/models"


def test_a_dated_version_has_the_deployment_in_the_address() -> None:
    options = AzureOptions(api_version="2024-10-21")
    at = target(options)
    deployment = f"{RESOURCE}/openai/deployments/our%20gpt-5"
    assert url(ASKED, at) == f"{deployment}/chat/completions?api-version=2024-10-21"
    assert url(openai({"model": "m", "messages": []}), at) == f"{deployment}/chat/completions?api-version=2024-10-21"
    assert Azure().discovery(RESOURCE, (), options=options).url == f"{RESOURCE}/openai/models?api-version=2024-10-21"
    assert Azure().speaks(options) == {"openai/chat", "openai/completions", "openai/embeddings"}
    assert "openai/responses" in Azure().speaks(AzureOptions())


def test_the_responses_api_is_there_with_v1_alone() -> None:
    assert url(ASKED, target(AzureOptions(api="responses"))) == f"{RESOURCE}/openai/v1/responses"
    with pytest.raises(ValueError, match="api_version"):
        AzureOptions(api="responses", api_version="2024-10-21")
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"api_versions": "x"}, AzureOptions)


def test_the_key_has_a_header_of_its_own() -> None:
    assert Azure().headers(Secret("k"), {"X-Team": "blue"}) == (
        ("content-type", "application/json"),
        ("api-key", "k"),
        ("x-team", "blue"),
    )
    assert "api-key" not in dict(Azure().headers(None, {}))
    assert Azure().base_url() is None


def test_what_the_content_filter_says_of_the_prompt_comes_ahead_and_is_passed_over() -> None:
    call = foreign(Chat(messages=(user("Hi"),)), stream=True)
    ahead = b'data: {"id":"","created":0,"model":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}\n\n'
    said = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
    last = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}\n\n'
    told = decode(Azure().decoder(call, target()), [ahead, said, last, b"data: [DONE]\n\n"])
    assert told[1:] == [Text("a"), Done("content_filter")]


def test_a_filtered_prompt_is_refused_content() -> None:
    body = b"""{"error":{"message":"The response was filtered.","type":null,"param":"prompt","code":"content_filter",
    "status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"""
    assert Azure().error(400, {}, body).code is Code.CONTENT_REFUSED
    inner = b'{"error":{"message":"No.","code":"BadRequest","innererror":{"code":"ResponsibleAIPolicyViolation"}}}'
    assert Azure().error(400, {}, inner).code is Code.CONTENT_REFUSED
