"""Amazon Bedrock: chats with any maker's models by the Converse API, their size in tokens, and embeddings.

Source: Amazon Bedrock API reference, "Converse", "ConverseStream", "CountTokens", "InvokeModel".
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote

import msgspec

from adapters import (
    asked,
    bedrock_decode,
    bedrock_embed,
    bedrock_encode,
    bedrock_failure,
    bedrock_models,
    bedrock_stream,
)
from adapters.bedrock_families import maker
from adapters.events import Streamed, Whole
from adapters.translated import Translated
from adapters.wire import encoded
from scaigrid.adapter import (
    NO_OPTIONS,
    Decoder,
    Header,
    Offers,
    Options,
    Outgoing,
    Target,
    UpstreamRequest,
)
from scaigrid.call import Call
from scaigrid.errors import GatewayError
from scaigrid.secrets import Secret

_REGION: Final = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-\d{1,2}")


class BedrockOptions(Options):
    """What Bedrock has to be told."""

    region: str | None = None
    """The AWS region whose models are used: `us-east-1`."""
    profiles: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    """The model behind each application inference profile, by the profile's name as backends have it. What only some
    models understand is said to a profile as to its model; the name itself does not tell which that is."""

    def __post_init__(self) -> None:
        if self.region is not None and not _REGION.fullmatch(self.region):
            raise ValueError("region is no name of an AWS region")


class Bedrock(Translated):
    """https://bedrock-runtime.{region}.amazonaws.com. No client dialect has its protocol: every call is translated.

    A Bedrock API key goes into a header; without one each call is signed with the credentials of AWS.
    """

    name: ClassVar[str] = "bedrock"
    transport: ClassVar[str] = "http"
    can: ClassVar[frozenset[str]] = frozenset(
        {
            "chat",
            "embed",
            "count_tokens",
            "stream",
            "tools",
            "images",
            "audio",
            "files",
            "reasoning",
            "json_schema",
            "citations",
        }
    )
    needs_max_output: ClassVar[bool] = False
    options: ClassVar[type[Options]] = BedrockOptions
    signed: ClassVar[str | None] = "aws"

    def base_url(self, options: Any = NO_OPTIONS) -> str | None:
        region = options.region if isinstance(options, BedrockOptions) else None
        return None if region is None else f"https://bedrock-runtime.{region}.{_domain(region)}"

    def headers(self, api_key: Secret | None, extra: Mapping[str, str]) -> tuple[Header, ...]:
        """The key. `extra` comes last and replaces ours of one name."""
        made = {"content-type": "application/json"}
        if api_key:
            made["authorization"] = f"Bearer {api_key.reveal()}"
        return tuple((made | {name.lower(): value for name, value in extra.items()}).items())

    def encode(self, call: Call, target: Target, outgoing: Outgoing) -> UpstreamRequest:
        model = _model(target)
        named = target.model
        match call.operation:
            case "chat":
                path = "converse-stream" if call.stream else "converse"
                said = bedrock_encode.chat(asked.chat(call, outgoing), model)
            case "count_tokens":
                # The counter knows models, and none of their profiles.
                path, named = "count-tokens", maker(model) or named
                said = bedrock_encode.count(asked.chat(call, outgoing), model)
            case "embed":
                path = "invoke"
                said = bedrock_embed.embed(asked.embed(call, outgoing), model)
            case _:
                raise asked.unsupported(call.operation)
        url = f"{target.base_url}/model/{quote(named, safe='')}/{path}"
        return UpstreamRequest("POST", url, target.headers, encoded(said))

    def decoder(self, call: Call, target: Target) -> Decoder:
        match call.operation:
            case "embed":
                return Whole(bedrock_embed.vectors)
            case "count_tokens":
                return Whole(bedrock_decode.counted)
            case _ if call.stream:
                return Streamed(bedrock_stream.ConverseStream(), bedrock_stream.Frames())
            case _:
                return Whole(bedrock_decode.whole_answer)

    def discovery(
        self, base_url: str, headers: tuple[Header, ...], after: str | None = None, options: Any = NO_OPTIONS
    ) -> UpstreamRequest:
        return UpstreamRequest("GET", bedrock_models.url(base_url), headers, b"")

    def offers(self, body: bytes) -> Offers:
        return bedrock_models.offers(body)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return bedrock_failure.answered(status, headers, body)


def _model(target: Target) -> str:
    """The name that tells which model it is."""
    options = target.options
    return options.profiles.get(target.model, target.model) if isinstance(options, BedrockOptions) else target.model


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
