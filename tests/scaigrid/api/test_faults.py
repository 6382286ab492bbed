import inspect
from typing import Any, cast

import pytest
from litestar import Request, exceptions
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException, ValidationException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from scaigrid.api.faults import MOST, as_gateway_error, surface
from scaigrid.errors import Code, Detail, GatewayError
from tests.scaigrid.api.control_plane import ControlPlane

EXPECTED = {
    "ClientException": Code.VALIDATION_ERROR,
    "HTTPException": Code.INTERNAL_ERROR,
    "ImproperlyConfiguredException": Code.INTERNAL_ERROR,
    "InternalServerException": Code.INTERNAL_ERROR,
    "MethodNotAllowedException": Code.METHOD_NOT_ALLOWED,
    "NoRouteMatchFoundException": Code.INTERNAL_ERROR,
    "NotAuthorizedException": Code.AUTH_TOKEN_INVALID,
    "NotFoundException": Code.NOT_FOUND,
    "PermissionDeniedException": Code.AUTHZ_PERMISSION_DENIED,
    "ServiceUnavailableException": Code.OVERLOADED,
    "TemplateNotFoundException": Code.INTERNAL_ERROR,
    "TooManyRequestsException": Code.RATE_LIMITED,
    "ValidationException": Code.VALIDATION_ERROR,
}
"""Every HTTP exception that Litestar exports."""


def exported() -> dict[str, type[HTTPException]]:
    found = {name: getattr(exceptions, name) for name in exceptions.__all__}
    return {name: cls for name, cls in found.items() if inspect.isclass(cls) and issubclass(cls, HTTPException)}


def made(cls: type[HTTPException]) -> HTTPException:
    return cls(template_name="x") if "template_name" in inspect.signature(cls).parameters else cls()  # type: ignore[call-arg]  # one class asks for it


def test_every_exception_that_litestar_exports_has_its_code() -> None:
    assert {name: as_gateway_error(made(cls)).code for name, cls in exported().items()} == EXPECTED


@pytest.mark.parametrize(("status", "code"), [(413, Code.REQUEST_TOO_LARGE), (415, Code.UNSUPPORTED_MEDIA_TYPE)])
def test_an_exception_without_a_class_of_its_own_goes_by_its_status(status: int, code: Code) -> None:
    assert as_gateway_error(HTTPException(status_code=status)).code is code


@pytest.mark.parametrize("status", range(400, 500))
def test_no_status_of_the_client_becomes_a_fault_of_ours(status: int) -> None:
    assert as_gateway_error(HTTPException("odd", status_code=status, detail="odd")).status < 500


@pytest.mark.parametrize("status", range(500, 600))
def test_no_status_of_ours_becomes_a_fault_of_the_client(status: int) -> None:
    assert as_gateway_error(HTTPException("odd", status_code=status, detail="odd")).status >= 500


def test_a_body_over_litestars_own_limit_is_too_large() -> None:
    assert as_gateway_error(RequestEntityTooLarge()).code is Code.REQUEST_TOO_LARGE


@pytest.mark.parametrize("error", [RuntimeError("secret"), KeyError("secret"), HTTPException("secret")])
def test_what_nobody_expected_says_nothing_of_itself(error: Exception) -> None:
    refusal = as_gateway_error(error)
    assert refusal.code is Code.INTERNAL_ERROR
    assert "secret" not in str(refusal)


def test_a_refusal_of_ours_stays_the_one_that_it_is() -> None:
    refusal = GatewayError(Code.MODEL_NOT_FOUND)
    assert as_gateway_error(refusal) is refusal


def test_the_methods_that_a_path_takes_go_along_sorted() -> None:
    error = MethodNotAllowedException(headers={"allow": "HEAD, OPTIONS, GET"})
    assert as_gateway_error(error).headers == ((b"allow", b"GET, HEAD, OPTIONS"),)


def test_no_other_header_of_litestars_goes_along() -> None:
    assert as_gateway_error(MethodNotAllowedException(headers={"x-other": "1"})).headers == ()
    assert as_gateway_error(NotFoundException(headers={"allow": "GET"})).headers == ()


def test_each_field_that_litestar_found_fault_with_is_named() -> None:
    error = ValidationException(
        detail="Validation failed for GET http://inside/v1/models",
        extra=[
            {"key": "limit", "message": "Expected `int`, got `str`", "source": "query"},
            {"message": "Expected `object`"},
            {"no": "message"},
            "neither",
        ],
    )
    refusal = as_gateway_error(error)
    assert refusal.details == (
        Detail("limit", "Expected `int`, got `str`"),
        Detail("request", "Expected `object`"),
    )
    assert "inside" not in refusal.message


def test_a_parameter_that_litestar_misses_is_named() -> None:
    error = ValidationException("Missing required query parameter 'limit' for path http://inside/v1/models")
    assert as_gateway_error(error).details == (Detail("limit", "is required"),)


def test_a_thousand_faults_make_a_short_list() -> None:
    error = ValidationException(extra=[{"key": "x" * 1000, "message": "no"}] * 1000)
    details = as_gateway_error(error).details
    assert len(details) == MOST
    assert max(len(detail.field) for detail in details) == 64


@pytest.mark.parametrize("error", [RuntimeError("boom"), GatewayError(Code.NOT_FOUND), HTTPException()])
def test_what_needs_no_translation_is_raised_as_it_is(error: Exception) -> None:
    """So that the link `errors`, which logs what is no refusal, sees it with its own traceback."""
    with pytest.raises(type(error)) as caught:
        surface(Request(cast("Any", {"type": "http"})), error)
    assert caught.value is error


def test_what_litestar_refuses_is_raised_from_its_cause() -> None:
    cause = NotFoundException()
    with pytest.raises(GatewayError) as caught:
        surface(Request(cast("Any", {"type": "http"})), cause)
    assert caught.value.code is Code.NOT_FOUND
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v1/models2", "/docs/nothing", "/health/readyy"])
async def test_an_unknown_path_is_not_found_in_the_envelope(path: str) -> None:
    answer = await ControlPlane().get(path)
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert answer.json["meta"]["request_id"] == answer.headers["x-request-id"]


async def test_an_unknown_path_of_the_openai_dialect_is_not_found_in_openais_shape() -> None:
    answer = await ControlPlane().get("/oai/v1/nothing")
    assert (answer.status, answer.json["error"]["code"]) == (404, "NOT_FOUND")
    assert answer.json["error"]["type"] == "invalid_request_error"
