"""The rows of a collection are its routes, told for people: each once, with what it takes, answers and refuses."""

from typing import get_args

import msgspec
import pytest

from scaigrid.api.collection_operations import operations
from scaigrid.api.crud import router
from scaigrid.api.operation import Operation
from scaigrid.api.resources.api_keys import ApiKeys
from scaigrid.api.resources.model_access import ModelAccess
from scaigrid.api.resources.partners import PartnerGiven, PartnerItem, Partners, PartnersQuery
from scaigrid.api.resources.providers import Providers
from scaigrid.errors import Code

ROWS = {row.name: row for row in operations(Partners())}
WRITING = ["createPartner", "replacePartner", "updatePartner", "deletePartner"]


class FewOperations(Partners):
    methods = frozenset({"list", "remove"})


class OwnCodes(Partners):
    codes = (Code.SLUG_CONFLICT, Code.MODEL_NOT_FOUND)


@pytest.mark.parametrize("collection", [Partners(), FewOperations(), ModelAccess()], ids=lambda of: type(of).__name__)
def test_there_is_one_row_for_each_route(collection: Partners) -> None:
    routed = [
        (method.lower(), str(route.path_format).replace("{id_}", "{id}"))
        for route in router(collection).routes
        for method in route.methods - {"OPTIONS", "HEAD"}
    ]
    assert sorted((row.method, row.path) for row in operations(collection)) == sorted(routed)


def test_an_operation_is_named_after_what_it_does_to_what() -> None:
    named = {name: (row.method, row.path, row.status) for name, row in ROWS.items()}
    assert named == {
        "listPartners": ("get", "/v1/partners", 200),
        "createPartner": ("post", "/v1/partners", 201),
        "getPartner": ("get", "/v1/partners/{id}", 200),
        "replacePartner": ("put", "/v1/partners/{id}", 200),
        "updatePartner": ("patch", "/v1/partners/{id}", 200),
        "deletePartner": ("delete", "/v1/partners/{id}", 204),
    }
    assert ROWS["createPartner"].summary == "Make a partner"
    assert {row.summary for row in operations(ApiKeys())} >= {"One API key", "Delete an API key", "List API keys"}


def test_reading_and_changing_say_whose_they_are() -> None:
    asked = {name: (row.permission, row.level, row.tenant_header) for name, row in ROWS.items()}
    reading = {"listPartners", "getPartner"}
    assert {asked[name] for name in reading} == {("users:manage", "partner", False)}
    assert {asked[name] for name in WRITING} == {("users:manage", "platform", False)}


def test_only_what_is_about_one_has_its_id_and_its_state() -> None:
    for row in ROWS.values():
        one = "{id}" in row.path
        assert (set(row.parameters), row.conditional) == ({"id"} if one else set(), one)


def test_bodies_and_answers_are_those_of_the_collection() -> None:
    bodies = {name: (row.body, row.partial) for name, row in ROWS.items() if row.body is not None}
    assert bodies == {
        "createPartner": (PartnerGiven, False),
        "replacePartner": (PartnerGiven, False),
        "updatePartner": (PartnerGiven, True),
    }
    assert ROWS["updatePartner"].body_example == {"display_name": "Acme Resale"}
    assert ROWS["listPartners"].query is PartnersQuery
    answers = {name: get_args(row.answer) for name, row in ROWS.items() if row.answer is not None}
    assert answers == {name: (PartnerItem,) for name in ROWS if name != "deletePartner"}
    assert all(msgspec.to_builtins(ROWS[name].example) for name in answers)


def _refused_for(code: Code, rows: dict[str, Operation]) -> set[str]:
    return {name for name, row in rows.items() if code in row.codes}


def test_what_the_file_declares_refuses_each_change_and_a_name_is_taken_by_whatever_writes() -> None:
    assert _refused_for(Code.MANAGED_BY_CONFIG, ROWS) == set(WRITING) - {"createPartner"}
    assert _refused_for(Code.SLUG_CONFLICT, ROWS) == set(WRITING)
    assert _refused_for(Code.STORE_UNAVAILABLE, ROWS) == set(ROWS)


def test_the_codes_of_a_collection_are_those_of_making_and_changing_and_stand_there_once() -> None:
    rows = {row.name: row for row in operations(OwnCodes())}
    assert _refused_for(Code.MODEL_NOT_FOUND, rows) == set(WRITING) - {"deletePartner"}
    assert all(len(row.codes) == len(set(row.codes)) for row in rows.values())


def test_what_has_backends_is_not_deleted() -> None:
    rows = {row.name: row for row in operations(Providers())}
    assert "deleteProvider" in _refused_for(Code.PROVIDER_HAS_BACKENDS, rows)
    assert _refused_for(Code.PROVIDER_HAS_BACKENDS, ROWS) == set()
