"""Who may call a model, and what others are told; the tests of the link `route_resolve` have more."""

from typing import Any

import msgspec
import pytest

from scaigrid.errors import Code, GatewayError
from scaigrid.held import Held
from scaigrid.permitted import check_permission, keeper, permitted
from tests.harness.services import MODEL, Parts
from tests.scaigrid.calls import opened


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"permissions": frozenset[str]()}, Code.AUTHZ_PERMISSION_DENIED),
        ({"scopes": frozenset({"models:list"})}, Code.AUTH_INSUFFICIENT_SCOPE),
    ],
)
def test_the_permission_is_of_the_roles_and_of_the_key(changes: dict[str, Any], code: Code) -> None:
    found = opened(Parts())
    check_permission(found)
    found.principal = msgspec.structs.replace(found.principal, **changes)
    with pytest.raises(GatewayError) as caught:
        check_permission(found)
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("changes", "model", "code"),
    [
        ({}, {"status": "disabled"}, Code.MODEL_UNAVAILABLE),
        ({}, {"modality": "embedding"}, Code.UNSUPPORTED_BY_MODEL),
        ({"hidden": frozenset({"acme/chat"})}, {}, Code.MODEL_NOT_FOUND),
        ({"models": frozenset({"acme/other"})}, {}, Code.MODEL_ACCESS_DENIED),
    ],
)
def test_a_model_has_to_be_there_and_open_and_of_that_kind(
    changes: dict[str, Any], model: dict[str, Any], code: Code
) -> None:
    found = opened(Parts(models={"acme/chat": {**MODEL, **model}}))
    found.principal = msgspec.structs.replace(found.principal, **changes)
    assert found.call is not None
    with pytest.raises(GatewayError) as caught:
        permitted(found, found.call)
    assert caught.value.code is code


def test_what_a_backend_keeps_is_asked_of_that_one_alone() -> None:
    parts = Parts()
    found, two = opened(parts), parts.snapshot.backends[1]
    assert found.call is not None
    assert keeper(found, found.call, parts.model) is None
    call = msgspec.structs.replace(found.call, held="resp_1")
    found.held = Held(two.id, parts.principal.tenant.id, "acme/chat", "own")
    assert keeper(found, call, parts.model) is two
