"""Recorded calls for embeddings of models in Bedrock, in the native dialect, and what their answers say."""

from typing import Any, Final

from tests.conformance.told import Tokens, Told
from tests.conformance.wire import is_list, is_object

PROVIDER: Final = "bedrock"
_NOVA_PURPOSES: Final = {"GENERIC_RETRIEVAL": "search_query", "GENERIC_INDEX": "search_document"}


def to_native(request: dict[str, Any]) -> dict[str, Any]:
    """The native call, without its model; what only this provider knows goes into `provider_options`."""
    if "inputText" in request:
        asked, options = _titan(dict(request))
    elif "texts" in request:
        asked, options = _cohere(dict(request))
    else:
        asked, options = _nova(request)
    return {**asked, "provider_options": {PROVIDER: options}} if options else asked


def _titan(rest: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    asked: dict[str, Any] = {"input": [rest.pop("inputText")]}
    if "dimensions" in rest:
        asked["dimensions"] = rest.pop("dimensions")
    return asked, rest


def _cohere(rest: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    asked: dict[str, Any] = {"input": rest.pop("texts"), "purpose": rest.pop("input_type")}
    if "output_dimension" in rest:
        asked["dimensions"] = rest.pop("output_dimension")
    return asked, rest


def _nova(request: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    params: dict[str, Any] = dict(request["singleEmbeddingParams"])
    text: dict[str, Any] = dict(params.pop("text"))
    asked: dict[str, Any] = {"input": [text.pop("value")]}
    if "embeddingDimension" in params:
        asked["dimensions"] = params.pop("embeddingDimension")
    if params["embeddingPurpose"] in _NOVA_PURPOSES:
        asked["purpose"] = _NOVA_PURPOSES[params.pop("embeddingPurpose")]
    if text.get("truncationMode") == "NONE":
        del text["truncationMode"]
    if text:
        params["text"] = text
    return asked, {"singleEmbeddingParams": params} if params else {}


def told(body: dict[str, Any]) -> Told:
    """What an answer says, of whichever maker."""
    if "embedding" in body:
        tokens = Tokens(input=body["inputTextTokenCount"], output=0)
        return Told(vectors=[_numbers(body["embedding"])], tokens=tokens)
    embeddings = body["embeddings"]
    vectors: list[Any] = embeddings["float"] if is_object(embeddings) else embeddings
    return Told(vectors=[_numbers(one["embedding"] if is_object(one) else one) for one in vectors])


def _numbers(vector: object) -> list[float]:
    assert is_list(vector)
    return [float(number) for number in vector]
