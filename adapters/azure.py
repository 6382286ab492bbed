"""OpenAI's models at Azure: its protocol at an address of the operator's own, with a key header and paths of Azure's.

Source: Azure OpenAI in Foundry Models, "REST API reference", "API version lifecycle". The v1 API is OpenAI's own, and a
deployment's name is the model's. An older version is a parameter of the address, in which the deployment has a place.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote

from adapters import endpoints, openai_responses_splice
from adapters.endpoints import Endpoint
from adapters.openai import OpenAI, OpenAIOptions
from scaigrid.adapter import NO_OPTIONS, Header, Options, Target, UpstreamRequest
from scaigrid.secrets import Secret

_V1: Final = "/openai/v1"


class AzureOptions(OpenAIOptions, frozen=True, kw_only=True):
    """What an operator sets at a provider of type azure."""

    api_version: str | None = None
    """A dated version of the API (`2024-10-21`), for resources that have no v1 API; nothing for v1."""

    def __post_init__(self) -> None:
        if self.api_version is not None and self.api == "responses":
            raise ValueError("api: responses takes the v1 API, so api_version has to be left out")


class Azure(OpenAI):
    """https://{resource}.openai.azure.com, which the operator gives."""

    name: ClassVar[str] = "azure"
    can: ClassVar[frozenset[str]] = endpoints.AZURE.can
    options: ClassVar[type[Options]] = AzureOptions
    signed: ClassVar[str | None] = "azure"
    endpoint: ClassVar[Endpoint] = endpoints.AZURE

    def url(self, target: Target, path: str) -> str:
        resource, version = target.base_url.removesuffix(_V1), _version(target.options)
        if version is None:
            return f"{resource}{_V1}{path}"
        return f"{resource}/openai/deployments/{quote(target.model, safe='')}{path}?api-version={quote(version)}"

    def speaks(self, options: Any = NO_OPTIONS) -> frozenset[str]:
        spoken = super().speaks(options)
        return spoken if _version(options) is None else spoken - openai_responses_splice.SURFACES

    def headers(self, api_key: Secret | None, extra: Mapping[str, str]) -> tuple[Header, ...]:
        """The key in a header of its own. `extra` comes last and replaces ours of one name."""
        made = {"content-type": "application/json"}
        if api_key:
            made["api-key"] = api_key.reveal()
        return tuple((made | {name.lower(): value for name, value in extra.items()}).items())

    def discovery(
        self, base_url: str, headers: tuple[Header, ...], after: str | None = None, options: Any = NO_OPTIONS
    ) -> UpstreamRequest:
        resource, version = base_url.removesuffix(_V1), _version(options)
        path = f"{_V1}/models" if version is None else f"/openai/models?api-version={quote(version)}"
        return UpstreamRequest("GET", resource + path, headers, b"")


def _version(options: Any) -> str | None:
    return options.api_version if isinstance(options, AzureOptions) else None
