import pytest

from scaigrid.config.interpolate import SubstitutionError, interpolate

ENV = {"HOST": "example.com", "PORT": "8443", "EMPTY": "", "NESTED": "${HOST}", "_x9": "low"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${HOST}", "example.com"),
        ("https://${HOST}:${PORT}/v1", "https://example.com:8443/v1"),
        ("${_x9}", "low"),
        ("${HOST:-other}", "example.com"),
        ("${ABSENT:-other}", "other"),
        ("${ABSENT:-}", ""),
        ("${EMPTY:-other}", "other"),
        ("${ABSENT:-http://a:1/b?c=$d}", "http://a:1/b?c=$d"),
        ("${EMPTY}", ""),
        ("$${HOST}", "${HOST}"),
        ("$$${HOST}", "$${HOST}"),
        ("$${", "${"),
        ("$HOST", "$HOST"),
        ("$$", "$$"),
        ("a}b{c", "a}b{c"),
    ],
)
def test_a_text_is_filled_in(text: str, expected: str) -> None:
    assert interpolate(text, ENV) == expected


def test_what_a_variable_holds_is_not_searched_again() -> None:
    assert interpolate("${NESTED}", ENV) == "${HOST}"


def test_an_unset_variable_is_named() -> None:
    with pytest.raises(SubstitutionError, match=r"^the environment variable OPENAI_KEY is not set$"):
        interpolate("a ${OPENAI_KEY} b", ENV)


@pytest.mark.parametrize("text", ["${", "${}", "${HOST", "${9A}", "${HO ST}", "${HOST-x}", "${HOST:?x}", "${ HOST }"])
def test_a_malformed_substitution_is_refused_without_its_text(text: str) -> None:
    with pytest.raises(SubstitutionError) as caught:
        interpolate(text, ENV)
    expected = "malformed `${`: write `${NAME}` or `${NAME:-default}`, and `$${` for a plain `${`"
    assert str(caught.value) == expected
