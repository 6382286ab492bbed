import base64
from typing import Any

import msgspec
import pytest

from scaigrid.config.routing import When
from scaigrid.config.snapshot import Backend, Principal
from scaigrid.errors import Code, GatewayError
from scaigrid.facts import LONGEST_SESSION, Facts, facts_of, sticky_of
from tests.harness.services import MODEL, Parts
from tests.scaigrid.asked import asked

TOOLS = [{"type": "function", "function": {"name": "f"}}]
PIXEL = base64.b64encode(b"x" * 3_000).decode()
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
SOUND = {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}}
FILE = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PIXEL}", "filename": "a.pdf"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}


def parts_of(own: str = "up-1", *, model: dict[str, Any] | None = None, **backend: Any) -> Parts:
    """Two backends, of which the first has a model of its provider's that is called `own`."""
    backends = {"one": {"provider": "up", "model": own, **backend}, "two": {"provider": "up", "model": "up-2"}}
    return Parts(backends=backends, models={"acme/chat": {**MODEL, **(model or {})}})


def facts(parts: Parts | None = None, at: str = "openai", **fields: Any) -> Facts:
    chosen = parts or Parts()
    return Facts(asked(chosen, at, **fields), chosen.model)


def said(*content: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": list(content)}]}


def one(parts: Parts) -> Backend:
    return parts.snapshot.backends[0]


# -- what it uses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "used"),
    [
        ({}, set[str]()),
        ({"stream": True}, {"stream"}),
        ({"tools": TOOLS}, {"tools"}),
        ({"messages": [{"role": "tool", "content": "4", "tool_call_id": "c"}]}, {"tools"}),
        (said({"type": "text", "text": "What is it?"}, IMAGE), {"images"}),
        (said(SOUND), {"audio"}),
        (said(FILE), {"files"}),
        ({"reasoning_effort": "low"}, {"reasoning"}),
        ({"reasoning_effort": "none"}, set[str]()),
        ({"response_format": SCHEMA}, {"json_schema"}),
        ({"response_format": {"type": "json_object"}}, set[str]()),
        ({"n": 2}, {"n"}),
        ({"n": 1}, set[str]()),
        ({"logprobs": True}, {"logprobs"}),
        ({"stream": True, "tools": TOOLS, "n": 3}, {"stream", "tools", "n"}),
    ],
)
def test_what_a_request_uses_is_read_from_it(fields: dict[str, Any], used: set[str]) -> None:
    assert facts(**fields).uses == used


def test_citations_are_used_where_a_document_asks_for_them() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "The sky is blue."}
    document = {"type": "document", "source": source, "citations": {"enabled": True}}
    found = facts(None, "anthropic", max_tokens=10, **said({"type": "text", "text": "Why?"}, document))
    assert found.uses == {"files", "citations"}


def test_of_what_cannot_be_read_nothing_is_left_out_for_what_it_may_use() -> None:
    def unreadable() -> Any:
        raise GatewayError(Code.VALIDATION_ERROR)

    parts = parts_of(lacks=["tools", "stream"])
    call = asked(parts, tools=TOOLS)
    call.canonical = unreadable
    found = Facts(call, parts.model)
    assert not found.uses
    assert found.unfit(one(parts)) is None
    # But whether it is streamed is known.
    call.stream = True
    assert Facts(call, parts.model).unfit(one(parts)) == "lacks stream"


def test_what_is_no_chat_uses_nothing() -> None:
    assert facts(None, "embeddings", messages=None, input="Hi").uses == set()


# -- how large it is -------------------------------------------------------------------------------------------------


def test_the_size_is_guessed_from_bytes_where_nobody_knows_the_vocabulary() -> None:
    parts = parts_of()
    found = facts(parts, messages=[{"role": "user", "content": "x" * 4_000}])
    assert found.tokens(one(parts)) == found.guess
    assert 1_000 < found.guess < 1_050


def test_what_the_model_adds_is_guessed_too() -> None:
    prompted = parts_of(model={"system_prompt": "y" * 400})
    assert facts(prompted).guess == facts(parts_of()).guess + 100


def test_the_size_is_counted_where_the_vocabulary_is_known_and_there_is_only_text() -> None:
    pytest.importorskip("bpe_openai")
    parts = parts_of("gpt-4o", model={"system_prompt": "y" * 400})
    found = facts(parts, messages=[{"role": "user", "content": "a " * 1_000}])
    assert found.tokens(one(parts)) > 1_000 > found.guess
    # 100 for the prompt, 6 around the message, 1 for its role.
    assert found.tokens(one(parts)) == pytest.approx(1_000 + 100 + 7, abs=2)
    found = facts(parts, **said({"type": "text", "text": "a " * 1_000}, IMAGE))
    assert found.tokens(one(parts)) == found.guess


