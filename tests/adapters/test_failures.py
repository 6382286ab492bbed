from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.failures import LONGEST_MESSAGE, Said, meaning, scrubbed
from scaigrid.errors import TABLE, Code

NOON = "Sun, 06 Nov 1994 12:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (301, Code.BACKEND_ERROR),
        (400, Code.VALIDATION_ERROR),
        (401, Code.BACKEND_ERROR),
        (402, Code.BACKEND_ERROR),
        (403, Code.BACKEND_ERROR),
        (404, Code.BACKEND_ERROR),
        (405, Code.BACKEND_ERROR),
        (408, Code.BACKEND_TIMEOUT),
        (409, Code.BACKEND_ERROR),
        (413, Code.REQUEST_TOO_LARGE),
        (422, Code.VALIDATION_ERROR),
        (429, Code.BACKEND_RATE_LIMITED),
        (498, Code.BACKEND_ERROR),
        (500, Code.BACKEND_ERROR),
        (503, Code.BACKEND_ERROR),
        (504, Code.BACKEND_TIMEOUT),
        (524, Code.BACKEND_TIMEOUT),
        (529, Code.BACKEND_ERROR),
    ],
)
def test_a_status_without_a_word_has_a_meaning(status: int, code: Code) -> None:
    failure = meaning(Said(), status)
    assert failure.code is code
    assert failure.message == ("The provider refused the request." if status in (400, 422) else TABLE[code].message)


@pytest.mark.parametrize(
    ("status", "word", "code"),
    [
        (400, "context_length_exceeded", Code.CONTEXT_TOO_LONG),
        (400, "content_filter", Code.CONTENT_REFUSED),
        (400, "content_policy_violation", Code.CONTENT_REFUSED),
        (None, "invalid_prompt", Code.CONTENT_REFUSED),
        (400, "ResponsibleAIPolicyViolation", Code.CONTENT_REFUSED),
        (400, "model_not_found", Code.BACKEND_ERROR),
        (400, "invalid_api_key", Code.BACKEND_ERROR),
        (400, "invalid_request_error", Code.VALIDATION_ERROR),
        (400, "never_heard_of", Code.VALIDATION_ERROR),
        (413, "rate_limit_exceeded", Code.BACKEND_RATE_LIMITED),
        (429, "insufficient_quota", Code.BACKEND_ERROR),
        (429, "rate_limit_exceeded", Code.BACKEND_RATE_LIMITED),
        (403, "content_policy_violation", Code.BACKEND_ERROR),
        (401, "context_length_exceeded", Code.BACKEND_ERROR),
        (500, "overloaded_error", Code.BACKEND_ERROR),
        (None, "overloaded_error", Code.BACKEND_ERROR),
        (None, "rate_limit_error", Code.BACKEND_RATE_LIMITED),
        (None, "timeout_error", Code.BACKEND_TIMEOUT),
        (None, "request_too_large", Code.REQUEST_TOO_LARGE),
        (None, "invalid_request_error", Code.VALIDATION_ERROR),
        (None, "never_heard_of", Code.BACKEND_ERROR),
    ],
)
def test_a_word_decides_before_the_status(status: int | None, word: str, code: Code) -> None:
    assert meaning(Said(words=(word,)), status).code is code
    assert meaning(Said(words=("never_heard_of", word)), status).code is code


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        ("This model's maximum context length is 8192 tokens, however you requested 9000.", Code.CONTEXT_TOO_LONG),
        ("prompt is too long: 210000 tokens > 200000 maximum", Code.CONTEXT_TOO_LONG),
        ("input length and `max_tokens` exceed context limit: 9 + 9 > 10", Code.CONTEXT_TOO_LONG),
        ("The response was filtered due to the prompt triggering content management policy.", Code.CONTENT_REFUSED),
        ("Output blocked by content filtering policy", Code.CONTENT_REFUSED),
        ("Your credit balance is too low to access the API.", Code.BACKEND_ERROR),
        ("API key not valid. Please pass a valid API key.", Code.BACKEND_ERROR),
        ("The model `nonesuch` does not exist or you do not have access to it.", Code.BACKEND_ERROR),
        ("Model nonesuch is not supported. Supported models are ['a', 'b'].", Code.BACKEND_ERROR),
        ("Unsupported value: 'temperature' does not support 0.2 with this model.", Code.VALIDATION_ERROR),
        ("messages: at least one message is required", Code.VALIDATION_ERROR),
    ],
)
def test_what_many_only_tell_in_words_is_read_in_their_words(sentence: str, code: Code) -> None:
    failure = meaning(Said(message=sentence), 400)
    assert failure.code is code
    told = code in (Code.VALIDATION_ERROR, Code.CONTEXT_TOO_LONG, Code.CONTENT_REFUSED)
    assert failure.message == (sentence if told else TABLE[code].message)
    # The sentence is not asked where the fault is not said to be the caller's.
    assert meaning(Said(message=sentence), 500).code is Code.BACKEND_ERROR


