"""The table of kinds says the truth about documents, ids and the sections of the file."""

from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from scaigrid.config import schema
from scaigrid.control import documents as docs
from scaigrid.control.kinds import KINDS, Kind
from scaigrid.control.state import State
from tests.harness.states import states


def test_every_document_is_of_one_kind_and_every_kind_has_a_prefix_of_its_own() -> None:
    def kinds(base: type[docs.Document]) -> Iterator[type[docs.Document]]:
        for one in base.__subclasses__():
            yield one
            yield from kinds(one)

    assert sorted(kind.document.__name__ for kind in KINDS.values()) == sorted(
        one.__name__ for one in kinds(docs.Document)
    )
    assert len({kind.prefix for kind in KINDS.values()}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_section_is_one_of_the_file_and_an_owner_a_field_of_the_document(kind: Kind) -> None:
    assert kind.section is None or kind.section in schema.Config.__struct_fields__
    assert kind.owner is None or kind.owner in kind.document.__struct_fields__


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(state=states())
def test_a_kind_stands_behind_those_that_it_refers_to_and_names_the_field(state: State) -> None:
    order = list(KINDS)
    for resource in state:
        plain = msgspec.to_builtins(resource.document, enc_hook=str, str_keys=True)
        for reference in resource.is_a.references(resource.document):
            assert order.index(reference.kind) < order.index(resource.kind)
            assert _at(plain, reference.field) == reference.id
            assert state.get(reference.kind, reference.id) is not None


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(state=states())
def test_no_id_of_another_resource_is_in_a_document_but_as_a_reference(state: State) -> None:
    known = {resource.id for resource in state}
    for resource in state:
        said = {reference.id for reference in resource.is_a.references(resource.document)}
        found = set(_texts(msgspec.to_builtins(resource.document, enc_hook=str, str_keys=True)))
        assert found & known <= said | {resource.name}


def _at(plain: Any, path: str) -> Any:
    for step in path.replace("[", ".").replace("]", "").split("."):
        plain = plain[int(step) if step.isdigit() else step]
    return plain


def _texts(plain: Any) -> Iterator[str]:
    match plain:
        case str():
            yield plain
        case dict():
            yield from _texts(list(cast("dict[str, Any]", plain).values()))
        case list() | tuple():
            for value in cast("list[Any]", plain):
                yield from _texts(value)
        case _:
            return
