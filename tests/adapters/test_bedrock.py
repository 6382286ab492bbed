import json

import pytest

from adapters.bedrock import Bedrock, BedrockOptions
from scaigrid.adapter import Options, Relaying
from scaigrid.errors import Code, GatewayError
from scaigrid.secrets import Secret
from scaigrid.types import Chat, Counted, Done, Embed, Rerank, Vector
from tests.adapters.calls import decode, foreign, outgoing, target, user
from tests.harness.eventstreams import framed

CHAT = Chat(messages=(user("Hi"),))


def test_the_address_is_the_regions() -> None:
    assert Bedrock().base_url(BedrockOptions(region="us-east-1")) == "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert Bedrock().base_url(BedrockOptions(region="cn-north-1")) == (
        "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"
    )
    assert Bedrock().base_url(BedrockOptions()) is None
    assert Bedrock().base_url() is None


@pytest.mark.parametrize("region", ["", "us", "us-east-1.example.com", "us-east-1/", "US-EAST-1", "us-east-1\n"])
def test_a_region_is_a_name_and_no_part_of_an_address(region: str) -> None:
    with pytest.raises(ValueError, match="AWS region"):
        BedrockOptions(region=region)


def test_a_key_is_a_bearers_and_without_one_the_call_is_signed() -> None:
    assert Bedrock().headers(Secret("k"), {"X-Team": "a"}) == (
        ("content-type", "application/json"),
        ("authorization", "Bearer k"),
        ("x-team", "a"),
    )
    assert Bedrock().headers(None, {}) == (("content-type", "application/json"),)
    assert Bedrock().signed == "aws"


@pytest.mark.parametrize(
    ("model", "quoted"),
    [
        ("us.amazon.nova-lite-v1:0", "us.amazon.nova-lite-v1%3A0"),
        ("arn:aws:bedrock:x:1:inference-profile/a", "arn%3Aaws%3Abedrock%3Ax%3A1%3Ainference-profile%2Fa"),
    ],
)
def test_each_operation_has_a_path_behind_the_models_name(model: str, quoted: str) -> None:
    where = target("bedrock", model=model)
    for call, path in ((foreign(CHAT), "converse"), (foreign(CHAT, stream=True), "converse-stream")):
        request = Bedrock().encode(call, where, outgoing())
        assert request.url == f"{where.base_url}/model/{quoted}/{path}"
        assert request.method == "POST"
        assert request.headers == where.headers
        assert b'"text":"Hi"' in request.body


@pytest.mark.parametrize(
    ("model", "counted"),
    [
        ("us.anthropic.claude-sonnet-4-6", "anthropic.claude-sonnet-4-6"),
        ("anthropic.claude-v2:1", "anthropic.claude-v2%3A1"),
        ("meta.llama4", "meta.llama4"),
        ("profile", "anthropic.claude-sonnet-4-6"),
    ],
)
def test_tokens_are_counted_by_the_model_whatever_profile_it_is_called_by(model: str, counted: str) -> None:
    options = BedrockOptions(profiles={"profile": "eu.anthropic.claude-sonnet-4-6"})
    where = target("bedrock", model=model, options=options)
    request = Bedrock().encode(foreign(CHAT, operation="count_tokens"), where, outgoing())
    assert request.url == f"{where.base_url}/model/{counted}/count-tokens"
    assert json.loads(request.body) == {
        "input": {"converse": {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}}
    }


def test_embeddings_are_asked_of_the_model_itself() -> None:
    where = target("bedrock", model="amazon.titan-embed-text-v2:0")
    request = Bedrock().encode(foreign(Embed(input=("a",))), where, outgoing())
    assert request.url.endswith("/model/amazon.titan-embed-text-v2%3A0/invoke")
    assert json.loads(request.body) == {"inputText": "a"}


def test_a_profile_is_spoken_to_as_the_model_behind_it() -> None:
    profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a"
    options = BedrockOptions(region="us-east-1", profiles={profile: "amazon.titan-embed-text-v2:0"})
    call = foreign(Embed(input=("a",)))
    request = Bedrock().encode(call, target("bedrock", model=profile, options=options), outgoing())
    assert request.url.endswith("application-inference-profile%2Fa/invoke")
    assert json.loads(request.body) == {"inputText": "a"}
    with pytest.raises(GatewayError):
        Bedrock().encode(call, target("bedrock", model=profile), outgoing())


def test_an_order_is_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        Bedrock().encode(foreign(Rerank(query="a", documents=("b",))), target("bedrock"), outgoing())
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL


def test_the_answer_is_decoded_as_it_was_asked_for() -> None:
    where = target("bedrock")
    plain = b'{"output":{"message":{"content":[]}},"stopReason":"end_turn"}'
    assert decode(Bedrock().decoder(foreign(CHAT), where), [plain])[-1] == Done("stop")
    stream = framed('messageStart {}\nmessageStop {"stopReason":"max_tokens"}\nmetadata {}')
    assert decode(Bedrock().decoder(foreign(CHAT, stream=True), where), [stream])[-1] == Done("length")
    counted = Bedrock().decoder(foreign(CHAT, operation="count_tokens"), where)
    assert decode(counted, [b'{"inputTokens":4}']) == [Counted(4)]
    made = decode(Bedrock().decoder(foreign(Embed(input=("a",))), where), [b'{"embedding":[1]}'])
    assert isinstance(made[-1], Vector)


def test_nothing_is_passed_through() -> None:
    assert Bedrock().speaks(BedrockOptions()) == frozenset()
    with pytest.raises(NotImplementedError):
        Bedrock().relay(foreign(CHAT), target("bedrock"), Relaying(name=str))


def test_models_and_failures_are_read_in_awss_words() -> None:
    request = Bedrock().discovery("https://bedrock-runtime.us-east-1.amazonaws.com", (("a", "b"),), None, Options())
    assert (request.method, request.url) == ("GET", "https://bedrock.us-east-1.amazonaws.com/foundation-models")
    assert request.headers == (("a", "b"),)
    assert [one.model for one in Bedrock().offers(b'{"modelSummaries":[{"modelId":"m"}]}').models] == ["m"]
    failure = Bedrock().error(400, {"x-amzn-errortype": "ValidationException"}, b'{"message":"Input is too long."}')
    assert failure.code is Code.CONTEXT_TOO_LONG
