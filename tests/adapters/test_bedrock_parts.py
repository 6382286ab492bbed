import base64
from typing import Any

import msgspec
import pytest

from adapters.bedrock_families import of
from adapters.bedrock_parts import Parts
from scaigrid.errors import Code, GatewayError
from scaigrid.types import AudioPart, FilePart, ImagePart, JsonPart, Message, Part, RefusalPart, Role, TextPart

CLAUDE = "anthropic.claude-sonnet-4-6"
NOVA = "amazon.nova-lite-v1:0"
LLAMA = "meta.llama4"
POINT = {"cachePoint": {"type": "default"}}
HOUR = {"cachePoint": {"type": "default", "ttl": "1h"}}
DATA = base64.b64encode(b"1,2").decode()


def blocks(*content: Part, role: Role = "user", model: str = CLAUDE) -> list[dict[str, Any]]:
    return Parts(of(model)).blocks(Message(role=role, content=content), "messages[0]")


def results(*content: Part, model: str = CLAUDE, failed: bool = False) -> list[dict[str, Any]]:
    message = Message(role="tool", content=content, tool_call_id="t", tool_error=failed)
    made: list[dict[str, Any]] = msgspec.json.decode(
        msgspec.json.encode(Parts(of(model)).result(message, "t", "messages[0]"))
    )
    return made


def test_texts_are_texts_and_one_without_a_character_is_none() -> None:
    json = JsonPart(value=msgspec.Raw(b"[1]"))
    assert blocks(TextPart("a"), TextPart(""), RefusalPart("no"), json) == [
        {"text": "a"},
        {"text": "no"},
        {"text": "[1]"},
    ]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            ImagePart(data=DATA, media_type="image/PNG", detail="high"),
            {"image": {"format": "png", "source": {"bytes": DATA}}},
        ),
        (
            ImagePart(data=DATA, media_type="image/jpg"),
            {"image": {"format": "jpeg", "source": {"bytes": DATA}}},
        ),
        (
            ImagePart(url="s3://bucket/a.jpg"),
            {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/a.jpg"}}}},
        ),
        (
            AudioPart(data=DATA, format="wav"),
            {"audio": {"format": "wav", "source": {"bytes": DATA}}},
        ),
        (
            FilePart(data=DATA, media_type="text/csv; charset=utf-8", filename="My  file: (1).csv", citations=True),
            {
                "document": {
                    "format": "csv",
                    "name": "My-file- (1)-csv",
                    "source": {"bytes": DATA},
                    "citations": {"enabled": True},
                }
            },
        ),
        (
            FilePart(data="JVBERi0x"),
            {"document": {"format": "pdf", "name": "Document 1", "source": {"bytes": "JVBERi0x"}}},
        ),
        (
            FilePart(url="s3://bucket/a.docx"),
            {
                "document": {
                    "format": "docx",
                    "name": "Document 1",
                    "source": {"s3Location": {"uri": "s3://bucket/a.docx"}},
                }
            },
        ),
        (
            FilePart(data=DATA, media_type="application/json"),
            {"document": {"format": "txt", "name": "Document 1", "source": {"bytes": DATA}}},
        ),
        (
            FilePart(data=DATA, media_type="video/mp4", filename="a"),
            {"video": {"format": "mp4", "source": {"bytes": DATA}}},
        ),
        (
            FilePart(url="s3://bucket/a.3gp"),
            {"video": {"format": "three_gp", "source": {"s3Location": {"uri": "s3://bucket/a.3gp"}}}},
        ),
    ],
)
def test_media_and_documents_have_a_format_and_a_source(part: Part, block: dict[str, Any]) -> None:
    assert blocks(part) == [block]


def test_no_two_documents_have_one_name_and_names_are_the_same_in_every_turn() -> None:
    files = [FilePart(data=DATA, media_type="text/plain", filename=name) for name in (None, "a", "a", None, "!", "a")]
    names = [one["document"]["name"] for one in blocks(*files)]
    assert names == ["Document 1", "a", "a 2", "Document 4", "Document 5", "a 3"]
    assert [one["document"]["name"] for one in blocks(*files[:3])] == names[:3]


@pytest.mark.parametrize(
    ("part", "code", "field"),
    [
        (ImagePart(url="https://example.com/a.png"), Code.UNSUPPORTED_BY_MODEL, ".url"),
        (ImagePart(data=DATA), Code.VALIDATION_ERROR, ".media_type"),
        (ImagePart(data=DATA, media_type="image/bmp"), Code.UNSUPPORTED_BY_MODEL, ".media_type"),
        (ImagePart(url="s3://bucket/a"), Code.UNSUPPORTED_BY_MODEL, ".media_type"),
        (FilePart(url="https://example.com/a.pdf"), Code.UNSUPPORTED_BY_MODEL, ".url"),
        (FilePart(file_id="file_1"), Code.UNSUPPORTED_BY_MODEL, ".file_id"),
        (FilePart(data=DATA, media_type="application/zip"), Code.UNSUPPORTED_BY_MODEL, ".media_type"),
        (FilePart(data=DATA), Code.UNSUPPORTED_BY_MODEL, ".media_type"),
        (AudioPart(data=DATA, format="pcm16"), Code.UNSUPPORTED_BY_MODEL, ""),
    ],
)
def test_what_there_is_no_block_for_is_refused_by_its_place(part: Part, code: Code, field: str) -> None:
    with pytest.raises(GatewayError) as caught:
        blocks(TextPart("x"), part)
    assert (caught.value.code, [one.field for one in caught.value.details]) == (
        code,
        [f"messages[0].content[1]{field}"],
    )


@pytest.mark.parametrize("role", ["assistant", "system"])
def test_a_model_and_an_operator_say_nothing_but_text(role: Role) -> None:
    media = (ImagePart(data=DATA, media_type="image/png"), AudioPart(data=DATA, format="wav"))
    for part in (*media, FilePart(data=DATA, media_type="text/plain")):
        with pytest.raises(GatewayError):
            blocks(part, role=role)


def test_a_cache_point_stands_behind_what_is_marked_where_the_model_takes_one() -> None:
    marked = (TextPart("a", cache="5m"), TextPart("b"), ImagePart(data=DATA, media_type="image/png", cache="1h"))
    shapes = [next(iter(one)) for one in blocks(*marked)]
    assert shapes == ["text", "cachePoint", "text", "image", "cachePoint"]
    assert blocks(*marked)[1] == POINT
    assert blocks(*marked)[4] == HOUR
    # Nova has one length of time alone, and no point among tools.
    assert blocks(*marked, model=NOVA)[4] == POINT
    assert Parts(of(NOVA)).point("5m", "tools") == []
    assert Parts(of(CLAUDE)).point("1h", "tools") == [HOUR]
    assert POINT not in blocks(*marked, model=LLAMA)


def test_a_tools_result_holds_its_parts_and_its_point_stands_behind_it() -> None:
    value = JsonPart(value=msgspec.Raw(b'{"a": [1, 2.50]}'), cache="5m")
    assert results(value, TextPart("b")) == [
        {"toolResult": {"toolUseId": "t", "content": [{"json": {"a": [1, 2.5]}}, {"text": "b"}]}},
        POINT,
    ]
    assert results(failed=True) == [{"toolResult": {"toolUseId": "t", "content": [], "status": "error"}}]


def test_json_that_is_no_object_is_told_as_text() -> None:
    for value in (b"[1]", b'"a"', b"3"):
        assert results(JsonPart(value=msgspec.Raw(value))) == [
            {"toolResult": {"toolUseId": "t", "content": [{"text": value.decode()}]}}
        ]