@pytest.mark.parametrize("part", [IMAGE, SOUND, FILE])
def test_the_bytes_of_images_sound_and_files_are_no_tokens(part: dict[str, Any]) -> None:
    assert facts(**said({"type": "text", "text": "What is it?"}, part)).guess < 100


def test_an_image_is_as_many_tokens_as_the_model_says() -> None:
    plain, told = parts_of(), parts_of(model={"max_image_tokens": 1_500})
    assert facts(told, **said(IMAGE, IMAGE)).guess == facts(plain, **said(IMAGE, IMAGE)).guess + 3_000


def test_the_bound_of_the_answer_is_the_caller_s_cut_down_to_the_model_s() -> None:
    parts = parts_of()
    assert facts(parts).output is None
    assert facts(parts, max_tokens=10).output == 10
    assert facts(parts, max_tokens=10**6).output == 1_000
    assert (facts(parts).makes_text, facts(parts, "embeddings", messages=None, input="Hi").makes_text) == (True, False)


# -- conditions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "fields", "reason"),
    [
        (When(), {}, None),
        (When(stream=True), {"stream": True}, None),
        (When(stream=True), {}, "is for streamed requests only"),
        (When(stream=False), {"stream": True}, "is for requests that are not streamed only"),
        (When(dialects=("openai", "native")), {}, None),
        (When(dialects=("anthropic", "native")), {}, "is for requests in the dialect anthropic or native only"),
        (When(uses=("tools",)), {"tools": TOOLS, "n": 2}, None),
        (When(uses=("tools", "n", "images")), {"tools": TOOLS}, "is for requests that use images, n only"),
        (When(tags={"team": "blue"}), {"metadata": {"team": "blue", "more": "x"}}, None),
        (When(tags={"team": "blue"}), {"metadata": {"team": "red"}}, "is for requests with the tag team=blue only"),
        (When(tags={"team": "blue"}), {}, "is for requests with the tag team=blue only"),
        (When(min_input_tokens=100), {}, "is for requests of 100 input tokens and more"),
        (When(max_input_tokens=100), {}, None),
        (When(min_input_tokens=1_000), said({"type": "text", "text": "x" * 4_000}), None),
        (When(min_input_tokens=2_000), said({"type": "text", "text": "x" * 4_000}), "2000 input tokens and more"),
        (When(max_input_tokens=2_000), said({"type": "text", "text": "x" * 4_000}), None),
        (When(max_input_tokens=1_000), said({"type": "text", "text": "x" * 4_000}), "up to 1000 input tokens"),
        (When(stream=True, uses=("tools",)), {"stream": True}, "is for requests that use tools only"),
    ],
)
def test_a_condition_is_met_where_all_that_it_says_is_so(
    when: When, fields: dict[str, Any], reason: str | None
) -> None:
    parts = parts_of()
    told = facts(parts, **fields).mismatch(when, one(parts))
    assert told == reason or (told is not None and reason is not None and told.endswith(reason))


def test_the_bounds_of_a_condition_are_included() -> None:
    parts = parts_of()
    found = facts(parts, messages=[{"role": "user", "content": "x" * 4_000}])
    for bound, inside in ((found.guess, True), (found.guess + 1, False)):
        assert (found.mismatch(When(min_input_tokens=bound), one(parts)) is None) is inside
    for bound, inside in ((found.guess, True), (found.guess - 1, False)):
        assert (found.mismatch(When(max_input_tokens=bound), one(parts)) is None) is inside


# -- what a backend cannot -------------------------------------------------------------------------------------------


def test_what_a_deployment_lacks_is_named() -> None:
    parts = parts_of(lacks=["tools", "images", "n"])
    assert facts(parts, tools=TOOLS, n=2).unfit(one(parts)) == "lacks n, tools"
    assert facts(parts, logprobs=True).unfit(one(parts)) is None


def test_what_its_provider_has_no_word_for_is_named_where_the_call_has_to_be_translated() -> None:
    providers = {"up": {"type": "anthropic", "base_url": "http://provider.invalid/v1", "api_key": "pk"}}
    parts = Parts(providers=providers)
    assert facts(parts, n=2, logprobs=True).unfit(one(parts)) == "its provider has no word for logprobs, n"
    assert facts(parts, tools=TOOLS).unfit(one(parts)) is None
    dropping = Parts(providers=providers, models={"acme/chat": {**MODEL, "on_unsupported": "drop_with_header"}})
    assert facts(dropping, n=2, logprobs=True).unfit(one(dropping)) == "its provider has no word for n"
    assert facts(dropping, logprobs=True).unfit(one(dropping)) is None
    # Passed through, it is the provider's to judge.
    assert facts(Parts(), n=2, logprobs=True).unfit(one(Parts())) is None


