"""Money in bodies: decimal strings, never floating-point numbers."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from scaigrid.pricing import to_decimal, to_nano

Money = Annotated[str, Meta(pattern=r"^(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,9})?(?!\n)$")]
"""An amount as it is sent: not negative, at most nine places, below 10^12."""


def shown(amount: Decimal | None) -> str | None:
    """An amount as it is answered: without trailing zeros."""
    return None if amount is None else to_decimal(to_nano(amount))


def read(amount: str | None) -> Decimal | None:
    """What was sent, as it is kept."""
    return None if amount is None else Decimal(amount)
