"""What a provider is asked is the same to the byte, so that its cache of prompts can know it again."""

import pytest

from tests.conformance import stability
from tests.conformance.client import Client


@pytest.mark.parametrize(
    ("provider", "client"),
    [pytest.param(provider, client, id=f"{provider}-{client.name}") for provider, client in stability.all_pairs()],
)
def test_a_second_turn_begins_with_the_bytes_of_the_first(provider: str, client: Client) -> None:
    """And the same call is the same bytes."""
    measured = stability.measured(provider, client)
    if measured.not_run is not None:
        pytest.skip(measured.not_run)
    assert measured.fault is None, measured.fault
    first, second = measured.digests
    assert first == second
