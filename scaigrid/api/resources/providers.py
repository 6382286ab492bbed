"""`/v1/providers`: the connections to providers. What is written of a credential is never read back."""

import secrets
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, cast

from msgspec import UNSET, Meta, UnsetType

from scaigrid.adapter import Adapter
from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.requirement import Requirement
from scaigrid.api.resources import examples
from scaigrid.api.view import View
from scaigrid.config.connection import address_of
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
CredentialName = Annotated[str, Meta(min_length=1, max_length=64)]
CredentialValue = Annotated[str, Meta(min_length=1, max_length=16_384)]
"""A key, or a file with a key in it."""
HeaderValue = Annotated[str, Meta(max_length=4096, pattern=r"^[ -~]*(?!\n)$")]

_UNTOUCHED = secrets.token_hex(32)
"""Stands in a patched provider for each credential that the patch does not name. Nobody else knows it."""

OPERATORS = Requirement("routing:manage", reach="platform")
"""Whoever runs the installation: credentials and costs are theirs."""


class ProviderGiven(RequestShape):
    """A provider, as it is sent."""

    name: Name
    """Unique."""
    type: Annotated[str, Meta(min_length=1, max_length=64)]
    """The protocol: `openai`, `azure`, `anthropic`, `google`, `bedrock` and others (`/v1/capabilities` has all of
    them), `custom` (any endpoint that speaks the OpenAI protocol), or `simulator` (built in, for trials; says so in
    every answer). It does not change while the provider has backends."""
    base_url: Annotated[str, Meta(max_length=2048, pattern=r"^https?://[^\s?#@]+(?!\n)$")] | None = None
    """Address of its API, path included (`https://api.openai.com/v1`). Left out: the provider's public one."""
    api_key: Credential | UnsetType | None = UNSET
    """Its credential. Left out: the one that is there stays; null: none. It is never answered."""
    credentials: Annotated[dict[CredentialName, CredentialValue], Meta(max_length=20)] | UnsetType | None = UNSET
    """Instead of `api_key`, where calls have to be signed or a token has to be got for them (`bedrock`: an
    `access_key_id` and a `secret_access_key`). Which ones a type takes is told by `/v1/capabilities`. Left out: those
    that are there stay; null: none. Their values are never answered."""
    headers: Annotated[dict[str, HeaderValue], Meta(max_length=50)] | UnsetType | None = UNSET
    """Headers to send besides its own (an organisation or a project, for example). Left out: those that are there
    stay; null: none. Their values are never answered."""
    options: Annotated[dict[Annotated[str, Meta(max_length=64)], Any], Meta(max_length=50)] = {}  # noqa: RUF012 - msgspec copies an empty default for each instance
    """What else this type of provider can be told, such as a region. Which options a type has is told by
    `/v1/capabilities`."""


class ProviderItem(Kept, kw_only=True):
    """A provider."""

    name: str
    type: str
    base_url: str | None
    """Null: the provider's public one."""
    has_api_key: bool
    credential_names: tuple[str, ...]
    header_names: tuple[str, ...]
    options: dict[str, Any]


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
        credential_names=(),
        header_names=("X-Team",),
        options={},
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
            credential_names=tuple(sorted(provider.credentials)),
            header_names=tuple(sorted(provider.headers)),
            options=provider.options,
        )

    def given_of(self, view: View, resource: Resource) -> dict[str, Any]:
        # A patch names single headers, so it has to be merged into their values. These go no further than that.
        values = {name: value.reveal() for name, value in _document(resource).headers.items()}
        # Of a credential that it does not name it has to be known that it is the old one: see `_moved`.
        unnamed = dict.fromkeys(_document(resource).credentials, _UNTOUCHED)
        return {**super().given_of(view, resource), "headers": values, "credentials": unnamed}

    def document(self, view: View, given: ProviderGiven, before: Resource | None) -> docs.Provider:
        there = None if before is None else _document(before)
        return docs.Provider(
            name=given.name,
            type=given.type,
            base_url=given.base_url,
            api_key=kept(given.api_key, None if there is None else there.api_key),
            credentials=_credentials(given.credentials, {} if there is None else there.credentials),
            headers=_headers(given.headers, {} if there is None else there.headers),
            options=given.options,
        )

    def judged(self, view: View, before: Resource | None, after: Resource | None) -> tuple[Detail, ...]:
        if before is not None and after is not None and _document(before).type != _document(after).type:
            # What its backends are called with, and which models they serve, was decided for the other protocol.
            in_use(before, view.state)
        if before is None or after is None:
            return ()
        return tuple(_moved(_document(before), _document(after), view.adapters))


def _moved(before: docs.Provider, after: docs.Provider, adapters: Mapping[str, Adapter]) -> Iterator[Detail]:
    """A fault of a new address with the key that was stored for the old one: it would be sent to another host."""
    if _place(before, adapters) == _place(after, adapters):
        return
    if after.api_key is not None and after.api_key is before.api_key:
        yield Detail("api_key", "was given for another address: send it again with this one, or send null")
    for name, value in after.credentials.items():
        if value is before.credentials.get(name):
            yield Detail(f"credentials.{name}", "was given for another address: send it again with this one")


def _place(provider: docs.Provider, adapters: Mapping[str, Adapter]) -> tuple[str, str | None]:
    """Where its credentials go; of a provider that has faults, and is refused for them, whatever it says."""
    try:
        return provider.type, address_of(provider, adapters[provider.type])
    except (KeyError, ValueError):
        return provider.type, provider.base_url


def kept(given: str | UnsetType | None, there: Secret | None) -> Secret | None:
    """A credential that was sent, or that is there where none was."""
    if isinstance(given, UnsetType):
        return there
    return None if given is None else Secret(given)


def _credentials(given: dict[str, str] | UnsetType | None, there: dict[str, Secret]) -> dict[str, Secret]:
    if isinstance(given, UnsetType):
        return there
    return {
        name: there[name] if value == _UNTOUCHED and name in there else Secret(value)
        for name, value in (given or {}).items()
    }


def _headers(given: dict[str, str] | UnsetType | None, there: dict[str, Secret]) -> dict[str, Secret]:
    if isinstance(given, UnsetType):
        return there
    return {name: Secret(value) for name, value in (given or {}).items()}


def _document(resource: Resource) -> docs.Provider:
    return cast("docs.Provider", resource.document)
