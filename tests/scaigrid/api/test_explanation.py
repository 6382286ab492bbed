"""How much of an explanation is for whom."""

import msgspec
import pytest

from scaigrid.api.explanation import viewer_of
from scaigrid.config.schema import Config, Forwarder
from tests.harness.services import Parts


@pytest.mark.parametrize(
    ("permissions", "levels"),
    [
        ({"models:use"}, {"user", "key"}),
        ({"accounting:view_tenant"}, {"user", "key", "tenant", "group"}),
        ({"accounting:view_partner"}, {"user", "key", "tenant", "group", "partner"}),
        ({"accounting:view_all"}, {"user", "key", "tenant", "group", "partner", "model"}),
    ],
)
def test_what_is_left_is_told_to_those_who_could_look_it_up(permissions: set[str], levels: set[str]) -> None:
    who = msgspec.structs.replace(Parts().principal, permissions=frozenset(permissions))
    assert viewer_of(who, Config(), asks_for=who).levels == levels


def test_of_another_user_s_key_nothing_is_told_to_who_sees_itself_alone() -> None:
    who = msgspec.structs.replace(Parts().principal, permissions=frozenset({"routing:view"}))
    other = msgspec.structs.replace(who, user=msgspec.structs.replace(who.user, id="user_other"))
    viewer = viewer_of(who, Config(forwarder=Forwarder(expose_backend=False)), asks_for=other)
    assert (viewer.levels, viewer.names, viewer.costs, viewer.routes) == (frozenset(), False, False, True)
