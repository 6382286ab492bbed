"""Each way to break a client is found, and nothing that a client would not notice is called a break."""

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.harness.checkout import ROOT
from tests.harness.compatibility import Break, breaks

Node = dict[str, Any]
Change = Callable[[Node], object]

WHERE = "POST /v1/things"


def document() -> Node:
    """A small one with one of everything that is judged."""
    refused = {
        "schema": {"$ref": "#/components/schemas/Refusal"},
        "examples": {"NOT_FOUND": {"$ref": "#/components/examples/native.NOT_FOUND"}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "T", "version": "1"},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": {
            "/v1/things": {
                "post": {
                    "operationId": "makeThing",
                    "tags": ["Things"],
                    "summary": "Make one",
                    "x-scaigrid-permission": "things:make",
                    "parameters": [
                        {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 9, "default": 5}},
                        {"name": "kind", "in": "query", "required": False, "schema": {"enum": ["a", "b"]}},
                        {"name": "must", "in": "query", "required": True, "schema": {"type": "string"}},
                        {"$ref": "#/components/parameters/Tenant"},
                    ],
                    "requestBody": {
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Wanted"}}}
                    },
                    "responses": {
                        "201": {
                            "description": "Made.",
                            "headers": {"ETag": {"$ref": "#/components/headers/ETag"}},
                            "content": {
                                "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}},
                                "text/event-stream": {
                                    "schema": {
                                        "type": "string",
                                        "contentMediaType": "text/event-stream",
                                        "contentSchema": {"anyOf": [{"$ref": "#/components/schemas/Thing"}]},
                                    }
                                },
                            },
                        },
                        "404": {"description": "None.", "content": {"application/json": refused}},
                    },
                }
            },
            "/v1/things/{id}": {
                "delete": {"operationId": "dropThing", "responses": {"204": {"description": "Done."}}},
            },
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "A key."}},
            "parameters": {"Tenant": {"name": "X-Tenant", "in": "header", "schema": {"type": "string"}}},
            "headers": {"ETag": {"required": True, "schema": {"type": "string"}}},
            "schemas": {
                "Wanted": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-z]+$"},
                        "size": {"type": "integer", "minimum": 0, "maximum": 9, "default": 1},
                        "mode": {"anyOf": [{"enum": ["fast", "slow"]}, {"type": "null"}], "default": None},
                        "tags": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 16},
                        "when": {"type": "string", "format": "date-time"},
                        "open": {"type": "object"},
                        "parts": {
                            "type": "array",
                            "items": {
                                "anyOf": [
                                    {"$ref": "#/components/schemas/TextPart"},
                                    {"$ref": "#/components/schemas/ImagePart"},
                                ]
                            },
                        },
                        "inner": {"$ref": "#/components/schemas/Tree"},
                        "any": {},
                    },
                },
                "Tree": {
                    "type": "object",
                    "properties": {
                        "label": {"type": ["string", "null"]},
                        "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
                    },
                },
                "TextPart": {
                    "type": "object",
                    "required": ["type", "text"],
                    "properties": {"type": {"enum": ["text"]}, "text": {"type": "string"}},
                },
                "ImagePart": {
                    "type": "object",
                    "required": ["type", "url"],
                    "properties": {"type": {"enum": ["image"]}, "url": {"type": "string"}},
                },
                "Thing": {
                    "type": "object",
                    "required": ["id", "state", "health", "count"],
                    "properties": {
                        "id": {"type": "string"},
                        "state": {"enum": ["new", "old"]},
                        "health": {"enum": ["well", "ill"], "x-scaigrid-open": True},
                        "count": {"type": "integer"},
                        "price": {"type": "number"},
                        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                        "times": {"type": "array", "items": {"type": "string", "format": "date-time"}},
                    },
                },
                "Refusal": {
                    "type": "object",
                    "required": ["code"],
                    "properties": {"code": {"type": "string"}},
                },
            },
            "examples": {"native.NOT_FOUND": {"value": {"code": "NOT_FOUND"}}},
        },
    }


def published() -> Node:
    found: Node = msgspec.json.decode((ROOT / "docs" / "openapi.json").read_bytes())
    return found


