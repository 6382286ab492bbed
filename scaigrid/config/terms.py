"""The words that the configuration file, the API and the database share: names, amounts, limits, prices, deadlines."""

import re
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from scaigrid.config.strict import Strict

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?(?!\n)$")]
Slug = Annotated[str, msgspec.Meta(pattern=r"^(?!.*//)[A-Za-z0-9](?:[A-Za-z0-9._:@/-]{0,126}[A-Za-z0-9])?(?!\n)$")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Amount = Annotated[Decimal, msgspec.Meta(extra={"ge": 0, "le": 10**12})]
"""Money, not negative; msgspec has no bounds for decimals, the loader reads these."""
Price = Annotated[Decimal, msgspec.Meta(extra={"ge": 0, "lt": 10**6})]
"""A price per million tokens. Below a million: what a call costs has to fit into 64 bits of nano-units."""
OnUnsupported = Literal["refuse", "drop_with_header"]
"""What becomes of a field that a backend's provider has no word for."""
RoleName = Literal["tenant_viewer", "tenant_user", "tenant_admin", "partner_viewer", "partner_admin", "super_admin"]

KEY_PATTERN = re.compile(r"^sgk_[A-Za-z0-9_-]{32,}(?!\n)$")
DEMO_KEY = "sgk_demo_0123456789abcdef0123456789abcdef"
"""Published with the project, so it opens nothing but a gateway on a loopback address."""


class Limits(Strict):
    """Request limits of one subject. Left out: the level's default. `null`: no limit. 0: refuse everything."""

    requests_per_minute: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | msgspec.UnsetType | None = msgspec.UNSET
    """Requests in any rolling minute. Defaults: key 60, user 120, tenant 1000, partner 5000."""


class Deadlines(Strict):
    """How long to wait for a provider, in seconds. None is infinite."""

    connect: Seconds = 5.0
    """For a connection, TLS included."""
    first_byte: Seconds = 60.0
    """From the start of an attempt, connecting included, to the first piece of a stream or the head of an answer."""
    idle: Seconds = 60.0
    """Between two pieces of a streamed answer; for a plain one, from its head to its end."""
    total: Seconds = 600.0
    """For one call, every attempt included."""


class Cost(Strict):
    """What a backend charges you, in the currency of the prices, per million tokens. Decimal numbers."""

    input: Price = Decimal(0)
    """Input tokens that were not cached."""
    output: Price = Decimal(0)
    """Output tokens, reasoning included."""
    cached_input: Price | None = None
    """Input tokens read from the provider's cache. Left out: as `input`."""
    cache_write: Price | None = None
    """Input tokens written to the provider's cache (kept 5 minutes). Left out: as `input`."""
    cache_write_1h: Price | None = None
    """Input tokens written to the provider's cache for an hour. Left out: as `cache_write`."""


class Prices(Cost):
    """What a model costs your users, per million tokens, and for each request. Decimal numbers."""

    request: Price = Decimal(0)
    """Each answered request, besides its tokens."""
