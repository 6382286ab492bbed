import pytest
from litestar.routes import HTTPRoute

from middlewares.tenancy import PUBLIC
from scaigrid.api.operations import OPERATIONS, TAGS, Operation
from scaigrid.api.query import NoQuery
from scaigrid.dialects import DIALECTS
from scaigrid.errors import Code
from tests.scaigrid.api.control_plane import ControlPlane, config, model

PLAIN = {"GET", "POST", "PUT", "PATCH", "DELETE"}
EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


def served() -> set[tuple[str, str]]:
    """Method and path of all that the routes and the dialects answer, HEAD and OPTIONS apart."""
    found = {("POST", path) for dialect in DIALECTS for path in dialect.operations}
    for route in ControlPlane().litestar.routes:
        assert isinstance(route, HTTPRoute)
        path = "/" + "/".join(part if isinstance(part, str) else f"{{{part.name}}}" for part in route.path_components)
        found |= {(method, path) for method in route.methods if method in PLAIN}
    return found


def test_everything_that_is_served_has_its_row_and_the_other_way_round() -> None:
    assert {(operation.method.upper(), operation.path) for operation in OPERATIONS} == served()


def test_no_two_rows_have_one_name() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert sorted(names) == sorted(set(names))


def test_what_needs_no_key_is_what_tenancy_lets_through() -> None:
    assert {operation.path for operation in OPERATIONS if operation.keyless} == set(PUBLIC) - {"/docs"}


@EACH
def test_a_tag_is_one_that_is_explained(operation: Operation) -> None:
    assert operation.tag in TAGS


@EACH
def test_a_call_says_what_it_takes_and_everything_else_takes_no_body(operation: Operation) -> None:
    assert (operation.call is not None) == (operation.body is not None) == (operation.method == "post")


@EACH
async def test_a_code_that_a_stranger_gets_is_in_the_row(operation: Operation) -> None:
    """By asking: without a key, with one, and with a parameter that nobody knows."""
    plane = ControlPlane(config(models={"m": model()}))
    path = operation.path.replace("{slug}", "m")
    if operation.method == "post":
        return
    for target, who in ((path, None), (path, "ada"), (f"{path}?unknown=1", "ada"), (f"{path}-", "ada")):
        answer = await plane.get(target, who)
        if answer.status >= 400 and (target != f"{path}-" or "{slug}" in operation.path):
            assert Code(answer.code) in operation.codes


@EACH
async def test_unknown_parameters_are_refused_where_the_row_says_so(operation: Operation) -> None:
    if operation.method == "post":
        return
    answer = await ControlPlane(config(models={"m": model()})).get(operation.path.replace("{slug}", "m") + "?unknown=1")
    assert (answer.status == 422) is (Code.VALIDATION_ERROR in operation.codes)
    assert answer.status == 422 or operation.query is NoQuery
