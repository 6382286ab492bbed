"""What is hidden from whom."""

from typing import Any

import pytest

from scaigrid.config import entities
from scaigrid.control.declared import resources_of
from scaigrid.control.resource import Resource
from scaigrid.control.state import Gone, State
from scaigrid.control.visibility import Visibility, owned
from tests.scaigrid.api.control_plane import config


def declared(**models: Any) -> entities.Model:
    return entities.Model(route=None, unpriced="free", **models)


STATE = State.of(
    resources_of(
        config(
            partners={"p": entities.Partner()},
            tenants={"a": entities.Tenant(partner="p"), "b": entities.Tenant(partner="p")},
            users={"ann": entities.User(tenant="a")},
            keys={},
            groups={"team": entities.Group(tenant="a")},
            models={
                "open": declared(),
                "secret": declared(access="granted"),
                "bundled": declared(access="granted"),
                "tenant/a/own": declared(),
                "partner/p/own": declared(),
            },
            model_groups={"bundle": entities.ModelGroup(models=("bundled",))},
            model_access={
                "one": entities.ModelAccess(subject="user", of="ann", model="secret"),
                "two": entities.ModelAccess(subject="group", of="team", model_group="bundle"),
            },
        )
    )
)


def ids(*named: tuple[str, str]) -> frozenset[str]:
    found = frozenset(one.id for one in STATE if (one.kind, one.name) in named)
    assert len(found) == len(named)
    return found


P, A, B = ("partner", "p"), ("tenant", "a"), ("tenant", "b")
ANN, TEAM = ("user", "ann"), ("group", "team")


@pytest.mark.parametrize(
    ("subjects", "hidden"),
    [
        ((), {"secret", "bundled", "tenant/a/own", "partner/p/own"}),
        ((P,), {"secret", "bundled", "tenant/a/own"}),
        ((P, A), {"secret", "bundled"}),
        ((P, B), {"secret", "bundled", "tenant/a/own"}),
        ((P, A, ANN), {"bundled"}),
        ((P, A, TEAM), {"secret"}),
        ((P, A, ANN, TEAM), set[str]()),
    ],
)
def test_what_is_anothers_or_was_not_granted_is_hidden(subjects: tuple[tuple[str, str], ...], hidden: set[str]) -> None:
    assert Visibility(STATE).hidden(ids(*subjects)) == hidden


def test_a_model_whose_owner_is_gone_is_nobodys() -> None:
    (tenant,) = [one for one in STATE.all("tenant").values() if one.name == "a"]
    left = STATE.after((), [Gone("tenant", tenant.id)], 1)
    assert "tenant/a/own" in Visibility(left).hidden({tenant.id})


def test_a_grant_does_not_give_what_belongs_to_another() -> None:
    (own,) = [one for one in STATE.all("model").values() if one.name == "tenant/a/own"]
    (b,) = ids(B)
    from scaigrid.control import documents as docs

    grant = Resource(
        kind="model_access",
        id="access_x",
        origin="api",
        document=docs.ModelAccess(name="x", subject_type="tenant", subject_id=b, model_id=own.id),
    )
    assert "tenant/a/own" in Visibility(STATE.after([grant], (), 1)).hidden({b})


@pytest.mark.parametrize(
    ("slug", "expected"),
    [
        ("tenant/a/x", True),
        ("partner/p/x/y", True),
        ("tenant/a", False),
        ("tenants/a/x", False),
        ("openai/gpt", False),
        ("a/tenant/x", False),
        ("chat", False),
    ],
)
def test_a_slug_says_whether_the_model_is_somebodys_own(slug: str, expected: bool) -> None:
    assert owned(slug) is expected
