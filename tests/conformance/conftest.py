"""The two ways to play an exchange again."""

from collections.abc import Iterator

import pytest

from adapters import ADAPTERS
from tests.conformance import plans, representative
from tests.conformance.outside import Catalog, Outside, named
from tests.conformance.ways import Inside


@pytest.fixture(autouse=True)
def readable(request: pytest.FixtureRequest) -> None:
    """Fails the case of an exchange that could not be planned."""
    if "play" in request.fixturenames:
        play: object = request.getfixturevalue("play")
        if isinstance(play, Exception):
            raise play


@pytest.fixture(scope="session")
def inside() -> Inside:
    return Inside(ADAPTERS)


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    chosen = [one.play for one in plans.everything() if one.play is not None and representative.is_one(one)]
    with Outside(Catalog(map(named, chosen)), tmp_path_factory.mktemp("conformance")) as running:
        yield running
