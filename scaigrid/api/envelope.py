"""What `/v1` wraps its answers in: the envelope, and beside it, for lists, where the next page begins."""

from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

from scaigrid.dialects.native_shapes import Envelope, EnvelopeMeta
from scaigrid.dialects.shapes import AnswerShape
from scaigrid.exchange import Exchange

T = TypeVar("T")


class Pagination(AnswerShape):
    """Where a list goes on."""

    has_more: bool
    next_cursor: str | None
    """Send it as `cursor`, with the same filters, for the next page; null on the last one. Opaque."""


class Items(AnswerShape, Generic[T]):
    """One page of a list."""

    items: Sequence[T]


class ListEnvelope(AnswerShape, Generic[T], kw_only=True):
    """Every list of `/v1`."""

    status: Literal["ok"] = "ok"
    data: Items[T]
    pagination: Pagination
    meta: EnvelopeMeta


def enveloped(exchange: Exchange, data: T) -> Envelope[T]:
    """`data` as the answer to the request of `exchange`."""
    return Envelope(data=data, meta=EnvelopeMeta(request_id=exchange.request_id))


def listed(exchange: Exchange, items: Sequence[T], next_cursor: str | None) -> ListEnvelope[T]:
    """One page as the answer to the request of `exchange`; `next_cursor` None where it is the last."""
    return ListEnvelope(
        data=Items(items=items),
        pagination=Pagination(has_more=next_cursor is not None, next_cursor=next_cursor),
        meta=EnvelopeMeta(request_id=exchange.request_id),
    )
