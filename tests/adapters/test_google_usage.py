import json

import msgspec

from adapters.google_usage import usage
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


def kinds(**counts: int) -> list[dict[str, object]]:
    return [{"modality": kind, "tokenCount": count} for kind, count in counts.items()]


def test_sound_and_images_are_told_apart_and_films_and_documents_are_text() -> None:
    found = counted(
        promptTokenCount=1000,
        promptTokensDetails=kinds(TEXT=100, AUDIO=320, IMAGE=258, VIDEO=300, DOCUMENT=22),
        candidatesTokenCount=1310,
        candidatesTokensDetails=kinds(TEXT=20, IMAGE=1290),
        thoughtsTokenCount=50,
        totalTokenCount=2360,
    )
    assert found == Usage(input=422, audio_input=320, image_input=258, output=70, image_output=1290, reasoning=50)
    spoken = counted(promptTokenCount=5, candidatesTokenCount=200, candidatesTokensDetails=kinds(AUDIO=200))
    assert spoken == Usage(input=5, audio_output=200)


def test_sound_from_a_cache_is_cached_and_not_sound() -> None:
    found = counted(
        promptTokenCount=1000,
        promptTokensDetails=kinds(TEXT=200, AUDIO=500, IMAGE=300),
        cachedContentTokenCount=650,
        cacheTokensDetails=kinds(TEXT=50, AUDIO=400, IMAGE=200),
    )
    assert found == Usage(input=150, cache_read=650, audio_input=100, image_input=100)


def test_what_tools_put_in_is_of_its_own_kind() -> None:
    found = counted(
        promptTokenCount=10,
        toolUsePromptTokenCount=300,
        toolUsePromptTokensDetails=kinds(TEXT=42, IMAGE=258),
    )
    assert found == Usage(input=52, image_input=258)


def test_details_that_are_more_than_the_whole_are_cut_to_it() -> None:
    found = counted(
        promptTokenCount=10,
        promptTokensDetails=kinds(AUDIO=8, IMAGE=8),
        cachedContentTokenCount=1,
        cacheTokensDetails=kinds(TEXT=1),
        candidatesTokenCount=4,
        candidatesTokensDetails=kinds(AUDIO=3, IMAGE=3),
    )
    assert found == Usage(cache_read=1, audio_input=8, image_input=1, audio_output=3, image_output=1)
    cached = counted(promptTokenCount=10, promptTokensDetails=kinds(AUDIO=2), cacheTokensDetails=kinds(AUDIO=9))
    assert cached == Usage(input=10)


def test_a_tariff_alone_is_no_usage() -> None:
    assert counted(trafficType="ON_DEMAND") is None
    assert usage(msgspec.Raw(b"null")) is None
    assert usage(msgspec.Raw(b"")) is None


def test_impossible_counts_stay_impossible_and_a_part_is_cut_to_the_whole() -> None:
    impossible = counted(promptTokenCount=-5, candidatesTokenCount=1)
    assert impossible is not None
    assert not impossible.believable
    assert counted(promptTokenCount=5, cachedContentTokenCount=9) == Usage(cache_read=5)


def test_a_count_of_a_wrong_type_is_one_that_cannot_be() -> None:
    found = counted(promptTokenCount="5")
    assert found is not None
    assert not found.believable
