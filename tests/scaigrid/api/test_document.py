from collections.abc import Iterable, Iterator
from typing import Any, cast

import msgspec
import pytest

import scaigrid
from scaigrid.api.document import document
from scaigrid.api.models import ModelsQuery
from scaigrid.api.operations import OPERATIONS
from scaigrid.dialects import DIALECTS
from scaigrid.errors import TABLE, Code
from scaigrid.middleware import Services
from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.validators import document_faults, faults

Node = dict[str, Any]


@pytest.fixture(scope="module")
def services() -> Services:
    return ControlPlane().services


@pytest.fixture(scope="module")
def whole(services: Services) -> Node:
    return document(services.dialect_of)


def operations(whole: Node) -> Iterator[tuple[str, Node]]:
    for path, methods in whole["paths"].items():
        for operation in methods.values():
            yield path, operation


def contents(operation: Node) -> Iterator[tuple[str, Node]]:
    """Each media type that is taken or answered, with where."""
    if "requestBody" in operation:
        for media_type, content in operation["requestBody"]["content"].items():
            yield f"request {media_type}", content
    for status, answer in operation["responses"].items():
        for media_type, content in answer["content"].items():
            yield f"{status} {media_type}", content


def examples(whole: Node, content: Node) -> Iterator[Any]:
    if "example" in content:
        yield content["example"]
    for reference in content.get("examples", {}).values():
        yield whole["components"]["examples"][reference["$ref"].rpartition("/")[2]]["value"]


def test_it_is_an_openapi_3_1_document(whole: Node) -> None:
    assert document_faults(whole) == []
    assert (whole["openapi"], whole["info"]["version"]) == ("3.1.0", scaigrid.__version__)


def test_every_example_fits_its_schema(whole: Node) -> None:
    seen = 0
    for path, operation in operations(whole):
        for where, content in contents(operation):
            for example in examples(whole, content):
                seen += 1
                assert faults(example, content["schema"], whole["components"]) == [], f"{path} {where}"
    assert seen > 100


def test_every_answer_with_a_shape_has_an_example(whole: Node) -> None:
    bare = [
        f"{path} {where}"
        for path, operation in operations(whole)
        for where, content in contents(operation)
        if not list(examples(whole, content))
    ]
    assert bare == ["/metrics 200 text/plain; version=0.0.4; charset=utf-8", "/docs/openapi.json 200 application/json"]


def references(node: object) -> Iterator[str]:
    match node:
        case {"$ref": str() as reference}:
            yield reference
        case _:
            pass
    below: Iterable[Any] = ()
    if isinstance(node, dict):
        below = cast("Node", node).values()
    elif isinstance(node, list):
        below = cast("list[object]", node)
    for value in below:
        yield from references(value)


def test_every_component_is_used_and_every_reference_finds_one(whole: Node) -> None:
    there = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "headers", "examples")
        for name in whole["components"][kind]
    }
    assert set(references(whole)) == there


@pytest.mark.parametrize("path", ["/v1/inference/chat", "/oai/v1/chat/completions"])
def test_a_chat_answers_plainly_or_as_server_sent_events(whole: Node, path: str) -> None:
    content = whole["paths"][path]["post"]["responses"]["200"]["content"]
    assert list(content) == ["application/json", "text/event-stream"]
    stream = content["text/event-stream"]
    assert stream["schema"]["contentMediaType"] == "text/event-stream"
    assert stream["example"].endswith("data: [DONE]\n\n")


def test_the_frames_of_a_stream_fit_the_schema_of_its_content(whole: Node) -> None:
    for path in ("/v1/inference/chat", "/oai/v1/chat/completions"):
        stream = whole["paths"][path]["post"]["responses"]["200"]["content"]["text/event-stream"]
        schema = stream["schema"]["contentSchema"]
        frames = [frame.removeprefix("data: ") for frame in stream["example"].split("\n\n")[:-2]]
        assert len(frames) > 1
        for frame in frames:
            assert faults(msgspec.json.decode(frame), schema, whole["components"]) == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_each_code_of_a_row_is_told_under_its_status(whole: Node, operation: Any) -> None:
    responses = whole["paths"][operation.path][operation.method]["responses"]
    told = {
        (code, int(status))
        for status, answer in responses.items()
        for code in answer["content"].get("application/json", {}).get("examples", {})
    }
    assert told == {(code.value, TABLE[code].status) for code in operation.codes}


def test_errors_have_the_shape_of_the_dialect_that_speaks_there(whole: Node) -> None:
    shapes = {
        path: content["schema"]["$ref"].rpartition("/")[2]
        for path, operation in operations(whole)
        for where, content in contents(operation)
        if where.startswith("401 ")
    }
    assert {path for path, shape in shapes.items() if shape == "OpenAIErrorBody"} == {
        operation.path for operation in OPERATIONS if operation.path.startswith("/oai/")
    }
    assert {shape for path, shape in shapes.items() if path.startswith("/v1/")} == {"ErrorEnvelope"}


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_the_headers_of_limits_are_those_that_the_dialect_sends(whole: Node, dialect: Any) -> None:
    sent = {name.decode() for name, _ in dialect.limit_headers(60, 59, 1.0)}
    path = next(iter(dialect.operations))
    for status in ("200", "429"):
        named = whole["paths"][path]["post"]["responses"][status]["headers"]
        assert {name.lower() for name in named if "ratelimit" in name.lower()} == sent


def test_only_what_needs_a_key_asks_for_one(whole: Node) -> None:
    assert whole["security"] == [{"key": []}]
    assert {path for path, operation in operations(whole) if operation.get("security") == []} == {
        "/health",
        "/health/ready",
        "/metrics",
        "/docs/openapi.json",
    }


def test_a_parameter_is_described_as_it_is_read(whole: Node) -> None:
    parameters = {one["name"]: one for one in whole["paths"]["/v1/models"]["get"]["parameters"]}
    assert list(parameters) == list(ModelsQuery.__struct_fields__)
    assert parameters["limit"] == {
        "name": "limit",
        "in": "query",
        "required": False,
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
        "description": "The most items of one page.",
    }
    assert parameters["status"]["schema"] == {"enum": ["active", "deprecated", "disabled"]}


@pytest.mark.parametrize("path", ["/v1/models/{slug}", "/oai/v1/models/{slug}"])
def test_a_slug_is_a_part_of_the_path(whole: Node, path: str) -> None:
    (slug,) = whole["paths"][path]["get"]["parameters"]
    assert (slug["name"], slug["in"], slug["required"]) == ("slug", "path", True)


def test_openais_requests_have_room_for_fields_that_are_not_listed(whole: Node) -> None:
    schemas = whole["components"]["schemas"]
    assert "additionalProperties" not in schemas["ChatCompletionRequest"]
    assert schemas["ChatRequest"]["additionalProperties"] is False


def test_readiness_is_told_with_both_of_its_answers(whole: Node) -> None:
    responses = whole["paths"]["/health/ready"]["get"]["responses"]
    content = {status: responses[status]["content"]["application/json"] for status in ("200", "503")}
    assert content["200"]["schema"] == content["503"]["schema"] == {"$ref": "#/components/schemas/Ready"}
    assert [content[status]["example"]["status"] for status in content] == ["ready", "not_ready"]


def test_a_wait_is_announced_where_there_is_one(whole: Node) -> None:
    for path, operation in operations(whole):
        for status, answer in operation["responses"].items():
            codes = [Code(code) for code in answer["content"].get("application/json", {}).get("examples", {})]
            waits = any(TABLE[code].retry == "after" for code in codes)
            assert ("Retry-After" in answer.get("headers", {})) is waits, (path, status)
