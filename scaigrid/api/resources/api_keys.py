"""`/v1/api-keys`: the keys of users. What opens is told once, when it is made (`api_key_secrets.py`)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import ip_network
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from scaigrid.api import money
from scaigrid.api.authority import MANAGING, Authority
from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.key_bounds import KeyBounds
from scaigrid.api.money import Money
from scaigrid.api.requirement import Requirement
from scaigrid.api.resources import examples
from scaigrid.api.resources.users import Id, once
from scaigrid.api.view import View, missing
from scaigrid.config.entities import Label, Origin, Permission
from scaigrid.config.terms import HardAction, Limits
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.control.standing import Standings
from scaigrid.control.visibility import Visibility
from scaigrid.dialects.shapes import OPEN, AnswerShape, RequestShape
from scaigrid.errors import Code, Detail, GatewayError
from scaigrid.limiter import OnStoreFailure
from scaigrid.periods import Period
from scaigrid.roles import Reach
from scaigrid.timestamps import iso
from scaigrid.zones import known

Status = Literal["active", "expired", "revoked"]
Count = Annotated[int, Meta(ge=0, le=2**53)]

HOLDING = Requirement("api_keys:manage", MANAGING)
"""One's own keys by the first of them, those of others by the second."""


class KeyBudgetGiven(RequestShape):
    """A hard budget of one key alone, with at least one of the three limits."""

    period: Period = "monthly"
    """When it starts anew, at midnight of `timezone`: each day, each Monday, each first of the month, or never."""
    timezone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    """IANA's name of the time zone in which the period begins (`Europe/Amsterdam`)."""
    cost_limit: Money | None = None
    """The most that may be spent in a period, a decimal string in the currency of the prices."""
    token_limit: Count | None = None
    """The most tokens, input and output together."""
    request_limit: Count | None = None
    """The most requests."""
    hard_action: HardAction = "block"
    """What happens to a call that could go beyond a limit, as with `/v1/accounting/budgets`."""
    soft_limit_pct: Annotated[float, Meta(gt=0, le=1)] | None = 0.8
    """The part of a limit at which a warning is told, once a period. Null: none."""
    throttle_per_minute: Annotated[int, Meta(ge=1, le=2**53)] = 1
    """With `throttle` alone: requests in any rolling minute once the limit is reached."""
    on_store_failure: OnStoreFailure = "deny"
    """What happens to calls while the store of the counters cannot be reached, as with `/v1/accounting/budgets`."""


class ApiKeyGiven(RequestShape):
    """A key, as it is sent.

    What the key that asks may not do, one that it makes may not do either: left out, the scopes, models, addresses and
    the end of a new key are those of the asking one.
    """

    name: Label
    """For people."""
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    """Refused with SESSION_EXPIRED from then on. ISO 8601 with an offset. Left out: never."""
    assigned_user_id: Id | None = None
    """Whose it is. Left out: yours. Anybody else's needs `users:manage`. It does not change."""
    scopes: Annotated[tuple[Permission, ...], Meta(max_length=64)] | None = None
    """The only permissions of its user that it carries. Left out: all of them."""
    models: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...], Meta(max_length=1000)] | None = (
        None
    )
    """The only models that it may use, by slug. Left out: all that its user may use."""
    addresses: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=256)] | None = (
        None
    )
    """The only addresses that it may be used from, single ones or networks (`10.0.0.0/8`)."""
    limits: Limits = Limits()
    """Request limits of this key."""
    budget: KeyBudgetGiven | None = None
    """A hard budget of this key."""


class KeyBudgetItem(AnswerShape, kw_only=True):
    """A hard budget of one key alone."""

    period: Period
    timezone: str
    cost_limit: str | None
    """A decimal string."""
    token_limit: int | None
    request_limit: int | None
    hard_action: Annotated[HardAction, OPEN]
    soft_limit_pct: float | None
    throttle_per_minute: int
    on_store_failure: Annotated[OnStoreFailure, OPEN]


class ApiKeyItem(Kept, kw_only=True):
    """A key, without what opens."""

    name: str
    prefix: str | None
    """Its first characters, to tell it by."""
    user_id: str
    tenant_id: str
    status: Annotated[Status, OPEN]
    expires_at: str | None
    """ISO 8601, UTC; null for never."""
    last_used_at: str | None
    """ISO 8601, UTC, to the half minute; null for never."""
    scopes: tuple[str, ...] | None
    """Null: everything that its user may do."""
    models: tuple[str, ...] | None
    """Null: all that its user may use."""
    addresses: tuple[str, ...] | None
    """Null: any."""
    limits: Limits
    budget: KeyBudgetItem | None
    reach: Annotated[Reach, OPEN] | None
    """Roles of its user that reach farther do not count with it, for somebody who reached no farther has made it. Null:
    all of them count. Its user lifts that by rotating it, with another key than this one."""
    previous_until: str | None
    """Until when the text that was replaced last still opens; null where it does no more."""