def op(doc: Node) -> Node:
    found: Node = doc["paths"]["/v1/things"]["post"]
    return found


def schema(doc: Node, name: str) -> Node:
    found: Node = doc["components"]["schemas"][name]
    return found


def wanted(doc: Node, name: str) -> Node:
    found: Node = schema(doc, "Wanted")["properties"][name]
    return found


def thing(doc: Node, name: str) -> Node:
    found: Node = schema(doc, "Thing")["properties"][name]
    return found


def add_parameter(doc: Node, name: str, *, required: bool) -> None:
    op(doc)["parameters"].append({"name": name, "in": "query", "required": required, "schema": {"type": "string"}})


def add_code(doc: Node, status: str, code: str) -> None:
    content = {"schema": {"$ref": "#/components/schemas/Refusal"}, "examples": {code: {"value": {"code": code}}}}
    op(doc)["responses"][status] = {"description": "No.", "content": {"application/json": content}}


def rename(doc: Node, old: str, new: str) -> None:
    schemas = doc["components"]["schemas"]
    schemas[new] = schemas.pop(old)
    op(doc)["requestBody"]["content"]["application/json"]["schema"]["$ref"] = f"#/components/schemas/{new}"


def require(doc: Node, name: str, field: str) -> object:
    required: list[str] = schema(doc, name)["required"]
    required.append(field)
    return required


def relax(doc: Node, name: str, field: str) -> None:
    schema(doc, name)["required"].remove(field)


