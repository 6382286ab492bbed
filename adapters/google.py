"""Google's Gemini models: chats, embeddings and counts of tokens, by the Gemini API or by Vertex AI.

Source: Gemini API reference (v1beta); Vertex AI API reference (v1), "publishers.models". Models of other publishers
on Vertex AI (`publishers/anthropic`) speak protocols of their own, and are not called here.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote

from adapters import asked, google_decode, google_embed, google_encode, google_failure, google_models
from adapters.events import Whole
from adapters.google_framing import UntilClosed
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
from scaigrid.types import Embed

_GEMINI: Final = "https://generativelanguage.googleapis.com/v1beta"
_PUBLISHER: Final = "/publishers/google"
_EVERYWHERE: Final = "global"
_SEVERAL: Final = frozenset({"us", "eu"})
"""Locations that are several regions; their hosts are named otherwise."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9:._-]*")


class GoogleOptions(Options, frozen=True):
    """Vertex AI instead of the Gemini API; neither field for the Gemini API."""

    project: str | None = None
    """The Google Cloud project whose Vertex AI is called. Left out beside a location: Vertex AI's express mode, by
    its API key."""
    location: str | None = None
    """Where Vertex AI answers: a region (`europe-west4`), `us`, `eu` or, as where it is left out, `global`."""

    def __post_init__(self) -> None:
        for name, value in (("project", self.project), ("location", self.location)):
            if value is not None and not _NAME.fullmatch(value):
                raise ValueError(f"{name} must be lower-case letters, digits, hyphens, dots and colons")


class Google(Translated):
    """No client dialect has its protocol, so every call is translated, none relayed."""

    name: ClassVar[str] = "google"
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
            "n",
            "logprobs",
        }
    )
    needs_max_output: ClassVar[bool] = False
    options: ClassVar[type[Options]] = GoogleOptions
    signed: ClassVar[str | None] = "google"

    def base_url(self, options: Any = NO_OPTIONS) -> str | None:
        if not isinstance(options, GoogleOptions) or not _is_cloud(options):
            return _GEMINI
        location = options.location or _EVERYWHERE
        if options.project is None:
            return f"https://{_host(location)}/v1{_PUBLISHER}"
        return f"https://{_host(location)}/v1/projects/{options.project}/locations/{location}{_PUBLISHER}"

    def headers(self, api_key: Secret | None, extra: Mapping[str, str]) -> tuple[Header, ...]:
        """The API key, of the Gemini API or of Vertex AI's express mode. `extra` replaces ours of one name."""
        made = {"content-type": "application/json"}
        if api_key:
            made["x-goog-api-key"] = api_key.reveal()
        return tuple((made | {name.lower(): value for name, value in extra.items()}).items())

    def encode(self, call: Call, target: Target, outgoing: Outgoing) -> UpstreamRequest:
        cloud, path = _is_cloud(target.options), _path(target.model)
        match call.operation:
            case "chat":
                verb = "streamGenerateContent?alt=sse" if call.stream else "generateContent"
                body = google_encode.chat(asked.chat(call, outgoing), target, cloud=cloud)
            case "count_tokens":
                verb, body = "countTokens", google_encode.count(asked.chat(call, outgoing), target, path, cloud=cloud)
            case "embed":
                verb, body = google_embed.call(asked.embed(call, outgoing), target.model, path, cloud=cloud)
            case other:
                raise asked.unsupported(other)
        return UpstreamRequest("POST", f"{_address(target)}:{verb}", target.headers, encoded(body))

    def decoder(self, call: Call, target: Target) -> Decoder:
        match call.operation:
            case "embed":
                canonical = call.canonical()
                return Whole(google_embed.vectors(len(canonical.input) if isinstance(canonical, Embed) else 0))
            case "count_tokens":
                return Whole(google_decode.counted)
            case _ if call.stream:
                return UntilClosed(google_decode.AnswerStream(call.n))
            case _:
                return Whole(google_decode.whole(call.n))

    def discovery(
        self, base_url: str, headers: tuple[Header, ...], after: str | None = None, options: Any = NO_OPTIONS
    ) -> UpstreamRequest:
        address = google_models.publishers(base_url) if _is_cloud(options) else base_url
        return UpstreamRequest("GET", address + google_models.path(after), headers, b"")

    def offers(self, body: bytes) -> Offers:
        return google_models.offers(body)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return google_failure.answered(status, headers, body)


def _is_cloud(options: Any) -> bool:
    return isinstance(options, GoogleOptions) and (options.project is not None or options.location is not None)


def _host(location: str) -> str:
    if location == _EVERYWHERE:
        return "aiplatform.googleapis.com"
    if location in _SEVERAL:
        return f"aiplatform.{location}.rep.googleapis.com"
    return f"{location}-aiplatform.googleapis.com"


def _path(model: str) -> str:
    """`models/gemini-2.5-pro`; a name that says itself what it is (`tunedModels/x`, `endpoints/7`) as it is."""
    return quote(model if "/" in model else f"models/{model}", safe="/@:")


def _address(target: Target) -> str:
    """Endpoints, where tuned models of Vertex AI answer, stand beside the publishers."""
    base = target.base_url.removesuffix(_PUBLISHER) if target.model.startswith("endpoints/") else target.base_url
    return f"{base}/{_path(target.model)}"
