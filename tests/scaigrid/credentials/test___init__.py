"""The table of schemes holds together with the adapters that name them."""

import pytest

from adapters import ADAPTERS
from scaigrid.credentials import SCHEMES
from scaigrid.credentials.scheme import names


@pytest.mark.parametrize("type_", sorted(ADAPTERS))
def test_every_scheme_that_an_adapter_names_is_there(type_: str) -> None:
    assert ADAPTERS[type_].signed in (None, *SCHEMES)


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_every_scheme_says_what_it_takes(scheme: str) -> None:
    assert names(SCHEMES[scheme])