class ApiKeysQuery(PageQuery, frozen=True, kw_only=True):
    """Which keys to list."""

    user_id: str | None = None
    status: Status | None = None
    name: str | None = None
    origin: Origin | None = None


class ApiKeys(Collection[ApiKeyGiven, ApiKeyItem]):
    kind = "api_key"
    path = "/v1/api-keys"
    area = "Keys"
    singular = "ApiKey"
    plural = "ApiKeys"
    about = (
        "One's own, by `api_keys:manage`; with `users:manage` those of the users that the caller sees too, of which it "
        "changes none whose user may do more than itself."
    )
    reading = HOLDING
    making = HOLDING
    changing = HOLDING
    removing = HOLDING
    methods = frozenset({"list", "get", "replace", "amend", "remove"})
    given = ApiKeyGiven
    item = ApiKeyItem
    query = ApiKeysQuery
    example_given = ApiKeyGiven(name="ada-laptop", scopes=("models:list", "models:use"), models=("openai/gpt-4o",))
    example_item = ApiKeyItem(
        **examples.kept("apikey"),
        name="ada-laptop",
        prefix="sgk_Vq3xT0aB",
        user_id=examples.id_of("user"),
        tenant_id=examples.id_of("tenant"),
        status="active",
        expires_at="2027-01-31T00:00:00.000000Z",
        last_used_at="2026-11-02T10:15:30.000000Z",
        scopes=("models:list", "models:use"),
        models=("openai/gpt-4o",),
        addresses=None,
        limits=Limits(),
        budget=None,
        reach=None,
        previous_until=None,
    )

    def shows(self, view: View, resource: Resource) -> bool:
        user_id = view.state.document(docs.ApiKey, resource.id).user_id
        return view.reaches(resource) and (view.may(MANAGING) or user_id == view.principal.user.id)

    async def informed(self, view: View, resources: Sequence[Resource]) -> View:
        ids = [resource.id for resource in resources]
        # What this worker has not written yet; asked first, for by the time that the database answers it may be there.
        later = view.control.uses
        used = await view.control.store.uses(ids) if ids else {}
        return msgspec.structs.replace(view, facts=used | {id_: later[id_] for id_ in ids if id_ in later})

    def described(self, view: View, resource: Resource) -> ApiKeyItem:
        key = view.state.document(docs.ApiKey, resource.id)
        now = view.services.clock.now()
        used: float | None = view.facts.get(resource.id)
        until = key.previous_until
        return ApiKeyItem(
            id=resource.id,
            origin=resource.origin,
            created_at=iso(resource.created_at),
            updated_at=iso(resource.updated_at),
            name=key.name,
            prefix=key.prefix,
            user_id=key.user_id,
            tenant_id=view.state.document(docs.User, key.user_id).tenant_id,
            status=status_of(key, now),
            expires_at=_told(key.expires_at),
            last_used_at=None if used is None else iso(used),
            scopes=key.scopes,
            models=key.models,
            addresses=key.addresses,
            limits=key.limits,
            budget=None if key.budget is None else _budget(key.budget),
            reach=key.reach,
            previous_until=_told(until) if until is not None and until.timestamp() > now else None,
        )

    def given_of(self, view: View, resource: Resource) -> dict[str, Any]:
        owner = view.state.document(docs.ApiKey, resource.id).user_id
        return {**super().given_of(view, resource), "assigned_user_id": owner}

    def document(self, view: View, given: ApiKeyGiven, before: Resource | None) -> docs.ApiKey:
        was = None if before is None else view.state.document(docs.ApiKey, before.id)
        expires_at = _in_utc(given.expires_at)
        faults = tuple(_faults(given, expires_at, was, view.services.clock.now()))
        if faults:
            raise GatewayError(Code.VALIDATION_ERROR, details=faults)
        owner = _owner(view, given) if was is None else was.user_id
        key = was or docs.ApiKey(name=given.name, user_id=owner, sha256="")
        return msgspec.structs.replace(
            key,
            name=given.name,
            expires_at=expires_at,
            scopes=None if given.scopes is None else once(given.scopes),
            models=None if given.models is None else once(given.models),
            addresses=None if given.addresses is None else once(given.addresses),
            limits=given.limits,
            budget=None if given.budget is None else _amounts(given.budget),
        )

    def may_refer(self, view: View, resource: Resource) -> bool:
        return _may_have(view, resource)

    def may_change(self, view: View, resource: Resource) -> bool:
        return manages(view, view.state.document(docs.ApiKey, resource.id).user_id)

    def judged(self, view: View, before: Resource | None, after: Resource | None) -> Iterable[Detail]:
        if after is None:
            return ()
        key = cast("docs.ApiKey", after.document)
        if before is not None:
            KeyBounds(view, key.user_id).may_become(cast("docs.ApiKey", before.document), key)
        return _unseen(view, key)

    def filtered(self, view: View, resource: Resource, name: str) -> object:
        if name == "status":
            return status_of(view.state.document(docs.ApiKey, resource.id), view.services.clock.now())
        return super().filtered(view, resource, name)


