"""What a client that was written for one OpenAPI document trips over with the next one.

`/v1` only grows: optional fields, new endpoints, new codes. So this is judged from both ends of a call. What could be
asked before has to be taken now: requests may be taken more liberally, never less. What is answered now has to be
understood by those who know the document of before: answers may have more fields, and nothing in a field that could
not be there before: no other type, no null, no other value of an enumeration, unless the enumeration was marked as
open (`x-scaigrid-open`) when it was published. Names and descriptions of schemas are nobody's business but a reader's.

A schema whose keywords are not known here is only taken as unchanged; any difference in them counts as a break.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from tests.harness.json_schema import fits

Node = dict[str, Any]

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
OPEN: Final = "x-scaigrid-open"

_ANNOTATIONS: Final = frozenset(
    {"title", "description", "default", "example", "examples", "discriminator", "deprecated", "$comment"}
)
_LEAST: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_MOST: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SAME: Final = ("pattern", "format", "multipleOf", "uniqueItems", "contentMediaType", "contentEncoding")
_JUDGED: Final = frozenset(
    {"type", "const", "properties", "required", "additionalProperties", "propertyNames", "items", "contentSchema", OPEN}
    | {*_LEAST, *_MOST, *_SAME}
)


class Break(msgspec.Struct, frozen=True, order=True):
    """One incompatible change: where, and in what it consists."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def breaks(old: Node, new: Node) -> list[Break]:
    """Every incompatible change, each once."""
    found = [*_documents(old, new), *_Operations(old, new).compared()]
    return sorted(set(found))


def _documents(old: Node, new: Node) -> Iterator[Break]:
    if old.get("servers") != new.get("servers"):
        yield Break("servers", "changed")
    for name, scheme in old.get("components", {}).get("securitySchemes", {}).items():
        now = new.get("components", {}).get("securitySchemes", {}).get(name)
        if now is None or _bare(now) != _bare(scheme):
            yield Break(f"security scheme {name}", "gone or changed")
    after = _codes(new)
    for code, statuses in _codes(old).items():
        if code not in after:
            yield Break(f"code {code}", "gone")
        elif after[code] != statuses:
            yield Break(f"code {code}", f"its status was {sorted(statuses)}, is {sorted(after[code])}")


def _codes(document: Node) -> dict[str, frozenset[str]]:
    """The statuses of each error code: the names of the examples of answers that are refusals."""
    found: dict[str, set[str]] = {}
    for _, operation in _operations(document):
        for status, answer in operation["responses"].items():
            if status >= "400":
                for content in answer.get("content", {}).values():
                    for code in content.get("examples", {}):
                        found.setdefault(code, set()).add(status)
    return {code: frozenset(statuses) for code, statuses in found.items()}