def test_a_field_that_the_provider_blames_is_named() -> None:
    failure = meaning(Said(message="Too many stops.", field="stop"), 400)
    assert [(one.field, one.message) for one in failure.details] == [("stop", "is refused by the provider")]
    assert meaning(Said(field="stop"), 400).details == ()


def test_a_model_that_the_provider_does_not_have_is_the_operators_fault() -> None:
    for status in (400, 404, 422):
        failure = meaning(Said(message="No such model.", field="model"), status)
        assert (failure.code, failure.details) == (Code.BACKEND_ERROR, ())


def test_something_else_that_is_not_there_is_the_callers_fault() -> None:
    assert meaning(Said(message="No such file.", field="file_id"), 404).code is Code.VALIDATION_ERROR


def test_a_status_inside_the_body_counts_where_there_is_no_other() -> None:
    assert meaning(Said(status=429)).code is Code.BACKEND_RATE_LIMITED
    assert meaning(Said(status=429), 500).code is Code.BACKEND_ERROR


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.2"}, 2),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "1e99"}, 86_400),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 2),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9),
        ({"retry-after": "Sun, 06 Nov 1994 12:00:30 GMT", "date": NOON}, 30),
        ({"retry-after": "Sun, 06 Nov 1994 11:00:00 GMT", "date": NOON}, 0),
        ({"retry-after": "Sun, 06 Nov 2094 11:00:00 GMT", "date": NOON}, 86_400),
        ({"retry-after": "Sun, 06 Nov 1994 12:00:30 -0000", "date": NOON}, None),
        ({"retry-after": "Sun, 06 Nov 1994 12:00:30 GMT"}, None),
        ({"retry-after": "Sun, 06 Nov 1994 12:00:30 GMT", "date": "today"}, None),
    ],
)
def test_the_time_to_wait_is_in_whole_seconds(headers: Mapping[str, str], seconds: int | None) -> None:
    for status in (429, 503, 529):
        assert meaning(Said(), status, headers).retry_after == seconds


def test_nobody_is_told_to_wait_where_waiting_does_not_help() -> None:
    for status in (400, 408, 413, 422):
        assert meaning(Said(), status, {"retry-after": "7"}).retry_after is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Incorrect API key provided: sk-proj-abc***xyz.", "Incorrect API key provided: ***"),
        ("Limit reached in organization org-AbCdEfGhIj on tokens", "Limit reached in organization *** on tokens"),
        ("See https://internal.example/a?b=c#d for more.", "See *** for more."),
        ("See internal.example/a for more.", "See *** for more."),
        ("Authorization: Bearer abc", "Authorization: ***"),
        ("mail someone@operator.example now", "mail *** now"),
        ("at 10.1.2.3:8443", "at ***"),
        ("key 0123456789abcdef0123456789abcdef", "key ***"),
        ("AKIA0123456789 and eyJhbGciOi.eyJzdWIi.sig", "*** and ***"),
        # What a client has to read.
        ("messages.0.content.1.image.source.base64: bad", "messages.0.content.1.image.source.base64: bad"),
        ("'messages[0].role' does not support 'system'", "'messages[0].role' does not support 'system'"),
        ("max_tokens: 300000 > 128000 for 1.5x", "max_tokens: 300000 > 128000 for 1.5x"),
        ("parameters for tool get_something_by_name", "parameters for tool get_something_by_name"),
        ("user_id must be text; a user-supplied key-value", "user_id must be text; a user-supplied key-value"),
        ("two\nlines\x00 and\ta\u0085tab", "two lines and a tab"),
        ("  ", ""),
    ],
)
def test_a_sentence_is_told_without_what_names_or_admits_somebody(text: str, told: str) -> None:
    assert scrubbed(text) == told


def test_a_sentence_has_an_end() -> None:
    told = scrubbed("word " * 1000)
    assert len(told) == LONGEST_MESSAGE
    assert told.endswith("…")


@given(st.text(max_size=300))
def test_any_text_is_told_on_one_line(text: str) -> None:
    assert scrubbed(text).isprintable() or not set(scrubbed(text)) & set("\n\r\t\x00\x1b\x7f\x85")


@pytest.mark.parametrize("piece", ["a.", "a-", "a@", "1.", "_", "https://", "sk-", "Bearer "])
def test_no_text_takes_long(piece: str) -> None:
    """The patterns meet hostile text: it is bounded before they do, and they do not explode on it."""
    assert len(scrubbed(piece * 100_000)) <= LONGEST_MESSAGE