def status_of(key: docs.ApiKey, now: float) -> Status:
    """What becomes of a call with it."""
    if key.revoked:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at.timestamp() <= now else "active"


def manages(view: View, user_id: str) -> bool:
    """Whether the caller may do something with a user's keys: they are its own, or lie within what it manages."""
    if user_id == view.principal.user.id:
        return True
    return view.may(MANAGING) and Authority(view).covers(Standings(view.state).of_user(user_id))


def _may_have(view: View, user: Resource) -> bool:
    """Whether the caller sees keys of that user."""
    return view.reaches(user) and (view.may(MANAGING) or user.id == view.principal.user.id)


def _owner(view: View, given: ApiKeyGiven) -> str:
    """Whose a new key is. Raises NOT_FOUND, naming `assigned_user_id`, and AUTHZ_PERMISSION_DENIED."""
    own = view.principal.user.id
    asked = given.assigned_user_id or own
    user = view.state.get("user", asked)
    if asked == own and user is None:
        raise GatewayError(
            Code.CONFLICT,
            "You are known by your token alone, and keys belong to users that are kept here: have an administrator "
            "make a user with your external_id.",
        )
    if user is None or not _may_have(view, user):
        raise missing("user", "assigned_user_id")
    if not manages(view, asked):
        raise GatewayError(Code.AUTHZ_PERMISSION_DENIED, "The user has rights that go beyond yours.")
    return asked


def _faults(given: ApiKeyGiven, expires_at: datetime | None, was: docs.ApiKey | None, now: float) -> Iterator[Detail]:
    if was is not None and given.assigned_user_id not in (None, was.user_id):
        yield Detail("assigned_user_id", "does not change: make another key")
    moved = was is None or expires_at != was.expires_at
    if moved and expires_at is not None and expires_at.timestamp() <= now:
        yield Detail("expires_at", "must be later than now")
    for place, text in enumerate(given.addresses or ()):
        try:
            ip_network(text)
        except ValueError as error:
            yield Detail(f"addresses[{place}]", str(error))
    budget = given.budget
    if budget is not None and not _limits(budget):
        yield Detail("budget", "give at least one of `cost_limit`, `token_limit` and `request_limit`")
    if budget is not None and not known(budget.timezone):
        yield Detail("budget.timezone", "there is no such time zone")


def _in_utc(moment: datetime | None) -> datetime | None:
    """Raises VALIDATION_ERROR for a moment of the last or first day that there is, and of no day in UTC."""
    try:
        return None if moment is None else moment.astimezone(UTC)
    except OverflowError:
        late = Detail("expires_at", "must be a time of the years 1 to 9999 in UTC")
        raise GatewayError(Code.VALIDATION_ERROR, details=(late,)) from None


def _limits(budget: KeyBudgetGiven) -> bool:
    return any(limit is not None for limit in (budget.cost_limit, budget.token_limit, budget.request_limit))


def _unseen(view: View, key: docs.ApiKey) -> Iterator[Detail]:
    """Models that its user may not see: said of them what is said of those that there are not."""
    if not key.models:
        return
    standings = Standings(view.state)
    if standings.of_user(key.user_id).reach == "platform":
        return
    user = view.state.document(docs.User, key.user_id)
    partner = view.state.document(docs.Tenant, user.tenant_id).partner_id
    subjects = (key.user_id, user.tenant_id, partner, *standings.groups.get(key.user_id, ()))
    hidden = Visibility(view.state).hidden(subjects)
    for place, slug in enumerate(key.models):
        if slug in hidden:
            yield Detail(f"models[{place}]", "there is no such model")


def _told(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment.timestamp())


def _budget(amounts: docs.Amounts) -> KeyBudgetItem:
    return KeyBudgetItem(
        period=amounts.period,
        timezone=amounts.timezone,
        cost_limit=money.shown(amounts.cost_limit),
        token_limit=amounts.token_limit,
        request_limit=amounts.request_limit,
        hard_action=amounts.hard_action,
        soft_limit_pct=None if amounts.soft_limit_pct is None else float(amounts.soft_limit_pct),
        throttle_per_minute=amounts.throttle_per_minute,
        on_store_failure=amounts.on_store_failure,
    )


def _amounts(given: KeyBudgetGiven) -> docs.Amounts:
    values: Mapping[str, Any] = {
        **msgspec.structs.asdict(given),
        "cost_limit": money.read(given.cost_limit),
        # As it was written: the shortest decimal that is this number.
        "soft_limit_pct": None if given.soft_limit_pct is None else Decimal(repr(given.soft_limit_pct)),
    }
    return docs.Amounts(**values)
