"""`/v1/providers`: the connections to providers. What is written of a credential is never read back."""

from collections.abc import Iterator
from typing import Annotated, Any, cast

from msgspec import UNSET, Meta, UnsetType

from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.requirement import Requirement
from scaigrid.api.resources import examples
from scaigrid.api.view import View
from scaigrid.config.entities import Origin
from scaigrid.config.terms import Name
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.control.rules import in_use
from scaigrid.dialects.shapes import RequestShape
from scaigrid.errors import Code, Detail
from scaigrid.secrets import Secret
from scaigrid.timestamps import iso

Credential = Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[!-~]+(?!\n)$")]
"""What can stand in a header: printable ASCII without a space."""
HeaderValue = Annotated[str, Meta(max_length=4096, pattern=r"^[ -~]*(?!\n)$")]

OPERATORS = Requirement("routing:manage", reach="platform")
"""Whoever runs the installation: credentials and costs are theirs."""


class ProviderGiven(RequestShape):
    """A provider, as it is sent."""

    name: Name
    """Unique."""
    type: Annotated[str, Meta(min_length=1, max_length=64)]
    """The protocol: `openai`, `custom` (any endpoint that speaks the OpenAI protocol), `anthropic`, or `simulator`
    (built in, for trials; says so in every answer). It does not change while the provider has backends."""
    base_url: Annotated[str, Meta(max_length=2048, pattern=r"^https?://[^\s?#@]+(?!\n)$")] | None = None
    """Address of its API, path included (`https://api.openai.com/v1`). Left out: the provider's public one."""
    api_key: Credential | UnsetType | None = UNSET
    """Its credential. Left out: the one that is there stays; null: none. It is never answered."""
    headers: Annotated[dict[str, HeaderValue], Meta(max_length=50)] | UnsetType | None = UNSET
    """Headers to send besides its own (an organisation or a project, for example). Left out: those that are there
    stay; null: none. Their values are never answered."""


class ProviderItem(Kept, kw_only=True):
    """A provider."""

    name: str
    type: str
    base_url: str | None
    """Null: the provider's public one."""
    has_api_key: bool
    header_names: tuple[str, ...]


class ProvidersQuery(PageQuery, frozen=True, kw_only=True):
    """Which providers to list."""

    name: str | None = None
    type: str | None = None
    origin: Origin | None = None


class Providers(Collection[ProviderGiven, ProviderItem]):
    kind = "provider"
    path = "/v1/providers"
    area = "Routing"
    singular = "Provider"
    plural = "Providers"
    about = (
        "Connections, each with the credential that its backends share. A key is kept for the address that it was "
        "given for: where that changes, it has to be sent again."
    )
    reading = OPERATORS
    making = OPERATORS
    changing = OPERATORS
    removing = OPERATORS
    given = ProviderGiven
    item = ProviderItem
    query = ProvidersQuery
    codes = (Code.PROVIDER_HAS_BACKENDS,)
    tenant_header = False
    example_given = ProviderGiven(
        name="vllm-eu", type="custom", base_url="https://vllm.example/v1", api_key="sk-...", headers={"X-Team": "blue"}
    )
    example_item = ProviderItem(
        **examples.kept("prov"),
        name="vllm-eu",
        type="custom",
        base_url="https://vllm.example/v1",
        has_api_key=True,
        header_names=("X-Team",),
    )

    def shows(self, view: View, resource: Resource) -> bool:
        return True

    def described(self, view: View, resource: Resource) -> ProviderItem:
        provider = _document(resource)
        return ProviderItem(
            id=resource.id,
            origin=resource.origin,
            created_at=iso(resource.created_at),
            updated_at=iso(resource.updated_at),
            name=provider.name,
            type=provider.type,
            base_url=provider.base_url,
            has_api_key=bool(provider.api_key),
            header_names=tuple(sorted(provider.headers)),
        )

    def given_of(self, view: View, resource: Resource) -> dict[str, Any]:
        # A patch names single headers, so it has to be merged into their values. These go no further than that.
        values = {name: value.reveal() for name, value in _document(resource).headers.items()}
        return {**super().given_of(view, resource), "headers": values}

    def document(self, view: View, given: ProviderGiven, before: Resource | None) -> docs.Provider:
        there = None if before is None else _document(before)
        return docs.Provider(
            name=given.name,
            type=given.type,
            base_url=given.base_url,
            api_key=kept(given.api_key, None if there is None else there.api_key),
            headers=_headers(given.headers, {} if there is None else there.headers),
        )

    def judged(self, view: View, before: Resource | None, after: Resource | None) -> tuple[Detail, ...]:
        if before is not None and after is not None and _document(before).type != _document(after).type:
            # What its backends are called with, and which models they serve, was decided for the other protocol.
            in_use(before, view.state)
        return () if before is None or after is None else tuple(_moved(_document(before), _document(after)))


def _moved(before: docs.Provider, after: docs.Provider) -> Iterator[Detail]:
    """A fault of a new address with the key that was stored for the old one: it would be sent to another host."""
    elsewhere = after.base_url != before.base_url or after.type != before.type
    if elsewhere and after.api_key is not None and after.api_key is before.api_key:
        yield Detail("api_key", "was given for another address: send it again with this one, or send null")


def kept(given: str | UnsetType | None, there: Secret | None) -> Secret | None:
    """A credential that was sent, or that is there where none was."""
    if isinstance(given, UnsetType):
        return there
    return None if given is None else Secret(given)


def _headers(given: dict[str, str] | UnsetType | None, there: dict[str, Secret]) -> dict[str, Secret]:
    if isinstance(given, UnsetType):
        return there
    return {name: Secret(value) for name, value in (given or {}).items()}


def _document(resource: Resource) -> docs.Provider:
    return cast("docs.Provider", resource.document)