def test_input_and_output_have_to_fit_into_the_context() -> None:
    parts = parts_of(context_window=1_100)
    long: dict[str, Any] = {"messages": [{"role": "user", "content": "x" * 4_000}]}
    size = facts(parts, **long).guess
    assert facts(parts, **long).unfit(one(parts)) is None
    assert facts(parts, **long, max_tokens=10).unfit(one(parts)) is None
    reason = f"its context of 1100 tokens is too small for {facts(parts, **long, max_tokens=500).guess} and an answer"
    assert facts(parts, **long, max_tokens=500).unfit(one(parts)) == f"{reason} of 500"
    small = parts_of(context_window=size)
    assert facts(small, **long).unfit(one(small)) is None
    smaller = parts_of(context_window=size - 1)
    assert facts(smaller, **long).unfit(one(smaller)) is not None
    assert facts(smaller).unfit(one(smaller)) is None
    assert facts(smaller, max_tokens=1_000).unfit(one(smaller)) is not None


def test_an_answer_that_the_gateway_bounds_by_itself_has_to_fit_too() -> None:
    budget = {"all": {"scope": "user", "of": "ann", "period": "daily", "cost_limit": 1}}
    parts = Parts(
        budgets=budget,
        backends={"one": {"provider": "up", "model": "m", "context_window": 900}},
        models={"acme/chat": {**MODEL, "route": {"targets": [{"backend": "one"}]}}},
    )
    assert facts(parts).output == 1_000
    assert facts(parts).unfit(one(parts)) is not None


def test_an_image_that_is_an_address_counts_as_much_as_one_that_is_sent() -> None:
    parts = parts_of(model={"max_image_tokens": 1_500}, context_window=1_400)
    found = facts(parts, **said({"type": "image_url", "image_url": {"url": "https://images.invalid/a.png"}}))
    assert found.mismatch(When(min_input_tokens=1_000), one(parts)) is None
    assert found.mismatch(When(max_input_tokens=1_000), one(parts)) is not None
    assert found.unfit(one(parts)) is not None


def test_facts_are_worked_out_for_routes_that_ask_for_them_alone() -> None:
    for parts, wanted in ((parts_of(), False), (parts_of(lacks=["tools"]), True), (parts_of(context_window=9), True)):
        assert (facts_of(asked(parts), parts.model) is not None) is wanted


def test_a_small_request_is_neither_read_nor_counted_for_its_size() -> None:
    def unread() -> Any:
        raise AssertionError("it was read")

    parts = parts_of(context_window=2_000)
    call = asked(parts)
    call.canonical = unread
    found = Facts(call, parts.model)
    assert found.unfit(one(parts)) is None
    assert found.mismatch(When(max_input_tokens=500), one(parts)) is None
    assert found.mismatch(When(min_input_tokens=500), one(parts)) is not None


# -- who it stays with -----------------------------------------------------------------------------------------------


def stuck(by: str, *, principal: Principal | None = None, session: bytes | None = None) -> str | None:
    parts = parts_of(model={"route": {"targets": [{"backend": "one"}], "strategy": "sticky", "sticky_by": by}})
    return sticky_of(parts.model.route, principal or parts.principal, session)


def test_callers_stick_by_what_the_route_says() -> None:
    who = Parts().principal
    assert who.key is not None
    assert stuck("key", principal=who) == who.key.id
    assert stuck("user", principal=who) == who.user.id
    assert stuck("tenant", principal=who) == who.tenant.id


def test_who_comes_without_a_key_sticks_as_the_user() -> None:
    who = msgspec.structs.replace(Parts().principal, key=None)
    assert stuck("key", principal=who) == who.user.id


def test_a_session_is_what_the_caller_says_and_the_user_where_nothing_is_said() -> None:
    who = Parts().principal
    one_, other = stuck("session", session=b"one"), stuck("session", session=b"other")
    assert one_ is not None
    assert one_ != other
    assert one_ == stuck("session", session=b"one")
    assert "one" not in one_.partition(":")[2]
    for nothing in (None, b""):
        assert stuck("session", principal=who, session=nothing) == who.user.id
    # Another route does not look at it.
    assert stuck("user", principal=who, session=b"one") == who.user.id


def test_sessions_of_two_tenants_are_two_even_by_one_name() -> None:
    who = Parts().principal
    other = msgspec.structs.replace(who, tenant=msgspec.structs.replace(who.tenant, id="tenant_other"))
    assert stuck("session", principal=who, session=b"1") != stuck("session", principal=other, session=b"1")


def test_no_more_of_a_session_is_looked_at_than_is_bounded() -> None:
    long = b"s" * LONGEST_SESSION
    assert stuck("session", session=long + b"1") == stuck("session", session=long + b"2")
    assert len(stuck("session", session=long * 100) or "") < 100


def test_a_route_of_another_strategy_does_not_care() -> None:
    assert sticky_of(Parts().model.route, Parts().principal, b"session") is None
