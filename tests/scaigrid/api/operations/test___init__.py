"""The rows, of every area alike: held against the routes, against the gateway's answers and against each other."""

import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.routes import HTTPRoute

from middlewares.tenancy import PUBLIC, PUBLIC_FOLDERS
from scaigrid.api.operation import Operation
from scaigrid.api.operations import AREAS, OPERATIONS
from scaigrid.api.query import NoQuery
from scaigrid.dialects import DIALECTS
from scaigrid.errors import Code
from tests.harness import databases
from tests.scaigrid.api.control_plane import ControlPlane, application, config, model

PLAIN = {"GET", "POST", "PUT", "PATCH", "DELETE"}
MAKES = {"get": {200}, "post": {200, 201, 202, 204}, "put": {200, 201, 204}, "patch": {200}, "delete": {200, 204}}
PERMISSION = re.compile(r"[a-z_]+:[a-z_]+(?: or [a-z_]+:[a-z_]+)*")
EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
READING = pytest.mark.parametrize(
    "operation", [row for row in OPERATIONS if row.method == "get"], ids=lambda operation: operation.name
)


@pytest.fixture
async def one_model(tmp_path: Path) -> AsyncGenerator[ControlPlane]:
    """The control plane of a deployment with one model, `m`, and one user, `ada`."""
    made = ControlPlane(config(models={"m": model()}), url=databases.fresh("sqlite", tmp_path))
    yield await made.open()
    await made.close()


def served() -> set[tuple[str, str]]:
    """Method and path of all that the routes and the dialects answer, HEAD and OPTIONS apart."""
    found = {("POST", path) for dialect in DIALECTS for path in dialect.operations}
    found |= {
        (method, path) for dialect in DIALECTS for path in dialect.resources for method in dialect.resources[path]
    }
    for route in application().routes:
        assert isinstance(route, HTTPRoute)
        path = "/" + "/".join(
            part if isinstance(part, str) else f"{{{part.name.rstrip('_')}}}" for part in route.path_components
        )
        found |= {(method, path) for method in route.methods if method in PLAIN}
    return found


def named_in(path: str) -> list[str]:
    return re.findall(r"{(\w+)}", path)


def an_address(operation: Operation) -> str:
    """Its path with something in each place."""
    return re.sub(r"{\w+}", "m", operation.path)


def test_everything_that_is_served_has_its_row_and_the_other_way_round() -> None:
    assert {(operation.method.upper(), operation.path) for operation in OPERATIONS} == served()


def test_no_two_rows_have_one_name_or_one_address() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert sorted(names) == sorted(set(names))
    asked = [(operation.method, operation.path) for operation in OPERATIONS]
    assert sorted(asked) == sorted(set(asked))


def test_no_two_areas_have_one_name_and_each_is_explained() -> None:
    names = [area.name for area in AREAS]
    assert sorted(names) == sorted(set(names))
    assert [area.name for area in AREAS if not area.about.endswith(".") or not area.operations] == []


def test_what_needs_no_key_is_what_tenancy_lets_through() -> None:
    keyless = {operation.path for operation in OPERATIONS if operation.keyless}
    inside = {path for path in keyless if path.rpartition("/")[0] in PUBLIC_FOLDERS}
    assert keyless - inside == set(PUBLIC)
    assert {path.rpartition("/")[0] for path in inside} == set(PUBLIC_FOLDERS)


@EACH
def test_a_name_is_one_that_client_generators_make_a_function_of(operation: Operation) -> None:
    assert re.fullmatch(r"[a-z][A-Za-z]+", operation.name)


@EACH
def test_a_summary_is_a_heading_and_a_description_a_text(operation: Operation) -> None:
    assert not operation.summary.endswith(".")
    assert operation.description == "" or operation.description.endswith(".")


@EACH
def test_each_place_in_the_path_is_described(operation: Operation) -> None:
    assert list(operation.parameters) == named_in(operation.path)
    assert [text for text in operation.parameters.values() if not text.endswith(".")] == []


@EACH
def test_a_call_says_what_it_takes_and_what_only_reads_takes_no_body(operation: Operation) -> None:
    if operation.call is not None:
        assert operation.method == "post"
        assert operation.body is not None
    if operation.method in {"get", "delete"}:
        assert operation.body is None


@EACH
def test_a_body_has_an_example_that_it_takes(operation: Operation) -> None:
    if operation.call is not None:
        assert operation.body_example is None, "the dialect makes it"
    elif operation.body is None:
        assert operation.body_example is None
    elif operation.partial:
        fields = {field.encode_name for field in msgspec.structs.fields(operation.body)}
        assert operation.body_example
        assert set(operation.body_example) <= fields
    else:
        msgspec.convert(msgspec.to_builtins(operation.body_example), operation.body)


@EACH
def test_an_answer_has_an_example_of_its_type_in_every_field(operation: Operation) -> None:
    for example in (operation.example, operation.unready):
        if example is not None:
            sent = msgspec.json.encode(example)
            read: Any = msgspec.json.decode(sent, type=operation.answer)
            assert msgspec.json.encode(read) == sent


@EACH
def test_a_status_is_one_that_the_method_gives_and_204_has_no_content(operation: Operation) -> None:
    assert operation.status in MAKES[operation.method]
    assert (operation.answer is None and not operation.texts) is (operation.status == 204)


@EACH
def test_a_permission_has_the_form_of_one_and_a_level_goes_with_it(operation: Operation) -> None:
    assert operation.permission is None or PERMISSION.fullmatch(operation.permission)
    assert operation.level is None or operation.permission is not None


@EACH
def test_a_row_does_not_say_again_what_follows(operation: Operation) -> None:
    implied = msgspec.structs.replace(operation, codes=()).refusals
    assert set(operation.codes) & set(implied) == set()
    assert len(operation.codes) == len(set(operation.codes))


@EACH
def test_nobody_is_asked_for_permission_without_a_key(operation: Operation) -> None:
    if operation.keyless:
        assert (operation.permission, operation.tenant_header, operation.conditional) == (None, False, False)


@READING
async def test_a_code_that_a_stranger_gets_is_in_the_row(operation: Operation, one_model: ControlPlane) -> None:
    """By asking: without a key, with one, and with a parameter that nobody knows."""
    plane = one_model
    path = an_address(operation)
    for target, who in ((path, None), (path, "ada"), (f"{path}?unknown=1", "ada"), (f"{path}-", "ada")):
        answer = await plane.get(target, who)
        if answer.status >= 400 and (target != f"{path}-" or operation.path.endswith("}")):
            assert Code(answer.code) in operation.refusals


@READING
async def test_unknown_parameters_are_refused_where_the_row_says_so(
    operation: Operation, one_model: ControlPlane
) -> None:
    answer = await one_model.get(an_address(operation) + "?unknown=1")
    if answer.status not in {403, 404}:
        assert (answer.status == 422) is (Code.VALIDATION_ERROR in operation.refusals)
        assert answer.status == 422 or operation.query is NoQuery
