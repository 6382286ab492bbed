"""What is written of the matrix is what the suite gives, and what adapters claim is what it proves."""

from collections.abc import Iterator
from functools import cache

import msgspec
import pytest

from adapters import ADAPTERS
from scaigrid.adapter import FEATURES
from tests.conformance import features, matrix
from tests.conformance.matrix import Cell
from tests.harness import recordings

unset = pytest.mark.skipif(recordings.folder() is None, reason=f"{recordings.VARIABLE} is unset, so cells would lack")


@unset
def test_the_cells_that_the_gateway_answers_with_are_those_of_the_suite() -> None:
    """`just conformance --write` writes them."""
    assert matrix.JSON.read_bytes() == matrix.encoded(matrix.cells())


@unset
def test_the_documented_matrix_is_the_one_of_the_suite() -> None:
    """`just conformance --write` writes it."""
    text = matrix.DOCUMENT.read_text()
    assert text == matrix.document(matrix.cells(), text)


def test_no_written_cell_has_failed() -> None:
    written = msgspec.json.decode(matrix.JSON.read_bytes(), type=matrix.Cells)
    assert [cell for cell in written.cells if cell.failed] == []


def test_every_feature_that_can_be_claimed_can_be_shown() -> None:
    assert set(features.ALL) - {"errors"} >= FEATURES


def claims() -> Iterator[tuple[str, str]]:
    return ((name, feature) for name in matrix.providers() for feature in sorted(ADAPTERS[name].can))


@cache
def proved() -> set[tuple[str, str]]:
    """What is shown without the recordings, translated from the dialect that can say the most."""
    return {(cell.provider, cell.feature) for cell in matrix.cells().cells if _proves(cell)}


def _proves(cell: Cell) -> bool:
    return cell.mode == "translation" and cell.passed > 0


@pytest.mark.parametrize(("provider", "feature"), [pytest.param(*one, id="-".join(one)) for one in claims()])
def test_a_claim_has_an_exchange_that_proves_it(provider: str, feature: str) -> None:
    assert (provider, feature) in proved(), f"{provider} claims {feature}, and no fixture shows it translated"


def test_what_is_shown_is_claimed() -> None:
    """But for what is passed through, which needs no claim."""
    shown = {(provider, feature) for provider, feature in proved() if feature != "errors"}
    assert sorted(shown - set(claims())) == []
