"""How far a caller's permissions reach, and what a query asks for within that."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaigrid import roles
from scaigrid.api.usage_selection import UsageSelection, confined, reach_of, selected
from scaigrid.config import terms
from scaigrid.config.snapshot import Party, Principal
from scaigrid.ledger.reading import Tag, UsageFilter

_IDS = st.sampled_from([None, "a", "b"])
_FILTERS = st.builds(
    UsageFilter,
    partner_id=_IDS,
    tenant_id=_IDS,
    user_id=_IDS,
    key_id=_IDS,
    model=_IDS,
    backend_id=_IDS,
    request_id=_IDS,
)
_NAMES = ("partner_id", "tenant_id", "user_id", "key_id", "model", "backend_id", "request_id")


@given(_FILTERS, _FILTERS, st.fixed_dictionaries({name: st.sampled_from(["a", "b"]) for name in _NAMES}))
def test_what_is_confined_holds_the_rows_that_fit_both(
    wanted: UsageFilter, reach: UsageFilter, found: dict[str, str]
) -> None:
    def fits(one: UsageFilter | None) -> bool:
        return one is not None and all(getattr(one, name) in (None, found[name]) for name in _NAMES)

    assert fits(confined(wanted, reach)) == (fits(wanted) and fits(reach))


@pytest.mark.parametrize("role", get_args(terms.RoleName))
def test_no_published_role_sees_less_with_more_permissions(role: str) -> None:
    party = Party("x", "x", "x")
    held = roles.permissions([role])
    reach = reach_of(Principal(partner=party, tenant=party, user=party, permissions=held))
    bounded = [name for name, value in msgspec.structs.asdict(reach).items() if value is not None]
    widest = {
        "super_admin": [],
        "partner_admin": ["partner_id"],
        "partner_viewer": ["partner_id"],
        "tenant_admin": ["tenant_id"],
    }
    assert bounded == widest.get(role, ["user_id"])


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("team", Tag("team")),
        ("team:blue", Tag("team", "blue")),
        ("team:", Tag("team", "")),
        ("team:a:b", Tag("team", "a:b")),
        (":blue", Tag("", "blue")),
    ],
)
def test_a_tag_is_a_name_or_a_name_and_a_value(text: str, tag: Tag) -> None:
    assert selected(UsageSelection(tag=text), 0.0) == UsageFilter(tag=tag)


def test_every_field_of_a_query_is_asked_for() -> None:
    query = UsageSelection(
        partner_id="a",
        tenant_id="b",
        user_id="c",
        key_id="d",
        model="e",
        backend_id="f",
        request_id="g",
        outcome="error",
        usage_source="counted",
    )
    given = {name: value for name, value in msgspec.structs.asdict(query).items() if value is not None}
    assert selected(query, 0.0) == UsageFilter(**given)
    assert set(given) == set(UsageFilter.__struct_fields__) - {"start", "end", "tag"}
