"""What OpenAI's Responses API keeps: calls that rest on a stored answer, and what is asked about one.

Both are only passed through: nobody else keeps anything. A stored answer that is read back says what was said when it
was made, so it is compared as it is.
"""

import re
from typing import Any, Final
from urllib.parse import urlsplit

from tests.conformance import cases, refusals
from tests.conformance.cases import NotRun
from tests.conformance.protocol import Protocol
from tests.conformance.protocols import openai_responses, openai_responses_told
from tests.conformance.streaming import streamed
from tests.conformance.told import Told
from tests.conformance.wire import decoded, frames, inner
from tests.harness.recordings import Recorded

_RESTS_ON: Final = "previous_response_id"
_SURFACES: Final = {
    ("GET", None): "openai/responses/retrieve",
    ("DELETE", None): "openai/responses/delete",
    ("POST", "cancel"): "openai/responses/cancel",
    ("GET", "input_items"): "openai/responses/input_items",
}
"""By the method, and what follows the name."""
_ABOUT: Final = re.compile(r"/responses/(resp_[^/]+)(?:/([^/]+))?$")
_NAMELESS: Final = "a-model"
"""The model of an answer that does not name one."""


def asks(one: Recorded) -> bool:
    """Whether a call is answered later, or rests on an earlier answer."""
    return cases.asks(one, openai_responses.PATH) and openai_responses.is_kept(one)


def _about(one: Recorded) -> tuple[str, str] | None:
    """The provider's name of a stored answer, and the surface at which something is asked about it."""
    found = _ABOUT.search(urlsplit(one.uri).path)
    surface = None if found is None else _SURFACES.get((one.method.upper(), found[2]))
    return None if found is None or surface is None else (found[1], surface)


def _named(one: Recorded) -> tuple[str, str]:
    about = _about(one)
    assert about is not None
    return about


def to_native(one: Recorded) -> dict[str, Any]:
    raise NotRun("what a provider keeps is known to nobody else")


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """The body as it is: nothing is overlooked of what is passed through."""
    return body


def _answered(one: Recorded) -> Told:
    """What a call is billed by. One that is still under way has said nothing, and has not failed."""
    if one.status != 200 or streamed(one):
        return openai_responses_told.told(one)
    answer = decoded(one.response_body)
    if answer["status"] in ("completed", "incomplete", "failed"):
        return openai_responses_told.told(one)
    return Told(tokens=openai_responses_told.tokens(answer.get("usage")))


def _told(one: Recorded) -> Told:
    """Nothing of its own, but for a refusal."""
    return Told() if one.status == 200 else Told(failed=refusals.codes(one.status, one.response_body.decode()))


def _model(one: Recorded) -> str:
    """As the stored answer names it."""
    said = frames(one.response_body)[0].json if streamed(one) else decoded(one.response_body)
    named: str = inner(said, "response").get("model") or said.get("model") or _NAMELESS
    return named


def _path(one: Recorded) -> str:
    path = urlsplit(one.uri).path
    return path[path.index("/responses/") :]


CALLS: Final = Protocol(
    name="openai responses that rest on another",
    operation=lambda one: "kept" if asks(one) else None,
    provider=openai_responses.provider,
    model=openai_responses.model,
    streams=openai_responses.streams,
    to_native=to_native,
    normal=normal,
    told=_answered,
    upstream=openai_responses.upstream,
    surface=openai_responses.surface,
    options={"api": "responses"},
    rests_on=lambda one: one.request_json.get(_RESTS_ON),
)
ANSWERS: Final = Protocol(
    name="openai stored responses",
    operation=lambda one: None if _about(one) is None else "resource",
    provider=openai_responses.provider,
    model=_model,
    streams=streamed,
    to_native=to_native,
    normal=normal,
    told=_told,
    upstream=_path,
    surface=lambda one: _named(one)[1],
    options={"api": "responses"},
    rests_on=lambda one: _named(one)[0],
)
