import pytest

from adapters.google_models import offers, path, publishers
from scaigrid.adapter import Offer
from scaigrid.errors import Code, GatewayError


def test_a_page_is_named_by_the_one_ahead_of_it() -> None:
    assert path(None) == "/models?pageSize=1000"
    assert path("a b") == "/models?pageSize=1000&pageToken=a+b"


def test_publisher_models_are_listed_beside_the_projects() -> None:
    for base in ("https://h.example/v1/projects/p/locations/l/publishers/google", "https://h.example/v1/publishers/x"):
        assert publishers(base) == "https://h.example/v1beta1/publishers/google"


def test_a_model_says_its_name_and_how_much_it_takes() -> None:
    found = offers(
        b'{"models":[{"name":"models/gemini-x","displayName":"Gemini X","inputTokenLimit":1000,"outputTokenLimit":90,'
        b'"supportedGenerationMethods":["generateContent"]},{"name":"models/y"}],"nextPageToken":"t"}'
    )
    assert list(found.models) == [
        Offer(
            model="gemini-x",
            display_name="Gemini X",
            owned_by="google",
            context_window=1000,
            max_output_tokens=90,
        ),
        Offer(model="y", owned_by="google"),
    ]
    assert found.after == "t"


def test_a_publisher_model_says_its_name_alone() -> None:
    found = offers(b'{"publisherModels":[{"name":"publishers/google/models/gemini-x","versionId":"1"}]}')
    assert [one.model for one in found.models] == ["gemini-x"]
    assert found.after is None


def test_a_key_without_models_has_an_empty_page() -> None:
    assert list(offers(b"{}").models) == []


@pytest.mark.parametrize("body", [b"", b"[]", b'{"models":{}}', b'{"models":[{}]}', b'{"models":[{"name":"models/"}]}'])
def test_anything_else_is_no_list(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        offers(body)
    assert caught.value.code is Code.UPSTREAM_SHAPE_MISMATCH
