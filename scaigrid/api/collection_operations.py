"""A collection -> its rows in the table of operations."""

from collections.abc import Iterator
from typing import Any

from scaigrid.api import examples
from scaigrid.api.collection import Collection
from scaigrid.api.envelope import ListEnvelope
from scaigrid.api.operation import Level, Method, Operation
from scaigrid.api.requirement import Requirement
from scaigrid.control.kinds import KINDS
from scaigrid.dialects.native_shapes import Envelope
from scaigrid.errors import Code

_CHANGING = frozenset({"make", "replace", "amend"})
_WRITES = (Code.NOT_FOUND, Code.CONFLICT, Code.SLUG_CONFLICT, Code.STORE_UNAVAILABLE)


def operations(collection: Collection[Any, Any]) -> tuple[Operation, ...]:
    """The rows of the routes that `crud.py` makes."""
    return tuple(_Rows(collection).all())


# The type of an item is a value here, which checkers do not let generics take.
_ONE: Any = Envelope
_LIST: Any = ListEnvelope


class _Rows:
    def __init__(self, collection: Collection[Any, Any]) -> None:
        self._of = collection
        self._kind = KINDS[collection.kind]
        self._title = self._kind.title
        self._article = "an" if self._title[0] in "aeiouA" else "a"

    def all(self) -> Iterator[Operation]:
        of = self._of
        item = examples.enveloped(of.example_item)
        made: dict[str, tuple[Method, Requirement]] = {
            "list": ("get", of.reading),
            "make": ("post", of.making),
            "get": ("get", of.reading),
            "replace": ("put", of.changing),
            "amend": ("patch", of.changing),
            "remove": ("delete", of.removing),
        }
        for name, (method, requirement) in made.items():
            if name not in of.methods:
                continue
            one = name not in ("list", "make")
            row: dict[str, Any] = {
                "method": method,
                "path": f"{of.path}/{{id}}" if one else of.path,
                "permission": requirement.wanted.removeprefix("the permission ") if requirement.permissions else None,
                "level": _level(requirement),
                "tenant_header": of.tenant_header,
                "conditional": one,
                "parameters": {"id": f"The id of the {self._title}."} if one else {},
            }
            row |= self._words(name)
            row["codes"] = tuple(dict.fromkeys((*row["codes"], *(of.codes if name in _CHANGING else ()))))
            if name == "list":
                row |= {
                    "query": of.query,
                    "answer": _LIST[of.item],
                    "example": examples.listed(of.example_item),
                }
            elif name != "remove":
                row |= {"answer": _ONE[of.item], "example": item}
            if name in ("make", "replace"):
                row |= {"body": of.given, "body_example": of.example_given}
            if name == "amend":
                row |= {"body": of.given, "partial": True, "body_example": _some(of.example_given)}
            yield Operation(**row)

    def _words(self, name: str) -> dict[str, Any]:
        of, article, title, missing = self._of, self._article, self._title, self._kind.missing
        reads = (Code.STORE_UNAVAILABLE, Code.NOT_FOUND)
        match name:
            case "list":
                return {
                    "name": f"list{of.plural}",
                    "summary": f"List {title}s",
                    "description": of.about,
                    "codes": reads,
                }
            case "make":
                return {
                    "name": f"create{of.singular}",
                    "summary": f"Make {article} {title}",
                    "status": 201,
                    "codes": _WRITES,
                }
            case "get":
                return {
                    "name": f"get{of.singular}",
                    "summary": f"One {title}",
                    "codes": (*reads, missing, Code.VALIDATION_ERROR),
                }
            case "replace":
                return {
                    "name": f"replace{of.singular}",
                    "summary": f"Replace {article} {title}",
                    "description": "What is left out gets its default; credentials that are left out are kept.",
                    "codes": (*_WRITES, missing, Code.MANAGED_BY_CONFIG),
                }
            case "amend":
                return {
                    "name": f"update{of.singular}",
                    "summary": f"Change {article} {title}",
                    "description": "A JSON Merge Patch (RFC 7396) of what PUT takes, but that null sets a field to "
                    "null where it is no mapping.",
                    "codes": (*_WRITES, missing, Code.MANAGED_BY_CONFIG),
                }
            case _:
                return {
                    "name": f"delete{of.singular}",
                    "summary": f"Delete {article} {title}",
                    "description": "What is in use is not deleted: the answer names its users.",
                    "status": 204,
                    "codes": (*_WRITES, missing, Code.MANAGED_BY_CONFIG, Code.VALIDATION_ERROR, *_in_use(of.kind)),
                }


def _in_use(kind: str) -> tuple[Code, ...]:
    return {"provider": (Code.PROVIDER_HAS_BACKENDS,), "model": (Code.MODEL_HAS_BACKENDS,)}.get(kind, ())


def _level(requirement: Requirement) -> Level | None:
    return requirement.reach if requirement.permissions else None


def _some(given: Any) -> dict[str, Any]:
    """A patch: one field of an example."""
    import msgspec

    whole: dict[str, Any] = msgspec.to_builtins(given, str_keys=True, enc_hook=str)
    name = "display_name" if "display_name" in whole else next(iter(whole))
    return {name: whole[name]}
