"""The two ways to play an exchange again."""

from collections.abc import Iterator

import pytest

from adapters import ADAPTERS
from tests.conformance import cases, plans
from tests.conformance.outside import Catalog, Outside
from tests.conformance.ways import Inside


@pytest.fixture(autouse=True)
def readable(request: pytest.FixtureRequest) -> None:
    """Fails the case of an exchange that could not be planned."""
    if "plan" in request.fixturenames:
        plan: object = request.getfixturevalue("plan")
        if isinstance(plan, Exception):
            raise plan


@pytest.fixture(scope="session")
def inside() -> Inside:
    return Inside(ADAPTERS)


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    catalog = Catalog(cases.exchanges(plans.CHAT, plans.EMBEDDINGS, plans.MESSAGES))
    with Outside(catalog, ADAPTERS, tmp_path_factory.mktemp("conformance")) as running:
        yield running
