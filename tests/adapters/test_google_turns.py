from typing import Any

import msgspec
import pytest

from adapters.google_turns import UNSIGNED, turns
from scaigrid.errors import Code, GatewayError
from scaigrid.types import (
    AudioPart,
    CalledTool,
    FilePart,
    ImagePart,
    JsonPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
)
from tests.adapters.calls import target, user

OLD = "gemini-2.5-flash"
NEW = "gemini-3-flash-preview"
CALL = CalledTool("c1", "weather", '{"city": "Zürich", "at": 1.50}')
ARGS = {"city": "Zürich", "at": 1.5}


def read(*messages: Message, model: str = OLD, cloud: bool = False) -> tuple[list[Any], list[dict[str, Any]]]:
    """What the provider reads."""
    found = turns(messages, target("google", model=model), cloud=cloud)
    system, contents = msgspec.json.decode(msgspec.json.encode(found))
    return system, contents


def contents(*messages: Message, model: str = OLD) -> list[tuple[str, list[dict[str, Any]]]]:
    return [(turn["role"], turn["parts"]) for turn in read(*messages, model=model)[1]]


def part(given: Part, *, cloud: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = read(Message(role="user", content=(given,)), cloud=cloud)[1][0]["parts"][0]
    return made


def refused(*messages: Message, cloud: bool = False) -> tuple[Code, list[str]]:
    with pytest.raises(GatewayError) as caught:
        read(*messages, cloud=cloud)
    return caught.value.code, [one.field for one in caught.value.details]


def assistant(*content: Part, reasoning: tuple[ReasoningPart, ...] = (), calls: tuple[CalledTool, ...] = ()) -> Message:
    return Message(role="assistant", content=content, reasoning=reasoning, tool_calls=calls)


def result(*content: Part, error: bool = False, of: str = "c1", name: str | None = None) -> Message:
    return Message(role="tool", content=content, tool_call_id=of, tool_error=error, name=name)


def signed(signature: str, **fields: Any) -> ReasoningPart:
    return ReasoningPart(signature=signature, provider="google", **fields)


# -- turns -----------------------------------------------------------------------------------------------------------


def test_neighbours_of_one_role_are_one_turn_and_instructions_are_none() -> None:
    system, found = read(
        Message(role="system", content=(TextPart("Be."),)),
        user("Hi"),
        user("there"),
        Message(role="developer", content=(TextPart("Now."),)),
        assistant(TextPart("Yes"), RefusalPart("no")),
        user("So."),
    )
    assert system == [{"text": "Be."}, {"text": "Now."}]
    assert found == [
        {"role": "user", "parts": [{"text": "Hi"}, {"text": "there"}]},
        {"role": "model", "parts": [{"text": "Yes"}, {"text": "no"}]},
        {"role": "user", "parts": [{"text": "So."}]},
    ]


def test_a_turn_without_a_word_is_a_turn() -> None:
    assert contents(user("Hi"), assistant(TextPart("")), user("So?")) == [
        ("user", [{"text": "Hi"}]),
        ("model", [{"text": ""}]),
        ("user", [{"text": "So?"}]),
    ]
    both = Message(role="user", content=(TextPart(""), TextPart("Hi")))
    assert contents(both) == [("user", [{"text": "Hi"}])]


def test_a_name_has_no_place() -> None:
    named = Message(role="user", content=(TextPart("Hi"),), name="Ann")
    assert refused(named) == (Code.UNSUPPORTED_BY_MODEL, ["messages[0].name"])


# -- thoughts and signatures -----------------------------------------------------------------------------------------


def test_signatures_go_back_to_where_they_came_from() -> None:
    reasoning = (
        signed("s1", text="Hm."),
        ReasoningPart(text="unsigned", provider="google"),
        signed("s2", signs="text"),
        signed("s3", signs="call", call_id="c1"),
        ReasoningPart(text="x", signature="no", provider="anthropic"),
        ReasoningPart(text="of nobody"),
    )
    message = assistant(TextPart("I look."), reasoning=reasoning, calls=(CALL, CalledTool("c2", "now", "")))
    for model in (OLD, NEW):
        assert contents(user("Hi"), message, model=model)[1] == (
            "model",
            [
                {"text": "Hm.", "thought": True, "thoughtSignature": "s1"},
                {"text": "unsigned", "thought": True},
                {"text": "I look.", "thoughtSignature": "s2"},
                {"functionCall": {"id": "c1", "name": "weather", "args": ARGS}, "thoughtSignature": "s3"},
                {"functionCall": {"id": "c2", "name": "now", "args": {}}},
            ],
        )


def test_a_signature_of_text_without_text_stands_alone() -> None:
    message = assistant(reasoning=(signed("a", signs="text"), signed("b", signs="text")))
    assert contents(message) == [
        ("model", [{"text": "", "thoughtSignature": "a"}, {"text": "", "thoughtSignature": "b"}])
    ]


def test_parts_that_only_gemini_reads_go_back_as_they_came() -> None:
    kept = '{"toolCall":{"id":"t","args":{"n":1.50}},"thoughtSignature":"s"}'
    message = assistant(
        TextPart("36"),
        reasoning=(ReasoningPart(text="Hm.", redacted=kept, provider="google"), ReasoningPart(redacted="x")),
    )
    found = turns((message,), target("google", model=OLD), cloud=False)[1]
    assert msgspec.json.encode(found[0]["parts"]).decode() == (
        f'[{{"text":"Hm.","thought":true}},{kept},{{"text":"36"}}]'
    )
    forged = assistant(TextPart("36"), reasoning=(ReasoningPart(redacted='{"a":1},{"b":2}', provider="google"),))
    assert contents(forged) == [("model", [{"text": "36"}])]


def test_calls_that_no_gemini_model_has_made_are_excused_from_a_signature() -> None:
    two = assistant(calls=(CALL, CalledTool("c2", "now", "{}")))
    _, (first, second) = contents(user("Hi"), two, model=NEW)[1]
    assert first["thoughtSignature"] == UNSIGNED
    assert "thoughtSignature" not in second
    _, (first, second) = contents(user("Hi"), two, model=OLD)[1]
    assert "thoughtSignature" not in first


# -- tools -----------------------------------------------------------------------------------------------------------


def test_numbers_of_arguments_stay_as_the_model_wrote_them() -> None:
    found = turns((assistant(calls=(CALL,)),), target("google", model=OLD), cloud=False)[1]
    assert b'"args":{"city":"Z\xc3\xbcrich","at":1.50}' in msgspec.json.encode(found)


def test_arguments_that_are_no_object_are_the_callers_fault() -> None:
    for arguments in ("[1]", "{", "nonsense"):
        message = assistant(calls=(CalledTool("c", "f", arguments),))
        assert refused(message) == (Code.VALIDATION_ERROR, ["messages[0].tool_calls[0].arguments"])


@pytest.mark.parametrize(
    ("message", "response"),
    [
        (result(TextPart("12 °C")), {"result": "12 °C"}),
        (result(TextPart("a"), TextPart("b")), {"result": "a\nb"}),
        (result(TextPart(' {"t": 1.50} ')), {"t": 1.5}),
        (result(TextPart("[1]")), {"result": "[1]"}),
        (result(TextPart("no"), error=True), {"error": "no"}),
        (result(TextPart('{"t": 1}'), error=True), {"error": '{"t": 1}'}),
        (result(JsonPart(value=msgspec.Raw(b'{"t": [1]}'))), {"t": [1]}),
        (result(JsonPart(value=msgspec.Raw(b"[1]"))), {"result": [1]}),
        (result(JsonPart(value=msgspec.Raw(b'{"t":1}')), error=True), {"error": {"t": 1}}),
        (result(), {"result": ""}),
    ],
)
def test_a_result_is_an_object(message: Message, response: dict[str, Any]) -> None:
    found = contents(user("Hi"), assistant(calls=(CALL,)), message)[2]
    assert found == ("user", [{"functionResponse": {"id": "c1", "name": "weather", "response": response}}])


def test_the_results_of_a_turn_stand_in_one() -> None:
    calls = assistant(calls=(CALL, CalledTool("c2", "now", "{}")))
    *_, (role, parts) = contents(user("Hi"), calls, result(TextPart("1"), of="c2"), result(TextPart("2")), user("So?"))
    assert role == "user"
    assert [one.get("functionResponse", one).get("name") for one in parts] == ["now", "weather", None]


def test_vertex_ai_knows_calls_by_their_order_and_has_no_ids() -> None:
    calls = assistant(calls=(CALL, CalledTool("c2", "now", "{}"), CalledTool("c3", "now", "{}")))
    answers = (result(TextPart("3"), of="c3"), result(TextPart("1")), result(TextPart("2"), of="c2"))
    for messages in ((user("Hi"), calls, *answers), (user("Hi"), calls, *answers, user("So?"), calls, *answers)):
        _, found = read(*messages, cloud=True)
        assert [one["functionCall"] for one in found[1]["parts"]] == [
            {"name": "weather", "args": ARGS},
            {"name": "now", "args": {}},
            {"name": "now", "args": {}},
        ]
        results = [one["functionResponse"] for one in found[-1]["parts"]]
        assert [(one["name"], one["response"]["result"], "id" in one) for one in results] == [
            ("weather", "1", False),
            ("now", "2", False),
            ("now", "3", False),
        ]
    misplaced = (user("Hi"), calls, result(TextPart("1")), Message(role="tool", tool_call_id="x"))
    assert refused(*misplaced, cloud=True) == (Code.VALIDATION_ERROR, ["messages[3].tool_call_id"])


def test_a_result_is_named_after_its_call_or_by_its_own_name() -> None:
    assert contents(result(TextPart("1"), name="own"))[0][1][0]["functionResponse"]["name"] == "own"
    assert refused(result(TextPart("1"))) == (Code.VALIDATION_ERROR, ["messages[0].tool_call_id"])


def test_a_picture_of_a_result_stands_in_it_or_beside_it() -> None:
    picture = ImagePart(data="aQ==", media_type="image/png")
    data = {"inlineData": {"mimeType": "image/png", "data": "aQ=="}}
    message = result(TextPart("see"), picture)
    inside = contents(user("Hi"), assistant(calls=(CALL,)), message, model=NEW)[2][1]
    assert (inside[0]["functionResponse"]["parts"], len(inside)) == ([data], 1)
    beside = contents(user("Hi"), assistant(calls=(CALL,)), message, model=OLD)[2][1]
    assert "parts" not in beside[0]["functionResponse"]
    assert beside[1:] == [data]


# -- parts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ImagePart(data="aQ==", media_type="image/png", detail="high"),
            {"inlineData": {"mimeType": "image/png", "data": "aQ=="}},
        ),
        (AudioPart(data="aQ==", format="mp3"), {"inlineData": {"mimeType": "audio/mp3", "data": "aQ=="}}),
        (AudioPart(data="aQ==", format="pcm16"), {"inlineData": {"mimeType": "audio/pcm", "data": "aQ=="}}),
        (
            FilePart(data="aQ==", media_type="application/pdf", filename="a.pdf"),
            {"inlineData": {"mimeType": "application/pdf", "data": "aQ=="}},
        ),
        (
            ImagePart(url="https://p.example/a.PNG?x=1"),
            {"fileData": {"mimeType": "image/png", "fileUri": "https://p.example/a.PNG?x=1"}},
        ),
        (
            FilePart(url="https://youtu.be/abc"),
            {"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/abc"}},
        ),
        (
            FilePart(url="https://p.example/v.mov", media_type="video/mp4"),
            {"fileData": {"mimeType": "video/mp4", "fileUri": "https://p.example/v.mov"}},
        ),
        (
            FilePart(file_id="gs://bucket/a.pdf"),
            {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://bucket/a.pdf"}},
        ),
        (FilePart(file_id="files/abc"), {"fileData": {"fileUri": "https://provider.example/v1/files/abc"}}),
        (FilePart(url="https://p.example/page"), {"fileData": {"fileUri": "https://p.example/page"}}),
        (JsonPart(value=msgspec.Raw(b'{"a": 1}')), {"text": '{"a": 1}'}),
    ],
)
def test_every_part_has_its_form(given: Part, said: dict[str, Any]) -> None:
    assert part(given) == said


