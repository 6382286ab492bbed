import msgspec
import pytest

from scaigrid.api.operation import Method, Operation
from scaigrid.errors import Code


class Wanted(msgspec.Struct):
    limit: int = 1


ROW = Operation(path="/v1/things", name="listThings", summary="Things")
STRANGER = {
    Code.AUTH_TOKEN_MISSING,
    Code.AUTH_TOKEN_INVALID,
    Code.SESSION_EXPIRED,
    Code.TENANT_SUSPENDED,
    Code.ADDRESS_NOT_ALLOWED,
    Code.RATE_LIMITED,
    Code.INTERNAL_ERROR,
    Code.AUTH_BACKEND_UNAVAILABLE,
}


def test_whoever_needs_a_key_may_be_refused_for_the_lack_of_it_and_for_asking_too_often() -> None:
    assert set(ROW.refusals) == STRANGER
    assert msgspec.structs.replace(ROW, keyless=True).refusals == ()


def test_what_a_row_takes_brings_the_codes_that_go_with_it() -> None:
    def added(**more: object) -> set[Code]:
        return set(msgspec.structs.replace(ROW, **more).refusals) - STRANGER

    assert added(permission="things:list") == {Code.AUTHZ_PERMISSION_DENIED, Code.AUTH_INSUFFICIENT_SCOPE}
    assert added(body=Wanted) == {Code.REQUEST_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE, Code.VALIDATION_ERROR}
    assert added(query=Wanted) == {Code.VALIDATION_ERROR}
    assert added(codes=(Code.NOT_FOUND,)) == {Code.NOT_FOUND}
    assert added(method="put", conditional=True) == {Code.PRECONDITION_FAILED}


def test_a_code_is_told_once() -> None:
    row = msgspec.structs.replace(ROW, body=Wanted, query=Wanted, codes=(Code.NOT_FOUND,))
    assert len(row.refusals) == len(set(row.refusals))


@pytest.mark.parametrize(
    ("method", "match", "etag"),
    [
        ("get", False, True),
        ("post", False, True),
        ("put", True, True),
        ("patch", True, True),
        ("delete", True, False),
    ],
)
def test_a_state_is_told_by_what_answers_it_and_held_by_what_changes_it(
    method: Method, match: bool, etag: bool
) -> None:
    row = msgspec.structs.replace(ROW, method=method, conditional=True)
    assert (row.takes_match, row.sends_etag) == (match, etag)
    plain = msgspec.structs.replace(row, conditional=False)
    assert (plain.takes_match, plain.sends_etag) == (False, False)