BODY = f"{WHERE} body"
MADE = f"{WHERE} 201"
BREAKING: dict[str, tuple[Change, str, str]] = {
    "a path is gone": (lambda doc: doc["paths"].pop("/v1/things"), WHERE, "gone"),
    "a method is another": (
        lambda doc: doc["paths"]["/v1/things"].update(put=doc["paths"]["/v1/things"].pop("post")),
        WHERE,
        "gone",
    ),
    "an operationId is another": (
        lambda doc: op(doc).update(operationId="newThing"),
        WHERE,
        "operationId was makeThing",
    ),
    "a key is needed no more": (lambda doc: op(doc).update(security=[]), WHERE, "needs other credentials"),
    "every operation is keyless": (lambda doc: doc.pop("security"), WHERE, "needs other credentials"),
    "a scheme is another": (
        lambda doc: doc["components"]["securitySchemes"]["key"].update(scheme="basic"),
        "security scheme key",
        "gone or changed",
    ),
    "a server is another": (lambda doc: doc["servers"][0].update(url="/api"), "servers", "changed"),
    "a permission is another": (
        lambda doc: op(doc).update({"x-scaigrid-permission": "things:own"}),
        WHERE,
        "needs the permission things:own",
    ),
    "a permission is needed": (
        lambda doc: doc["paths"]["/v1/things/{id}"]["delete"].update({"x-scaigrid-permission": "things:own"}),
        "DELETE /v1/things/{id}",
        "needs the permission things:own",
    ),
    "a parameter is gone": (lambda doc: op(doc)["parameters"].pop(0), f"{WHERE} query parameter limit", "gone"),
    "a shared parameter is gone": (
        lambda doc: op(doc)["parameters"].pop(),
        f"{WHERE} header parameter X-Tenant",
        "gone",
    ),
    "a parameter is given elsewhere": (
        lambda doc: op(doc)["parameters"][1].update({"in": "header"}),
        f"{WHERE} query parameter kind",
        "gone",
    ),
    "a new parameter has to be given": (
        lambda doc: add_parameter(doc, "extra", required=True),
        f"{WHERE} query parameter extra",
        "is new and has to be given",
    ),
    "a parameter has to be given": (
        lambda doc: op(doc)["parameters"][1].update(required=True),
        f"{WHERE} query parameter kind",
        "has to be given now",
    ),
    "a parameter has a smaller bound": (
        lambda doc: op(doc)["parameters"][0]["schema"].update(maximum=8),
        f"{WHERE} query parameter limit",
        "maximum was 9, is 8",
    ),
    "a parameter has another default": (
        lambda doc: op(doc)["parameters"][0]["schema"].update(default=6),
        f"{WHERE} query parameter limit",
        "its default was 5, is 6",
    ),
    "a parameter takes fewer values": (
        lambda doc: op(doc)["parameters"][1]["schema"]["enum"].remove("b"),
        f"{WHERE} query parameter kind",
        "'b' is no longer taken",
    ),
    "a body has to be given": (lambda doc: op(doc)["requestBody"].update(required=True), BODY, "has to be given now"),
    "a body is not taken": (lambda doc: op(doc).pop("requestBody"), BODY, "gone"),
    "a body is needed where there was none": (
        lambda doc: doc["paths"]["/v1/things/{id}"]["delete"].update(requestBody={"required": True, "content": {}}),
        "DELETE /v1/things/{id} body",
        "is new and has to be given",
    ),
    "a body is in another format": (
        lambda doc: op(doc)["requestBody"]["content"].update(
            {"text/yaml": op(doc)["requestBody"]["content"].pop("application/json")}
        ),
        f"{BODY} application/json",
        "gone",
    ),
    "a field is not taken": (
        lambda doc: schema(doc, "Wanted")["properties"].pop("size"),
        f"{BODY}.size",
        "no longer taken",
    ),
    "a field has to be given": (lambda doc: require(doc, "Wanted", "size"), f"{BODY}.size", "has to be given now"),
    "a new field has to be given": (
        lambda doc: (schema(doc, "Wanted")["properties"].update(more={}), require(doc, "Wanted", "more")),
        f"{BODY}.more",
        "has to be given now",
    ),
    "a field has another type": (
        lambda doc: wanted(doc, "size").update(type="string"),
        f"{BODY}.size",
        "integer is no longer taken",
    ),
    "a number becomes an integer": (
        lambda doc: schema(doc, "Wanted")["properties"].update(open={"type": "array"}),
        f"{BODY}.open",
        "object is no longer taken",
    ),
    "a field takes no null": (
        lambda doc: wanted(doc, "mode")["anyOf"].pop(),
        f"{BODY}.mode",
        "null is no longer taken",
    ),
    "a field takes fewer values": (
        lambda doc: wanted(doc, "mode")["anyOf"][0]["enum"].remove("slow"),
        f"{BODY}.mode",
        "'slow' is no longer taken",
    ),
    "a text becomes a choice": (
        lambda doc: schema(doc, "TextPart")["properties"].update(text={"enum": ["a"]}),
        f"{BODY}.parts[].text",
        "string is no longer taken",
    ),
    "anything becomes something": (
        lambda doc: wanted(doc, "any").update(type="string"),
        f"{BODY}.any",
        "anything is no longer taken",
    ),
    "a least is greater": (lambda doc: wanted(doc, "size").update(minimum=1), f"{BODY}.size", "minimum was 0, is 1"),
    "a most is smaller": (
        lambda doc: wanted(doc, "name").update(maxLength=63),
        f"{BODY}.name",
        "maxLength was 64, is 63",
    ),
    "a bound is new": (
        lambda doc: wanted(doc, "tags").update(minProperties=1),
        f"{BODY}.tags",
        "minProperties was None, is 1",
    ),
    "a pattern is another": (
        lambda doc: wanted(doc, "name").update(pattern="^[a-y]+$"),
        f"{BODY}.name",
        "pattern was '^[a-z]+$', is '^[a-y]+$'",
    ),
    "a format is new": (
        lambda doc: wanted(doc, "name").update(format="email"),
        f"{BODY}.name",
        "format was None, is 'email'",
    ),
    "a step is new": (
        lambda doc: wanted(doc, "size").update(multipleOf=2),
        f"{BODY}.size",
        "multipleOf was None, is 2",
    ),
    "a default is another": (
        lambda doc: wanted(doc, "size").update(default=2),
        f"{BODY}.size",
        "its default was 1, is 2",
    ),
    "a default is gone": (
        lambda doc: wanted(doc, "mode").pop("default"),
        f"{BODY}.mode",
        "its default was None, is gone",
    ),
    "an object is closed": (
        lambda doc: wanted(doc, "open").update(additionalProperties=False),
        f"{BODY}.open",
        "fields that are not listed are no longer taken",
    ),
    "an object takes other values": (
        lambda doc: wanted(doc, "tags").update(additionalProperties={"type": "integer"}),
        f"{BODY}.tags{{}}",
        "string is no longer taken",
    ),
    "an object takes other names": (
        lambda doc: wanted(doc, "tags").update(propertyNames={"type": "string", "maxLength": 5}),
        f"{BODY}.tags key",
        "anything is no longer taken",
    ),
    "an item may be of fewer kinds": (
        lambda doc: wanted(doc, "parts")["items"]["anyOf"].pop(),
        f"{BODY}.parts[].type",
        "'image' is no longer taken",
    ),
    "a part of a part has to be given": (
        lambda doc: (
            schema(doc, "TextPart")["properties"].update(lang={"type": "string"}),
            require(doc, "TextPart", "lang"),
        ),
        f"{BODY}.parts[].lang",
        "has to be given now",
    ),
    "a schema that contains itself is narrower": (
        lambda doc: schema(doc, "Tree")["properties"]["label"].update(type="string"),
        f"{BODY}.inner.label",
        "null is no longer taken",
    ),
    "a keyword that nobody judges is new": (
        lambda doc: wanted(doc, "open").update({"not": {"required": ["x"]}}),
        f"{BODY}.open",
        "not was None, is {'required': ['x']}",
    ),
    "nothing is taken": (
        lambda doc: schema(doc, "Wanted")["properties"].update(any=False),
        f"{BODY}.any",
        "nothing is taken here",
    ),
    "a status is gone": (lambda doc: op(doc)["responses"].pop("404"), f"{WHERE} 404", "gone"),
    "it succeeds in another way": (
        lambda doc: op(doc)["responses"].update({"202": op(doc)["responses"]["201"]}),
        f"{WHERE} 202",
        "is a new way to succeed",
    ),
    "an answer has no content": (lambda doc: op(doc)["responses"]["201"].pop("content"), MADE, "has no content now"),
    "an answer has content": (
        lambda doc: doc["paths"]["/v1/things/{id}"]["delete"]["responses"]["204"].update(content={"text/plain": {}}),
        "DELETE /v1/things/{id} 204",
        "has content now",
    ),
    "an answer is not in a format": (
        lambda doc: op(doc)["responses"]["201"]["content"].pop("text/event-stream"),
        f"{MADE} text/event-stream",
        "gone",
    ),
    "a header is gone": (
        lambda doc: op(doc)["responses"]["201"]["headers"].pop("ETag"),
        f"{MADE} header ETag",
        "gone",
    ),
    "a header may be missing": (
        lambda doc: doc["components"]["headers"]["ETag"].update(required=False),
        f"{MADE} header ETag",
        "may be left out now",
    ),
    "a header has another type": (
        lambda doc: doc["components"]["headers"]["ETag"].update(schema={"type": "integer"}),
        f"{MADE} header ETag",
        "integer is new",
    ),
    "an answer lacks a field": (lambda doc: schema(doc, "Thing")["properties"].pop("note"), f"{MADE}.note", "gone"),
    "an answer may lack a field": (lambda doc: relax(doc, "Thing", "id"), f"{MADE}.id", "may be left out now"),
    "an answer may have null": (
        lambda doc: thing(doc, "id").update(type=["string", "null"]),
        f"{MADE}.id",
        "null is new",
    ),
    "an answer has another type": (
        lambda doc: thing(doc, "count").update(type="number"),
        f"{MADE}.count",
        "number is new",
    ),
    "an answer has a new value": (
        lambda doc: thing(doc, "state")["enum"].append("gone"),
        f"{MADE}.state",
        "'gone' is new",
    ),
    "an answer is no longer one of a few": (
        lambda doc: schema(doc, "Thing")["properties"].update(state={"type": "string"}),
        f"{MADE}.state",
        "string is new",
    ),
    "an open choice becomes a number": (
        lambda doc: schema(doc, "Thing")["properties"].update(health={"type": "integer"}),
        f"{MADE}.health",
        "integer is new",
    ),
    "an item of an answer is another": (
        lambda doc: thing(doc, "times")["items"].pop("format"),
        f"{MADE}.times[]",
        "format was 'date-time', is None",
    ),
    "a frame of a stream is another": (
        lambda doc: op(doc)["responses"]["201"]["content"]["text/event-stream"]["schema"].update(
            contentSchema={"type": "null"}
        ),
        f"{MADE} content",
        "null is new",
    ),
    "a code is gone": (
        lambda doc: op(doc)["responses"]["404"]["content"]["application/json"].update(examples={}),
        "code NOT_FOUND",
        "gone",
    ),
    "a code has another status": (
        lambda doc: add_code(doc, "410", "NOT_FOUND"),
        "code NOT_FOUND",
        "its status was ['404'], is ['404', '410']",
    ),
}
GROWING: dict[str, Change] = {
    "nothing": lambda doc: None,
    "a new path": lambda doc: doc["paths"].update({"/v1/more": {"get": {"operationId": "m", "responses": {}}}}),
    "a new method": lambda doc: doc["paths"]["/v1/things"].update(get={"operationId": "g", "responses": {}}),
    "a new optional parameter": lambda doc: add_parameter(doc, "extra", required=False),
    "a parameter that may be left out": lambda doc: op(doc)["parameters"][2].update(required=False),
    "a parameter with a wider bound": lambda doc: op(doc)["parameters"][0]["schema"].update(maximum=10),
    "a parameter with another value": lambda doc: op(doc)["parameters"][1]["schema"]["enum"].append("c"),
    "a new optional field": lambda doc: schema(doc, "Wanted")["properties"].update(more={"type": "string"}),
    "a field that may be left out": lambda doc: relax(doc, "Wanted", "name"),
    "a field that takes null": lambda doc: wanted(doc, "size").update(type=["integer", "null"]),
    "a field that takes any number": lambda doc: wanted(doc, "size").update(type="number"),
    "a field that takes another value": lambda doc: wanted(doc, "mode")["anyOf"][0]["enum"].append("new"),
    "a choice that becomes a text": lambda doc: wanted(doc, "mode").update(anyOf=[{"type": ["string", "null"]}]),
    "a field that takes anything": lambda doc: schema(doc, "Wanted")["properties"].update(size={"default": 1}),
    "a smaller least": lambda doc: wanted(doc, "name").update(minLength=0),
    "no bound": lambda doc: wanted(doc, "name").pop("maxLength"),
    "no pattern": lambda doc: wanted(doc, "name").pop("pattern"),
    "no format": lambda doc: wanted(doc, "when").pop("format"),
    "a default where there was none": lambda doc: wanted(doc, "name").update(default="a"),
    "an object that is open": lambda doc: schema(doc, "Wanted").pop("additionalProperties"),
    "a new kind of item": lambda doc: wanted(doc, "parts")["items"]["anyOf"].append({"type": "null"}),
    "another format of a body": lambda doc: op(doc)["requestBody"]["content"].update({"text/yaml": {}}),
    "a body where there was none": lambda doc: doc["paths"]["/v1/things/{id}"]["delete"].update(
        requestBody={"content": {"application/json": {}}}
    ),
    "a new code of a new status": lambda doc: add_code(doc, "409", "CONFLICT"),
    "a new code of an old status": lambda doc: op(doc)["responses"]["404"]["content"]["application/json"][
        "examples"
    ].update(GONE={}),
    "a new header": lambda doc: op(doc)["responses"]["201"]["headers"].update(Location={"schema": {"type": "string"}}),
    "another format of an answer": lambda doc: op(doc)["responses"]["201"]["content"].update({"text/csv": {}}),
    "a new field in an answer": lambda doc: schema(doc, "Thing")["properties"].update(more={"type": "null"}),
    "a field that is always answered": lambda doc: require(doc, "Thing", "note"),
    "an answer that is never null": lambda doc: thing(doc, "note").update(anyOf=[{"type": "string"}]),
    "an answer that is one of a few": lambda doc: thing(doc, "note").update(anyOf=[{"enum": ["a", None]}]),
    "an answer of fewer values": lambda doc: thing(doc, "state")["enum"].remove("old"),
    "an answer in whole numbers": lambda doc: thing(doc, "price").update(type="integer"),
    "a new value of an open choice": lambda doc: thing(doc, "health")["enum"].append("gone"),
    "any value of an open choice": lambda doc: schema(doc, "Thing")["properties"].update(health={"type": "string"}),
    "a bound of an answer": lambda doc: thing(doc, "count").update(minimum=0),
    "a choice written as its values": lambda doc: thing(doc, "state").update(
        {"anyOf": [{"const": value} for value in thing(doc, "state").pop("enum")]}
    ),
    "one thing of all": lambda doc: schema(doc, "Thing")["properties"].update(id={"allOf": [{"type": "string"}]}),
    "another name of a schema": lambda doc: rename(doc, "Wanted", "NewThing"),
    "other words": lambda doc: (
        op(doc).update(summary="Other", description="Other.", tags=["Other"]),
        thing(doc, "id").update(description="Other.", title="Other", examples=["x"]),
        doc["info"].update(version="2"),
    ),
    "no permission": lambda doc: op(doc).pop("x-scaigrid-permission"),
}


