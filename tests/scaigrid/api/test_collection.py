"""What every collection has without saying so: filters by equality, and a resource as somebody would send it."""

import msgspec
import pytest

from scaigrid.api.collection import Collection, Kept, PageQuery
from scaigrid.api.requirement import ANYONE
from scaigrid.api.view import View
from scaigrid.config.entities import Origin
from scaigrid.control import documents as docs
from scaigrid.control.resource import Resource
from scaigrid.dialects.shapes import RequestShape
from tests.scaigrid.api.people import tenant
from tests.scaigrid.api.test_sight import STATE, id_of, view


class Sent(RequestShape):
    suspended: bool = False
    called: str | None = msgspec.field(default=None, name="display_name")
    secret: str | None = None


class Shown(Kept, kw_only=True):
    suspended: bool
    display_name: str
    revision: int


class Wanted(PageQuery, frozen=True, kw_only=True):
    suspended: bool | None = None
    name: str | None = None
    origin: Origin | None = None


class Customers(Collection[Sent, Shown]):
    kind = "tenant"
    reading = making = changing = removing = ANYONE
    given = Sent
    item = Shown
    query = Wanted

    def described(self, view: View, resource: Resource) -> Shown:
        return Shown(
            id=resource.id,
            origin=resource.origin,
            created_at="",
            updated_at="",
            suspended=view.state.document(docs.Tenant, resource.id).suspended,
            display_name=resource.name,
            revision=resource.revision,
        )


OF = Customers()


def one(name: str, origin: Origin = "api", *, suspended: bool = False) -> Resource:
    document = docs.Tenant(name=name, partner_id="partner_1", suspended=suspended)
    return Resource(kind="tenant", id=f"tenant_{name}", origin=origin, document=document)


THREE = (one("x"), one("y", "config"), one("z", suspended=True))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Wanted(), "xyz"),
        (Wanted(limit=1, cursor="x"), "xyz"),
        (Wanted(name="y"), "y"),
        (Wanted(name="Y"), ""),
        (Wanted(origin="api"), "xz"),
        (Wanted(suspended=False), "xy"),
        (Wanted(suspended=True, origin="api"), "z"),
        (Wanted(suspended=True, origin="config"), ""),
    ],
)
def test_a_list_is_filtered_by_equality_with_every_filter_that_is_given(query: Wanted, found: str) -> None:
    assert "".join(resource.name for resource in OF.found(view("super"), THREE, query)) == found


def test_a_patch_is_merged_into_what_can_be_sent_and_nothing_else() -> None:
    """What only the answer has, and what only the body has (credentials), are left out."""
    resource = STATE.all("tenant")[tenant("a")]
    assert OF.given_of(view("super"), resource) == {"suspended": False, "display_name": "a"}


def test_a_resource_is_found_by_its_id_whoever_asks_and_shown_to_those_who_reach_it() -> None:
    caller = view("admin_a")
    own, other = (OF.found_by(caller, tenant(slug)) for slug in "ab")
    assert own is not None
    assert other is not None
    assert (OF.shows(caller, own), OF.shows(caller, other)) == (True, False)
    assert (OF.may_refer(caller, own), OF.may_refer(caller, other)) == (True, False)
    assert OF.found_by(caller, "a") is None
    assert OF.found_by(caller, id_of("user", "user_a")) is None, "an id of another kind"


def test_what_a_collection_does_not_say_refuses_and_changes_nothing() -> None:
    caller, resource = view("super"), THREE[0]
    assert OF.id_for(resource.document, "tenant_fresh") == "tenant_fresh"
    assert OF.may_change(caller, resource)
    assert (*OF.judged(caller, None, resource), *OF.along(caller, resource, None)) == ()


async def test_what_a_collection_does_not_say_finds_nothing_out() -> None:
    caller = view("super")
    assert await OF.informed(caller, THREE) is caller
