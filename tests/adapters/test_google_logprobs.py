import json

import msgspec

from adapters.google_logprobs import Result, log_probs


def test_each_chosen_token_has_what_was_likely_there() -> None:
    result = msgspec.json.decode(
        b'{"chosenCandidates":[{"token":"H\xc3\xa9","tokenId":1,"logProbability":-0.25},{"token":"!"}],'
        b'"topCandidates":[{"candidates":[{"token":"Ho","logProbability":-1.5}]}]}',
        type=Result,
    )
    top = {"token": "Ho", "logprob": -1.5, "bytes": [72, 111]}
    assert json.loads(bytes(log_probs(result))) == {
        "content": [
            {"token": "Hé", "logprob": -0.25, "bytes": [72, 195, 169], "top_logprobs": [top]},
            {"token": "!", "logprob": 0.0, "bytes": [33], "top_logprobs": []},
        ]
    }


def test_a_result_of_nothing_has_no_tokens() -> None:
    assert bytes(log_probs(Result())) == b'{"content":[]}'