def changed(change: Change) -> Node:
    new = document()
    change(new)
    return new


@pytest.mark.parametrize("name", BREAKING)
def test_a_change_that_breaks_is_found_where_it_is(name: str) -> None:
    change, where, what = BREAKING[name]
    new = changed(change)
    assert new != document(), "the change changes something"
    found = breaks(document(), new)
    assert any(one.where == where and one.what.startswith(what) for one in found), [str(one) for one in found]


@pytest.mark.parametrize("name", GROWING)
def test_what_only_grows_breaks_nothing(name: str) -> None:
    assert [str(one) for one in breaks(document(), changed(GROWING[name]))] == []


def test_a_break_is_told_once_and_reads_as_a_sentence() -> None:
    found = breaks(document(), changed(lambda doc: wanted(doc, "size").update(minimum=1)))
    assert [str(one) for one in found] == ["POST /v1/things body.size: minimum was 0, is 1"]
    assert found == [Break("POST /v1/things body.size", "minimum was 0, is 1")]


def test_documents_are_left_as_they_were() -> None:
    old, new = document(), changed(lambda doc: doc["paths"].pop("/v1/things"))
    before = copy.deepcopy((old, new))
    breaks(old, new)
    assert (old, new) == before


def test_two_schemas_that_contradict_each_other_are_not_guessed_at() -> None:
    both = {"allOf": [{"type": "string", "maxLength": 5}, {"type": "string", "maxLength": 6}]}
    with pytest.raises(TypeError, match="not the same"):
        breaks(document(), changed(lambda doc: schema(doc, "Thing")["properties"].update(id=both)))