def test_vertex_ai_has_to_know_what_it_fetches() -> None:
    known = ImagePart(url="https://p.example/a.webp")
    assert part(known, cloud=True) == part(known)
    for given, field in (
        (ImagePart(url="https://p.example/a"), "url"),
        (ImagePart(url="https://[broken"), "url"),
        (FilePart(file_id="gs://bucket/a"), "file_id"),
    ):
        message = Message(role="user", content=(given,))
        assert refused(message, cloud=True) == (Code.UNSUPPORTED_BY_MODEL, [f"messages[0].content[0].{field}"])


def test_what_a_part_cannot_say_is_refused_by_name() -> None:
    cited = FilePart(data="aQ==", media_type="text/plain", citations=True)
    assert refused(Message(role="user", content=(cited,))) == (
        Code.UNSUPPORTED_BY_MODEL,
        ["messages[0].content[0].citations"],
    )
    untyped = Message(role="user", content=(ImagePart(data="aQ=="),))
    assert refused(untyped) == (Code.VALIDATION_ERROR, ["messages[0].content[0].media_type"])
    for role in ("system", "assistant"):
        shown = Message(role=role, content=(ImagePart(url="https://p.example/a.png"),))
        assert refused(shown) == (Code.UNSUPPORTED_BY_MODEL, ["messages[0].content[0]"])
