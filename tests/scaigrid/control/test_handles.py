"""Names under which resources stand in a file."""

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings

from scaigrid.config.nodes import read_nodes
from scaigrid.config.terms import Name, Slug
from scaigrid.control import documents as docs
from scaigrid.control.handles import handles_in, handles_of
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.ids import declared_id
from tests.harness.states import states


def user(id_: str, name: str) -> Resource:
    return Resource(kind="user", id=id_, origin="api", document=docs.User(name=name, tenant_id="tenant_1"))


def of(*resources: Resource, file: str = "") -> dict[str, str]:
    return handles_of(resources, handles_in(read_nodes(file)[0]))


HANDLE: Any = Name
HANDLE_OF_MODELS: Any = Slug
A, B = "user_" + "a" * 32, "user_" + "b" * 32


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(state=states())
def test_every_resource_has_one_of_its_own_that_the_file_takes(state: State) -> None:
    found = handles_of(state, {})
    assert set(found) == {resource.id for resource in state}
    assert len({(resource.kind, found[resource.id]) for resource in state}) == len(state)
    for resource in state:
        assert msgspec.convert(found[resource.id], HANDLE_OF_MODELS if resource.kind == "model" else HANDLE)


def test_a_name_that_can_be_one_is_the_handle() -> None:
    assert of(user(A, "ann")) == {A: "ann"}


def test_a_name_that_cannot_be_one_gives_one_that_is_like_it() -> None:
    assert of(user(A, "Ann van Dam (NL)")) == {A: "ann-van-dam-nl"}
    assert of(user(A, "安")) == {A: "user"}


def test_two_of_one_name_are_told_apart_by_their_ids() -> None:
    assert of(user(A, "ann"), user(B, "Ann")) == {A: "ann", B: "ann-bbbbbbbb"}


def test_the_one_whose_id_follows_from_it_has_the_name() -> None:
    declared = declared_id("user", "ann")
    assert of(user("user_" + "0" * 32, "ann"), user(declared, "ann"))[declared] == "ann"


def test_a_file_keeps_its_own() -> None:
    file = f"users: {{ technical: {{ id: {A}, name: Ann }}, bob: {{}} }}\nkeys: 5\n"
    assert handles_in(read_nodes(file)[0]) == {A: "technical", declared_id("user", "bob"): "bob"}
    assert of(user(A, "ann"), user(B, "technical"), file=file) == {A: "technical", B: "technical-bbbbbbbb"}


def test_an_empty_file_has_none() -> None:
    assert handles_in(read_nodes("")[0]) == {}
    assert handles_in(None) == {}
