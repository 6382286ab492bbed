import pytest

from adapters.anthropic_usage import CacheCreation, Counts, Reported, whole_count
from scaigrid.errors import Code, GatewayError
from scaigrid.types import Counted, Usage


def test_the_second_part_corrects_the_first_where_it_says_anything() -> None:
    counts = Counts()
    first = Reported(input_tokens=5, cache_read_input_tokens=3, output_tokens=1)
    assert counts.take(first) == Usage(input=5, cache_read=3, output=1)
    assert counts.take(Reported(output_tokens=9)) == Usage(input=5, cache_read=3, output=9)


def test_no_more_is_written_for_an_hour_than_at_all() -> None:
    said = Reported(cache_creation_input_tokens=5, cache_creation=CacheCreation(9))
    assert Counts().take(said) == Usage(cache_write_1h=5)


def test_the_counter_answers_with_a_number() -> None:
    assert whole_count(b'{"input_tokens":12,"more":{}}') == (Counted(12),)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"input_tokens":null}', b'{"input_tokens":"12"}', b"[]", b"\xff"])
def test_a_counter_without_a_number_is_broken(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        whole_count(body)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
