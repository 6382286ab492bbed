"""Applies what a file declares: planned and done in one change, or refused whole; and kept in the history."""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import select

from scaigrid.adapter import Adapter
from scaigrid.control import history
from scaigrid.control.codec import Codec
from scaigrid.control.digest import config_hash
from scaigrid.control.plan import Plan, planned, with_reasons
from scaigrid.control.resealing import reseal
from scaigrid.control.resource import Resource
from scaigrid.control.store import Change
from scaigrid.control.vault import Vault
from scaigrid.db.models import epoch


class Refused(Exception):
    """The plan has steps that may not be taken; nothing was done."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        super().__init__(with_reasons(plan.refused))


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What was done. `seq` is its entry in the history, None where nothing was declared otherwise than before."""

    plan: Plan
    seq: int | None = None
    sealed_anew: int = 0
    """Credentials and entries of the history that were encrypted under an older key."""


async def apply(
    change: Change,
    declared: Sequence[Resource],
    vault: Vault,
    codec: Codec,
    *,
    adapters: Mapping[str, Adapter],
    source: str,
    actor: str,
) -> Applied:
    """Does it within `change`; `source` and `actor` say for the history where it came from and who did it.

    Whatever an older key has encrypted is encrypted anew. Raises Refused, and vault.CannotOpen for what none of the
    keys opens.
    """
    made = planned(change.state, declared, vault, adapters)
    if made.plan.refused:
        raise Refused(made.plan)
    anew = await reseal(change.connection, vault, codec)
    change.replace(made.put, made.gone)
    ours = [resource for resource in change.state if resource.origin == "config"]
    digest = config_hash(ours, vault)
    if digest != await change.connection.scalar(select(epoch.c.config_hash)):
        change.stamp(digest)
    if made.plan.empty:
        return Applied(plan=made.plan, sealed_anew=anew)
    seq = await history.write(
        change.connection,
        history.Entry(
            seq=0,
            applied_at=change.now,
            epoch=change.epoch,
            config_hash=digest,
            source=source,
            actor=actor,
            plan=made.plan,
        ),
        codec.encode_all(ours),
    )
    return Applied(plan=made.plan, seq=seq, sealed_anew=anew)
