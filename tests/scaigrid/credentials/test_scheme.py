"""Which credentials go together is known by their names alone."""

import pytest

from scaigrid.credentials import SCHEMES
from scaigrid.credentials.scheme import complete, names

CASES: tuple[tuple[str, tuple[str, ...], set[str]], ...] = (
    ("aws", ("access_key_id", "secret_access_key"), set()),
    ("aws", ("access_key_id", "secret_access_key", "session_token"), set()),
    ("aws", ("access_key_id",), {"secret_access_key"}),
    ("aws", ("session_token",), {""}),
    ("aws", ("access_key_id", "secret_access_key", "region"), {"region"}),
    ("google", ("service_account",), set()),
    ("google", ("access_token",), set()),
    ("google", ("service_account", "access_token"), {""}),
    ("azure", ("tenant_id", "client_id", "client_secret"), set()),
    ("azure", ("tenant_id",), {"client_id", "client_secret"}),
)


@pytest.mark.parametrize(("scheme", "given", "faults"), CASES)
def test_a_set_is_whole_or_its_gaps_are_named(scheme: str, given: tuple[str, ...], faults: set[str]) -> None:
    assert {name for name, _ in complete(dict.fromkeys(given), SCHEMES[scheme])} == faults


def test_every_name_is_told_once() -> None:
    assert names(SCHEMES["google"]) == ("service_account", "access_token")


def test_what_is_to_be_given_is_said() -> None:
    ((_, reason),) = complete({}, SCHEMES["google"])
    assert reason == "give service_account or access_token"
