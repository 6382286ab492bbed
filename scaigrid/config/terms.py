"""The words that the configuration file, the API and the database share: names, amounts, limits, prices, deadlines."""

import re
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal

import msgspec

from scaigrid.config.decode import Invalid
from scaigrid.config.strict import Strict
from scaigrid.limiter import OnStoreFailure

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?(?!\n)$")]
Slug = Annotated[str, msgspec.Meta(pattern=r"^(?!.*//)[A-Za-z0-9](?:[A-Za-z0-9._:@/-]{0,126}[A-Za-z0-9])?(?!\n)$")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Amount = Annotated[Decimal, msgspec.Meta(extra={"ge": 0, "le": 10**12, "places": 9})]
"""Money, not negative; msgspec has no bounds for decimals, the loader reads these. What is finer than a nano-unit would
be rounded up, and a budget would let more pass than it says."""
Price = Annotated[Decimal, msgspec.Meta(extra={"ge": 0, "lt": 10**6, "places": 9})]
"""A price per million tokens. Below a million: what a call costs has to fit into 64 bits of nano-units. Nine places are
a nano-unit: what is finer could not be charged exactly."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Requests or tokens, at the most."""
Share = Annotated[Decimal, msgspec.Meta(extra={"gt": 0, "le": 1})]
"""A part of something: above 0, and 1 for the whole of it."""
PerMinute = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
HardAction = Literal["block", "notify", "throttle"]
"""What a budget does with calls beyond it: refuses them, lets them pass and tells, or lets few of them pass."""
OnUnsupported = Literal["refuse", "drop_with_header"]
"""What becomes of a field that a backend's provider has no word for."""
OnDisconnect = Literal["cancel", "drain"]
"""What becomes of a provider's answer whose client has left."""
RoleName = Literal["tenant_viewer", "tenant_user", "tenant_admin", "partner_viewer", "partner_admin", "super_admin"]

KEY_PATTERN = re.compile(r"^sgk_[A-Za-z0-9_-]{32,}(?!\n)$")
DEMO_KEY = "sgk_demo_0123456789abcdef0123456789abcdef"
"""Published with the project, so it opens nothing but a gateway on a loopback address."""


class Limits(Strict, omit_defaults=True):
    """What all calls of one subject together may do. `null`: no limit. 0: refuse everything."""

    requests_per_minute: Count | msgspec.UnsetType | None = msgspec.UNSET
    """Requests in any rolling minute. Left out: key 60, user 120, tenant 1000, partner 5000, models no limit."""
    requests_per_day: Count | None = None
    """Requests in any rolling 24 hours. Left out: no limit, as with those that follow."""
    tokens_per_minute: Count | None = None
    """Tokens in any rolling minute, input and output together. The most that a call can use is taken when it comes,
    and corrected to what it used when that is known; so every chat model that it may be has to have
    `max_output_tokens`."""
    tokens_per_day: Count | None = None
    """Tokens in any rolling 24 hours, taken and corrected likewise."""
    concurrent_requests: Count | None = None
    """Requests at the same time, from when one is let in to when its answer is over."""
    on_store_failure: OnStoreFailure = "deny"
    """What becomes of requests while the store of the counters cannot be reached: `deny` refuses them with
    STORE_UNAVAILABLE, `allow` lets them pass these limits uncounted, `allow_bounded` lets each worker go on by itself
    with a share of these limits."""

    @property
    def needs_bounds(self) -> bool:
        """They can be kept only where every answer has a bound."""
        return self.tokens_per_minute is not None or self.tokens_per_day is not None


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


class PriceTier(Strict, omit_defaults=True):
    """Prices of requests with more than `above` tokens of input; they hold for the whole request.

    What is left out is as in the prices that the tier belongs to. What these leave out too follows the tier: its
    `cached_input` is then as its `input`.
    """

    above: Annotated[int, msgspec.Meta(ge=1, le=2**40)]
    """Tokens of input: cached and written ones, sound and images included."""
    input: Price | None = None
    """Input tokens that were not cached."""
    output: Price | None = None
    """Output tokens, reasoning included."""
    cached_input: Price | None = None
    """Input tokens read from the provider's cache."""
    cache_write: Price | None = None
    """Input tokens written to the provider's cache (kept 5 minutes)."""
    cache_write_1h: Price | None = None
    """Input tokens written to the provider's cache for an hour."""
    input_audio: Price | None = None
    """Input tokens of sound."""
    output_audio: Price | None = None
    """Output tokens of sound."""
    input_image: Price | None = None
    """Input tokens of images."""
    output_image: Price | None = None
    """Output tokens of images."""
    image: Price | None = None
    """Each image that is made."""
    second: Price | None = None
    """Each second of sound."""
    request: Price | None = None
    """Each answered request."""


class Cost(Strict, omit_defaults=True):
    """What a backend charges you, in the currency of the prices, per million tokens where nothing else is said.

    Decimal numbers of nine places at the most. Each token is charged in one class alone: what was cached as cached,
    sound and images apart where the provider counts them apart.
    """

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
    input_audio: Price | None = None
    """Input tokens of sound. Left out: as `input`."""
    output_audio: Price | None = None
    """Output tokens of sound. Left out: as `output`."""
    input_image: Price | None = None
    """Input tokens of images. Left out: as `input`."""
    output_image: Price | None = None
    """Output tokens of images. Left out: as `output`."""
    image: Price = Decimal(0)
    """Each image that is made, where images are charged by the piece."""
    second: Price = Decimal(0)
    """Each second of sound, where sound is charged by its length."""
    request: Price = Decimal(0)
    """Each answered request, besides its tokens."""
    tiers: Annotated[tuple[PriceTier, ...], msgspec.Meta(max_length=16)] = ()
    """Other prices for large requests, by rising `above`."""

    def __post_init__(self) -> None:
        above = [tier.above for tier in self.tiers]
        falling = [place for place, (one, next_) in enumerate(pairwise(above), 1) if next_ <= one]
        if falling:
            raise Invalid((("tiers", place, "above"), "must be more than that of the tier before") for place in falling)


class Prices(Cost, omit_defaults=True):
    """What a model costs your users, with the words in which a backend's cost is given."""