def _operations(document: Node) -> Iterator[tuple[str, Node]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


class _Operations:
    def __init__(self, old: Node, new: Node) -> None:
        self._old = old
        self._new = new
        self._asked = _Flow(old, new, answering=False)
        self._answered = _Flow(new, old, answering=True)

    def compared(self) -> Iterator[Break]:
        now = dict(_operations(self._new))
        for where, operation in _operations(self._old):
            if where in now:
                yield from self._operation(where, operation, now[where])
            else:
                yield Break(where, "gone")

    def _operation(self, where: str, old: Node, new: Node) -> Iterator[Break]:
        if old.get("operationId") != new.get("operationId"):
            yield Break(where, f"operationId was {old.get('operationId')}, is {new.get('operationId')}")
        if old.get("security", self._old.get("security")) != new.get("security", self._new.get("security")):
            yield Break(where, "needs other credentials")
        permission = new.get("x-scaigrid-permission")
        if permission is not None and permission != old.get("x-scaigrid-permission"):
            yield Break(where, f"needs the permission {permission}")
        yield from self._parameters(where, old.get("parameters", []), new.get("parameters", []))
        yield from self._body(f"{where} body", old.get("requestBody"), new.get("requestBody"))
        yield from self._answers(where, old["responses"], new["responses"])

    def _parameters(self, where: str, old: Sequence[Node], new: Sequence[Node]) -> Iterator[Break]:
        before, now = _by_name(self._old, old), _by_name(self._new, new)
        for name, parameter in before.items():
            if name not in now:
                yield Break(f"{where} {name}", "gone")
                continue
            if now[name].get("required", False) and not parameter.get("required", False):
                yield Break(f"{where} {name}", "has to be given now")
            yield from self._asked.misfits(parameter["schema"], now[name]["schema"], f"{where} {name}")
        for name, parameter in now.items():
            if name not in before and parameter.get("required", False):
                yield Break(f"{where} {name}", "is new and has to be given")

    def _body(self, where: str, old: Node | None, new: Node | None) -> Iterator[Break]:
        if old is None or new is None:
            if new is not None and new.get("required", False):
                yield Break(where, "is new and has to be given")
            if old is not None:
                yield Break(where, "gone")
            return
        if new.get("required", False) and not old.get("required", False):
            yield Break(where, "has to be given now")
        yield from self._contents(self._asked, where, old["content"], new["content"])

    def _answers(self, where: str, old: Node, new: Node) -> Iterator[Break]:
        for status, answer in old.items():
            if status not in new:
                yield Break(f"{where} {status}", "gone")
                continue
            yield from self._headers(f"{where} {status}", answer.get("headers", {}), new[status].get("headers", {}))
            before, now = answer.get("content", {}), new[status].get("content", {})
            if bool(before) is not bool(now):
                yield Break(f"{where} {status}", "has content now" if now else "has no content now")
            else:
                yield from self._contents(self._answered, f"{where} {status}", before, now)
        for status in new:
            if status not in old and status < "400":
                yield Break(f"{where} {status}", "is a new way to succeed")

    def _headers(self, where: str, old: Node, new: Node) -> Iterator[Break]:
        for name, header in old.items():
            if name not in new:
                yield Break(f"{where} header {name}", "gone")
                continue
            before, now = _resolved(self._old, header), _resolved(self._new, new[name])
            if before.get("required", False) and not now.get("required", False):
                yield Break(f"{where} header {name}", "may be left out now")
            yield from self._answered.misfits(now["schema"], before["schema"], f"{where} header {name}")

    def _contents(self, flow: "_Flow", where: str, old: Node, new: Node) -> Iterator[Break]:
        for media_type, content in old.items():
            if media_type not in new:
                yield Break(f"{where} {media_type}", "gone")
                continue
            before, now = content.get("schema", {}), new[media_type].get("schema", {})
            pair = (now, before) if flow.answering else (before, now)
            yield from flow.misfits(*pair, where)


class _Flow:
    """One direction: values that fit `produced`'s schemas reach somebody who expects `consumed`'s."""

    def __init__(self, produced: Node, consumed: Node, *, answering: bool) -> None:
        self.answering = answering
        self._produced = produced
        self._consumed = consumed
        self._settled: set[tuple[bytes, bytes]] = set()
        """Pairs that fit, and those that are being compared: what contains itself fits if the rest of it does."""

    def misfits(self, produced: Any, consumed: Any, where: str) -> list[Break]:
        """What may be produced and is not expected."""
        key = (msgspec.json.encode(produced), msgspec.json.encode(consumed))
        if key in self._settled:
            return []
        self._settled.add(key)
        found = list(self._compared(produced, consumed, where))
        if found:
            # Told again wherever else the pair is met
            self._settled.remove(key)
        return found

    def _compared(self, produced: Any, consumed: Any, where: str) -> Iterator[Break]:
        expected = _alternatives(self._consumed, consumed)
        yield from self._defaults(produced, consumed, where)
        for alternative in _alternatives(self._produced, produced):
            tried = [list(self._misfits_of_one(alternative, each, where)) for each in expected]
            if not tried:
                yield Break(where, "nothing is taken here")
            elif all(tried):
                # Of several that do not fit the one that was meant: it is of the same type and has the least against it
                yield from min(tried, key=lambda found: (any(one.where == where for one in found), len(found)))

    def _defaults(self, produced: Any, consumed: Any, where: str) -> Iterator[Break]:
        """Who leaves something out means what it stood for when the call was written."""
        if not self.answering and isinstance(produced, dict) and isinstance(consumed, dict):
            before = cast("Node", produced).get("default", msgspec.UNSET)
            now = cast("Node", consumed).get("default", msgspec.UNSET)
            if before is not msgspec.UNSET and before != now:
                yield Break(where, f"its default was {before!r}, is {'gone' if now is msgspec.UNSET else repr(now)}")

    def _misfits_of_one(self, produced: Node, consumed: Node, where: str) -> Iterator[Break]:
        if self.answering and consumed.get(OPEN) and _a_text(produced):
            return
        if "const" in produced:
            if not self._expects(consumed, produced["const"]):
                yield Break(where, f"{produced['const']!r} is {'new' if self.answering else 'no longer taken'}")
            return
        if "const" in consumed or not _type_fits(produced.get("type"), consumed.get("type")):
            yield Break(where, f"{_word(produced)} is {'new' if self.answering else 'no longer taken'}")
            return
        yield from self._limits(produced, consumed, where)
        yield from self._objects(produced, consumed, where)
        for keyword, step in (("items", "[]"), ("propertyNames", " key"), ("contentSchema", " content")):
            if keyword in produced or keyword in consumed:
                yield from self.misfits(produced.get(keyword, {}), consumed.get(keyword, {}), where + step)

    def _expects(self, consumed: Node, value: Any) -> bool:
        if "const" in consumed:
            return bool(consumed["const"] == value)
        return fits(value, {**consumed, "components": self._consumed.get("components", {})})

    def _limits(self, produced: Node, consumed: Node, where: str) -> Iterator[Break]:
        for keywords, sign in ((_LEAST, 1), (_MOST, -1)):
            for keyword in keywords:
                bound = consumed.get(keyword)
                if bound is not None and (keyword not in produced or sign * produced[keyword] < sign * bound):
                    yield self._changed(keyword, produced, consumed, where)
        for keyword in _SAME:
            if keyword in consumed and consumed[keyword] != produced.get(keyword):
                yield self._changed(keyword, produced, consumed, where)
        for keyword in sorted((produced.keys() | consumed.keys()) - _JUDGED):
            if produced.get(keyword) != consumed.get(keyword):
                yield self._changed(keyword, produced, consumed, where)

    def _changed(self, keyword: str, produced: Node, consumed: Node, where: str) -> Break:
        before, now = (consumed, produced) if self.answering else (produced, consumed)
        return Break(where, f"{keyword} was {before.get(keyword)!r}, is {now.get(keyword)!r}")

    def _objects(self, produced: Node, consumed: Node, where: str) -> Iterator[Break]:
        given: Node = produced.get("properties", {})
        wanted: Node = consumed.get("properties", {})
        before, now = (wanted, given) if self.answering else (given, wanted)
        for name in before.keys() - now.keys():
            yield Break(f"{where}.{name}", "gone" if self.answering else "no longer taken")
        for name in set(consumed.get("required", [])) - set(produced.get("required", [])):
            if name in now:
                yield Break(f"{where}.{name}", "may be left out now" if self.answering else "has to be given now")
        for name in given.keys() & wanted.keys():
            yield from self.misfits(given[name], wanted[name], f"{where}.{name}")
        others, expected = produced.get("additionalProperties", True), consumed.get("additionalProperties", True)
        if others is False or (self.answering and expected is False):
            return
        if expected is False:
            yield Break(where, "fields that are not listed are no longer taken")
        else:
            yield from self.misfits(
                {} if others is True else others, {} if expected is True else expected, where + "{}"
            )


def _alternatives(document: Node, schema: Any) -> list[Node]:
    """What a schema allows, one by one: references followed, and a choice for each type and each listed value."""
    if isinstance(schema, bool):
        return [{}] if schema else []
    found = [_without_annotations(_resolved(document, schema))]
    for keyword in ("anyOf", "oneOf"):
        found = [one for each in found for one in _chosen(document, each, keyword)]
    found = [one for each in found for one in _united(document, each)]
    found = [{**each, **kind} for each in found for kind in _types(each)]
    return [{**_without(each, "enum"), **value} for each in found for value in _values(each)]


def _chosen(document: Node, schema: Node, keyword: str) -> list[Node]:
    """The schema with each of the choices that it leaves."""
    if keyword not in schema:
        return [schema]
    rest = _without(schema, keyword)
    return [_joined(rest, one) for choice in schema[keyword] for one in _alternatives(document, choice)]


def _united(document: Node, schema: Node) -> list[Node]:
    """The schema with all that it demands at once."""
    found = [_without(schema, "allOf")]
    for part in schema.get("allOf", []):
        found = [_joined(each, one) for each in found for one in _alternatives(document, part)]
    return found


def _types(schema: Node) -> list[Node]:
    kind = schema.get("type")
    return [{"type": one} for one in cast("list[str]", kind)] if isinstance(kind, list) else [{}]


def _values(schema: Node) -> list[Node]:
    return [{"const": value} for value in schema["enum"]] if "enum" in schema else [{}]


def _joined(one: Node, other: Node) -> Node:
    """Both at once. Raises TypeError where they say something different of the same."""
    both = {**one, **other}
    if any(both[keyword] != value for keyword, value in one.items()):
        raise TypeError(f"two schemas at once that are not the same: {one} and {other}")
    return both


def _without(schema: Node, keyword: str) -> Node:
    return {name: value for name, value in schema.items() if name != keyword}


def _without_annotations(schema: Node) -> Node:
    return {name: value for name, value in schema.items() if name not in _ANNOTATIONS}


def _resolved(document: Node, node: Node) -> Node:
    """A node with its reference followed; what stands beside the reference holds too."""
    while "$ref" in node:
        found: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        node = _joined(_without_annotations(_without(node, "$ref")), _without_annotations(found))
    return node


def _by_name(document: Node, parameters: Iterable[Node]) -> Mapping[str, Node]:
    resolved = [_resolved(document, parameter) for parameter in parameters]
    return {f"{parameter['in']} parameter {parameter['name']}": parameter for parameter in resolved}


def _bare(scheme: Node) -> Node:
    return _without_annotations(scheme)


def _a_text(produced: Node) -> bool:
    return isinstance(produced["const"], str) if "const" in produced else produced.get("type") == "string"


def _type_fits(produced: str | None, consumed: str | None) -> bool:
    return consumed is None or produced == consumed or (produced, consumed) == ("integer", "number")


def _word(produced: Node) -> str:
    return "anything" if produced.get("type") is None else f"{produced['type']}"