def test_every_parameter_of_the_real_document_may_not_go() -> None:
    """The small document above is not all there is: each kind of part of ours is looked at too."""
    real: Node = published()
    tried = 0
    for path, item in real["paths"].items():
        # One path at a time: comparing all of them for each parameter takes a minute.
        old = {**real, "paths": {path: item}}
        for method, operation in item.items():
            for number in range(len(operation.get("parameters", []))):
                new = {**real, "paths": {path: copy.deepcopy(item)}}
                del new["paths"][path][method]["parameters"][number]
                assert breaks(old, new) != [], (path, method, number)
                tried += 1
    assert tried > 5


def test_no_field_of_the_real_document_may_go() -> None:
    """Some of them, from every part of it: each takes a comparison of the whole."""
    real: Node = published()
    schemas: Node = real["components"]["schemas"]
    fields = [(name, field) for name, component in schemas.items() for field in component.get("properties", {})]
    survived: list[str] = []
    for name, field in fields[:: max(1, len(fields) // 80)]:
        properties = {key: value for key, value in schemas[name]["properties"].items() if key != field}
        required = [key for key in schemas[name].get("required", []) if key != field]
        changed = {**schemas, name: {**schemas[name], "properties": properties, "required": required}}
        if not breaks(real, {**real, "components": {**real["components"], "schemas": changed}}):
            survived.append(f"{name}.{field}")
    assert survived == []
