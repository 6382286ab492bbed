"""Tags are told apart up to a bound, in every tenant and on every day anew."""

from collections.abc import Mapping

from scaigrid.ledger.tag_bounds import OTHER, TagBounds


def kept(bounds: TagBounds, tags: Mapping[str, str], tenant: str = "t", day: int = 0) -> dict[str, str]:
    found = list(bounds.kept(tenant, day, tags))
    assert len(found) == len(dict(found)), "a name counts once for a row"
    return dict(found)


def test_values_beyond_the_bound_are_counted_together() -> None:
    bounds = TagBounds(values=2)
    for value in ("a", "b", "a"):
        assert kept(bounds, {"n": value}) == {"n": value}
    assert kept(bounds, {"n": "c"}) == {"n": OTHER}
    assert kept(bounds, {"n": "b"}) == {"n": "b"}
    assert kept(bounds, {"m": "c"}) == {"m": "c"}


def test_another_tenant_and_another_day_have_a_bound_of_their_own() -> None:
    bounds = TagBounds(values=1)
    assert kept(bounds, {"n": "a"}) == {"n": "a"}
    assert kept(bounds, {"n": "b"}) == {"n": OTHER}
    assert kept(bounds, {"n": "b"}, tenant="u") == {"n": "b"}
    assert kept(bounds, {"n": "b"}, day=86_400) == {"n": "b"}


def test_names_beyond_the_bound_are_counted_together_once_for_a_row() -> None:
    bounds = TagBounds(names=2)
    assert kept(bounds, {"a": "1", "b": "2", "c": "3", "d": "4"}) == {"a": "1", "b": "2", OTHER: OTHER}
    assert kept(bounds, {"c": "3"}) == {OTHER: OTHER}


def test_a_tag_of_that_very_name_hides_no_other() -> None:
    bounds = TagBounds(names=2)
    kept(bounds, {"a": "1", "b": "2"})
    assert kept(bounds, {OTHER: "x", "new": "y"}) == {OTHER: OTHER}
    known = TagBounds(names=1)
    assert kept(known, {OTHER: "x", "new": "y"}) == {OTHER: "x"}


def test_what_is_remembered_is_bounded_over_all_tenants() -> None:
    bounds = TagBounds(values=2, memory=3)
    for tenant in ("t", "u"):
        for value in ("a", "b"):
            kept(bounds, {"n": value}, tenant)
    # The first tenant is forgotten, and has its bound anew.
    assert kept(bounds, {"n": "c"}, "t") == {"n": "c"}


def test_nul_signs_are_replaced() -> None:
    assert kept(TagBounds(), {"a\0": "b\0"}) == {"a\ufffd": "b\ufffd"}
