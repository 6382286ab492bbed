import json

import msgspec
import pytest

from adapters.google_usage import usage
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Usage


def counted(**members: object) -> Usage | None:
    return usage(msgspec.Raw(json.dumps(members).encode()))


def test_what_came_from_a_cache_is_part_of_the_prompt() -> None:
    found = counted(promptTokenCount=859, cachedContentTokenCount=594, candidatesTokenCount=28, totalTokenCount=887)
    assert found == Usage(input=265, cache_read=594, output=28)


def test_thoughts_are_output_and_what_tools_put_in_is_input() -> None:
    found = counted(
        promptTokenCount=17,
        toolUsePromptTokenCount=102,
        candidatesTokenCount=41,
        thoughtsTokenCount=412,
        totalTokenCount=572,
    )
    assert found == Usage(input=119, output=453, reasoning=412)


def test_what_is_in_the_total_alone_is_output() -> None:
    assert counted(promptTokenCount=10, candidatesTokenCount=3, totalTokenCount=20) == Usage(input=10, output=10)
    assert counted(promptTokenCount=10, thoughtsTokenCount=4, totalTokenCount=14) == Usage(
        input=10, output=4, reasoning=4
    )


def test_a_tariff_alone_is_no_usage() -> None:
    assert counted(trafficType="ON_DEMAND") is None
    assert usage(msgspec.Raw(b"null")) is None
    assert usage(msgspec.Raw(b"")) is None


def test_impossible_counts_cost_nothing_beyond_what_can_be() -> None:
    assert counted(promptTokenCount=-5, candidatesTokenCount=-1) == Usage()
    assert counted(promptTokenCount=5, cachedContentTokenCount=9) == Usage(cache_read=5)


def test_a_count_of_a_wrong_type_is_broken() -> None:
    with pytest.raises(GatewayError) as caught:
        counted(promptTokenCount="5")
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
