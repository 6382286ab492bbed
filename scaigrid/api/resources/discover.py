"""`POST /v1/providers/{id}/discover`: which models a provider has. It is asked then and there, and nothing is kept."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from litestar import post
from litestar.params import FromPath

from scaigrid.adapter import Adapter
from scaigrid.api.crud import Asked, audited, seen
from scaigrid.api.discovery import discovered
from scaigrid.api.envelope import ListEnvelope, listed
from scaigrid.api.handling import Provided
from scaigrid.api.query import NoQuery, read_query
from scaigrid.api.recording import Trying
from scaigrid.api.resources.providers import OPERATORS, Providers
from scaigrid.api.view import View, view_of
from scaigrid.config.connection import options_of
from scaigrid.control import documents as docs
from scaigrid.control.follower import Control
from scaigrid.credentials.signers import SignerSource
from scaigrid.dialects.shapes import AnswerShape
from scaigrid.middleware import Services
from scaigrid.upstream.port import Upstream

PROVIDERS = Providers()


class DiscoveredModel(AnswerShape, kw_only=True):
    """A model that a provider has; what its list does not say is null."""

    model: str
    """The provider's own name: what a backend takes as `model`."""
    display_name: str | None
    owned_by: str | None
    context_window: int | None
    max_output_tokens: int | None
    already_used_by: tuple[str, ...]
    """The ids of the backends of this provider that have it."""


@post(f"{Providers.path}/{{id_:str}}/discover", guards=[Trying("provider", "discover"), OPERATORS], status_code=200)
async def discover(
    request: Asked,
    *,
    id_: FromPath[str],
    services: Provided[Services],
    control: Provided[Control],
    adapters: Provided[Mapping[str, Adapter]],
    upstreams: Provided[Mapping[str, Upstream]],
    signers: Provided[SignerSource],
) -> ListEnvelope[DiscoveredModel]:
    read_query(request, NoQuery)
    view = view_of(request, await control.refresh(), services, control, adapters)
    resource = seen(PROVIDERS, view, id_)
    audited(view.exchange, PROVIDERS, "discover", resource.id)
    provider = cast("docs.Provider", resource.document)
    adapter = adapters[provider.type]
    signer = signers.of(adapter, provider.credentials, options_of(provider, adapter))
    upstream = upstreams[adapter.transport]
    offers = await discovered(provider, adapter, upstream, view.exchange.request_id, signer=signer)
    used = _used(view, resource.id)
    items = [
        DiscoveredModel(**msgspec.structs.asdict(offer), already_used_by=used.get(offer.model, ())) for offer in offers
    ]
    return listed(view.exchange, items, None)


def _used(view: View, provider_id: str) -> Mapping[str, tuple[str, ...]]:
    """By the provider's name of a model, the ids of its backends."""
    found: dict[str, Any] = {}
    for id_, backend in view.state.documents(docs.Backend):
        if backend.provider_id == provider_id:
            found[backend.model] = (*found.get(backend.model, ()), id_)
    return found
