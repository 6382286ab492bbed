from collections.abc import Iterable, Iterator
from typing import Any, cast

import msgspec
import pytest

import scaigrid
from scaigrid.api.document import document
from scaigrid.api.models import ModelsQuery
from scaigrid.api.operation import Area, Operation
from scaigrid.api.operations import OPERATIONS
from scaigrid.dialects import DIALECTS
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.dialects.shapes import AnswerShape, RequestShape
from scaigrid.errors import TABLE, Code
from scaigrid.middleware import Services
from tests.scaigrid.api.control_plane import ControlPlane
from tests.scaigrid.api.validators import document_faults, faults

Node = dict[str, Any]


class Thing(AnswerShape):
    id: str


class NewThing(RequestShape):
    name: str
    size: int = 1


THING = Envelope[Thing]
MADE = {"status": "ok", "data": {"id": "thing_1"}, "meta": {"request_id": "req_12345678"}}


def told(services: Services, **row: Any) -> Node:
    """A document with one operation, and that operation."""
    given: Node = {"path": "/v1/things", "name": "doThings", "summary": "Things", "answer": THING, **row}
    made = Operation(**given)
    whole = document(services.dialect_of, (Area("Things", "What things there are.", (made,)),))
    assert document_faults(whole) == []
    operation: Node = whole["paths"][made.path][made.method]
    return {**whole, "operation": operation}


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
        for media_type, content in answer.get("content", {}).items():
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
    assert [where for where in bare if not where.startswith("/docs")] == [
        "/metrics 200 text/plain; version=0.0.4; charset=utf-8"
    ]


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
        for kind in ("schemas", "headers", "parameters", "examples")
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
        for code in answer.get("content", {}).get("application/json", {}).get("examples", {})
    }
    assert told == {(code.value, TABLE[code].status) for code in operation.refusals}


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
    sent = {name.decode() for kind in ("requests", "tokens") for name, _ in dialect.limit_headers(60, 59, 1.0, kind)}
    path = next(iter(dialect.operations))
    for status in ("200", "429"):
        named = whole["paths"][path]["post"]["responses"][status]["headers"]
        assert {name.lower() for name in named if "ratelimit" in name.lower()} == sent


def test_what_takes_no_tokens_tells_of_requests_alone(whole: Node) -> None:
    named = whole["paths"]["/v1/models"]["get"]["responses"]["200"]["headers"]
    assert {name for name in named if "ratelimit" in name.lower()} == {
        f"X-Scaigrid-Ratelimit-{word}" for word in ("Limit", "Remaining", "Reset")
    }


def test_only_what_needs_a_key_asks_for_one(whole: Node) -> None:
    assert whole["security"] == [{"key": []}]
    assert {path for path, operation in operations(whole) if operation.get("security") == []} == {
        "/health",
        "/health/ready",
        "/metrics",
        "/docs",
        "/docs/assets/{name}",
        "/docs/openapi.json",
    }


def test_a_parameter_is_described_as_it_is_read(whole: Node) -> None:
    listed = whole["paths"]["/v1/models"]["get"]["parameters"]
    parameters = {one["name"]: one for one in listed if one.get("in") == "query"}
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
    (slug,) = [one for one in whole["paths"][path]["get"]["parameters"] if one.get("in") == "path"]
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
            told = answer.get("content", {}).get("application/json", {}).get("examples", {})
            codes = [Code(code) for code in told]
            waits = any(TABLE[code].retry == "after" for code in codes)
            assert ("Retry-After" in answer.get("headers", {})) is waits, (path, status)


def test_what_is_made_is_answered_with_201_and_its_example(services: Services) -> None:
    body = {"name": "a", "size": 2}
    operation = told(services, method="post", status=201, body=NewThing, body_example=body, example=MADE)["operation"]
    assert operation["requestBody"] == {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewThing"}, "example": body}},
    }
    assert operation["responses"]["201"]["content"]["application/json"]["example"] == MADE
    assert "200" not in operation["responses"]


def test_what_is_gone_is_answered_without_content(services: Services) -> None:
    operation = told(services, method="delete", status=204, answer=None)["operation"]
    assert "content" not in operation["responses"]["204"]
    assert "X-Request-ID" in operation["responses"]["204"]["headers"]
    assert "requestBody" not in operation


def test_each_place_in_the_path_is_a_parameter(services: Services) -> None:
    described = {"partner_id": "The partner.", "thing_id": "Its id."}
    path = "/v1/partners/{partner_id}/things/{thing_id}"
    operation = told(services, path=path, parameters=described)["operation"]
    assert [(one["name"], one["in"], one["required"], one["description"]) for one in operation["parameters"]] == [
        ("partner_id", "path", True, "The partner."),
        ("thing_id", "path", True, "Its id."),
    ]


def test_a_state_is_told_in_a_header_that_changes_take_back(services: Services) -> None:
    read = told(services, conditional=True)["operation"]
    assert "ETag" in read["responses"]["200"]["headers"]
    assert "parameters" not in read
    whole = told(services, method="put", body=NewThing, body_example={"name": "a"}, conditional=True)
    change = whole["operation"]
    assert change["parameters"] == [{"$ref": "#/components/parameters/IfMatch"}]
    assert whole["components"]["parameters"]["IfMatch"]["name"] == "If-Match"
    assert list(change["responses"]["412"]["content"]["application/json"]["examples"]) == ["PRECONDITION_FAILED"]
    assert whole["components"]["headers"]["ETag"]["required"] is True


def test_a_tenant_to_act_on_is_named_in_a_header(services: Services) -> None:
    whole = told(services, tenant_header=True)
    assert whole["operation"]["parameters"] == [{"$ref": "#/components/parameters/Tenant"}]
    assert whole["components"]["parameters"]["Tenant"]["name"] == "X-ScaiGrid-Tenant"


def test_a_permission_is_told_to_people_and_to_machines(services: Services) -> None:
    operation = told(services, description="Newest first.", permission="users:manage", level="tenant")["operation"]
    assert operation["description"] == "Newest first. Needs the permission `users:manage` for the tenant."
    assert (operation["x-scaigrid-permission"], operation["x-scaigrid-level"]) == ("users:manage", "tenant")
    free = told(services)["operation"]
    assert [name for name in free if name.startswith("x-") or name == "description"] == []


def test_a_table_may_be_had_in_more_than_one_format(services: Services) -> None:
    operation = told(services, example=MADE, texts={"text/csv": "id\nthing_1\n", "application/x-ndjson": None})
    assert operation["operation"]["responses"]["200"]["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/ThingEnvelope"}, "example": MADE},
        "text/csv": {"schema": {"type": "string"}, "example": "id\nthing_1\n"},
        "application/x-ndjson": {"schema": {"type": "string"}},
    }


def test_the_id_of_a_request_is_on_every_answer(whole: Node) -> None:
    assert whole["components"]["headers"]["X-Request-ID"]["required"] is True
    answers = [answer for _, operation in operations(whole) for answer in operation["responses"].values()]
    assert [answer for answer in answers if "X-Request-ID" not in answer["headers"]] == []
