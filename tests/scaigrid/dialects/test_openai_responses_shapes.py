"""What the head reads, the request says too: a body that one takes the other must not misread."""

import msgspec

from scaigrid.api.schemas import Schemas
from scaigrid.dialects import openai_responses_shapes as shapes


def test_the_head_reads_each_field_by_the_type_that_the_request_has_for_it() -> None:
    request = {field.name: field.type for field in msgspec.structs.fields(shapes.ResponsesRequest)}
    looser = {"input", "tools"}
    for field in msgspec.structs.fields(shapes.ResponsesHead):
        assert field.name in looser or field.type == request[field.name], field.name


def test_a_question_for_the_size_is_made_of_fields_of_the_call() -> None:
    request = {field.name: field.type for field in msgspec.structs.fields(shapes.ResponsesRequest)}
    for field in msgspec.structs.fields(shapes.InputTokensRequest):
        assert request[field.name] == field.type


def test_a_message_need_not_say_that_it_is_one_and_the_document_says_so() -> None:
    schema = Schemas([shapes.ResponsesRequest]).components["ResponsesMessage"]
    assert schema["required"] == ["role", "content"]
    assert "type" in schema["properties"]
