"""What an adapter asks, the dialect of its protocol reads as what was asked."""

import json
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import ADAPTERS
from adapters.openai import OpenAIOptions
from scaigrid.adapter import NO_OPTIONS, Outgoing, Target
from scaigrid.call import Call
from scaigrid.dialects import DIALECTS
from scaigrid.errors import GatewayError
from scaigrid.types import (
    CalledTool,
    Chat,
    FilePart,
    ImagePart,
    JsonPart,
    Message,
    Part,
    ReasoningPart,
    ReasoningRequest,
    RefusalPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
)
from tests.harness.mirrored_answers import arguments

_WORDS: Final = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
_NAMES: Final = st.sampled_from(("look", "listen"))
_CACHE: Final = st.sampled_from((None, "5m", "1h"))
_SCHEMA: Final[dict[str, Any]] = {"type": "object", "properties": {"at": {"type": "string"}}, "required": []}
_SHOWN: Final[st.SearchStrategy[Part]] = st.one_of(
    st.builds(TextPart, _WORDS, _CACHE),
    st.builds(ImagePart, url=st.just("https://pictures.example/owl.png"), detail=st.sampled_from((None, "low"))),
    st.builds(ImagePart, data=st.just("iVBORw0KGgo="), media_type=st.just("image/png"), cache=_CACHE),
    st.builds(
        FilePart,
        data=st.just("JVBERi0="),
        media_type=st.just("application/pdf"),
        filename=st.none() | _WORDS,
        cache=_CACHE,
    ),
    st.builds(FilePart, file_id=st.just("file_1")),
)
_ANSWERED: Final[st.SearchStrategy[Part]] = st.one_of(
    st.builds(TextPart, _WORDS, _CACHE),
    st.builds(JsonPart, value=st.just(msgspec.Raw(b'{"owls":2}')), cache=_CACHE),
)
_TOOLS: Final = st.lists(
    st.builds(
        Tool,
        name=_NAMES,
        description=st.none() | _WORDS,
        parameters=st.just(_SCHEMA),
        strict=st.sampled_from((None, False, True)),
        cache=_CACHE,
    ),
    min_size=1,
    max_size=2,
).map(tuple)
_FIELDS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "temperature": st.sampled_from((0.0, 0.5)),
    "top_p": st.sampled_from((0.5, 1.0)),
    "top_k": st.integers(1, 99),
    "stop": st.lists(_WORDS, min_size=1, max_size=2).map(tuple),
    "seed": st.integers(-9, 9),
    "n": st.integers(2, 3),
    "parallel_tool_calls": st.booleans(),
    "tool_choice": st.sampled_from((ToolChoice(), ToolChoice(mode="none"), ToolChoice(mode="required", name="look"))),
    "response_format": st.builds(
        ResponseFormat,
        kind=st.just("json_schema"),
        name=st.just("seen"),
        schema=st.just(_SCHEMA),
        strict=st.sampled_from((None, True)),
    ),
    "reasoning": st.builds(
        ReasoningRequest, effort=st.sampled_from(("low", "high", "max")), summary=st.sampled_from((None, "auto"))
    ),
    "logprobs": st.just(True),
    "presence_penalty": st.sampled_from((0.0, 0.5)),
    "frequency_penalty": st.sampled_from((0.0, -0.5)),
    "user": _WORDS,
}
"""What is said beside the messages, by the field of a chat."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One protocol, in which calls are both written and read."""

    provider: str
    path: str
    unsaid: frozenset[str]
    """Fields for which it has no word, and that are refused by name."""
    normalised: dict[str, str]
    """What is read otherwise than it was asked, with the reason."""
    normal: Callable[[Chat], Chat]
    options: Any = NO_OPTIONS


def _texts(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """JSON as its text, and no marks of a cache."""
    plain: list[Part] = []
    for part in parts:
        match part:
            case JsonPart(value=value):
                plain.append(TextPart(bytes(value).decode()))
            case TextPart() | ImagePart() | FilePart():
                plain.append(msgspec.structs.replace(part, cache=None))
            case _:
                plain.append(part)
    return tuple(plain)


def _of_chat(chat: Chat) -> Chat:
    wish, choice = chat.reasoning, chat.tool_choice
    return msgspec.structs.replace(
        chat,
        messages=tuple([_said(message, _texts(message.content)) for message in chat.messages]),
        tools=tuple([msgspec.structs.replace(tool, cache=None) for tool in chat.tools]),
        reasoning=None if wish is None else msgspec.structs.replace(wish, summary=None),
        tool_choice=choice,
    )


def _said(message: Message, content: tuple[Part, ...], **more: Any) -> Message:
    if not content and not message.tool_calls:
        content = (TextPart(""),)
    return msgspec.structs.replace(message, **{"content": content, "reasoning": (), "tool_error": False, **more})


def _of_responses(chat: Chat) -> Chat:
    messages = [
        _said(
            message,
            _texts(message.content),
            reasoning=tuple([msgspec.structs.replace(one, id=None) for one in message.reasoning if _is(one, "openai")]),
        )
        for message in chat.messages
    ]
    return msgspec.structs.replace(
        chat,
        messages=tuple(messages),
        tools=tuple([msgspec.structs.replace(tool, cache=None, strict=bool(tool.strict)) for tool in chat.tools]),
    )


def _of_messages(chat: Chat) -> Chat:
    """The call is for a model that thinks as much as it takes."""
    wanted = chat.response_format
    choice = chat.tool_choice
    if not chat.tools and choice is not None and choice.mode != "required":
        choice = None
    one_by_one = (
        chat.parallel_tool_calls is False
        and (choice is None or choice.mode != "none")
        and (bool(chat.tools) or choice is not None)
    )
    if one_by_one and choice is None:
        choice = ToolChoice()
    return msgspec.structs.replace(
        chat,
        messages=tuple([_block(message) for message in chat.messages]),
        tools=tuple([msgspec.structs.replace(tool, strict=tool.strict or None) for tool in chat.tools]),
        tool_choice=choice,
        parallel_tool_calls=False if one_by_one else None,
        response_format=None if wanted is None else msgspec.structs.replace(wanted, name=None, strict=True),
        reasoning=None if chat.reasoning is None else msgspec.structs.replace(chat.reasoning, summary="auto"),
    )


def _block(message: Message) -> Message:
    parts: list[Part] = []
    for part in message.content:
        match part:
            case JsonPart(value=value, cache=cache):
                parts.append(TextPart(bytes(value).decode(), cache))
            case RefusalPart(refusal=text):
                parts.append(TextPart(text))
            case ImagePart():
                parts.append(msgspec.structs.replace(part, detail=None))
            case _:
                parts.append(part)
    return msgspec.structs.replace(
        message,
        content=tuple(parts),
        reasoning=tuple([one for one in message.reasoning if _is(one, "anthropic")]),
        tool_calls=tuple(
            [msgspec.structs.replace(one, arguments=_compact(one.arguments)) for one in message.tool_calls]
        ),
    )


def _is(part: ReasoningPart, provider: str) -> bool:
    return part.provider == provider


def _compact(text: str) -> str:
    return msgspec.json.encode(json.loads(text)).decode()


_HINTS: Final = {
    "cache": "a hint: prefixes are cached unasked",
    "tool_error": "the text of the result says so",
    "JsonPart": "is its text",
    "reasoning of other providers": "is theirs to read",
}
PROTOCOLS: Final[dict[str, Asked]] = {
    "openai": Asked(
        provider="openai",
        path="/oai/v1/chat/completions",
        unsaid=frozenset({"top_k"}),
        normalised={**_HINTS, "reasoning": "is not taken back", "reasoning.summary": "a hint without a word"},
        normal=_of_chat,
    ),
    "responses": Asked(
        provider="openai",
        path="/oai/v1/responses",
        options=OpenAIOptions(api="responses"),
        unsaid=frozenset({"top_k", "stop", "seed", "n", "presence_penalty", "frequency_penalty"}),
        normalised={
            **_HINTS,
            "tools[].strict": "is always said, because nothing said is yes there",
            "reasoning[].id": "names what the provider has not kept",
        },
        normal=_of_responses,
    ),
    "anthropic": Asked(
        provider="anthropic",
        path="/anthropic/v1/messages",
        unsaid=frozenset({"seed", "n", "logprobs", "presence_penalty", "frequency_penalty"}),
        normalised={
            "RefusalPart": "is a text",
            "JsonPart": "is its text",
            "detail": "a hint without a word",
            "arguments": "are an object there, without the spaces of the model",
            "reasoning of other providers": "is theirs to read",
            "reasoning.summary": "is there unless it is refused",
            "response_format.name": "has no word, and it is always strict",
            "tools[].strict": "false is what holds where nothing is said",
            "tool_choice": "nothing to choose from: no choice is said without tools",
            "parallel_tool_calls": "true is what holds where nothing is said, and false is a kind of choice",
        },
        normal=_of_messages,
    ),
}


@st.composite
def chats(draw: st.DrawFn, protocol: Asked) -> Chat:
    """A conversation in which speakers take turns, and all that the protocol can be asked beside it."""
    messages: list[Message] = []
    if draw(st.booleans()):
        messages.append(Message(role="system", content=(TextPart(draw(_WORDS), draw(_CACHE)),)))
    for turn in range(draw(st.integers(1, 2))):
        messages.append(Message(role="user", content=tuple(draw(st.lists(_SHOWN, min_size=1, max_size=3)))))
        calls = tuple(
            [
                CalledTool(f"call_{turn}_{place}", draw(_NAMES), draw(arguments()))
                for place in range(draw(st.integers(0, 2)))
            ]
        )
        thoughts = draw(
            st.lists(
                st.builds(
                    ReasoningPart,
                    text=_WORDS,
                    signature=st.just("c2VhbGVk"),
                    provider=st.sampled_from(("anthropic", "openai", "google")),
                    id=st.none() | st.just("rs_1"),
                ),
                max_size=2,
            )
        )
        kept = [msgspec.structs.replace(one, id=one.id if one.provider == "openai" else None) for one in thoughts]
        said: list[Part] = [TextPart(text) for text in draw(st.lists(_WORDS, min_size=0 if calls else 1, max_size=2))]
        said += [RefusalPart(text) for text in draw(st.lists(_WORDS, max_size=1))]
        messages.append(Message(role="assistant", content=tuple(said), reasoning=tuple(kept), tool_calls=calls))
        messages += [
            Message(
                role="tool",
                content=tuple(draw(st.lists(_ANSWERED, min_size=1, max_size=2))),
                tool_call_id=call.id,
                tool_error=draw(st.booleans()),
            )
            for call in calls
        ]
    messages.append(Message(role="user", content=(TextPart("And now?"),)))
    names = draw(st.lists(st.sampled_from(sorted(_FIELDS.keys() - protocol.unsaid)), unique=True, max_size=6))
    said_beside = {name: draw(_FIELDS[name]) for name in names}
    return Chat(
        messages=tuple(messages), max_tokens=500, tools=draw(_TOOLS) if draw(st.booleans()) else (), **said_beside
    )


@pytest.mark.parametrize("name", PROTOCOLS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_dialect_reads_what_the_adapter_of_its_protocol_asks(name: str, data: st.DataObject) -> None:
    protocol = PROTOCOLS[name]
    chat = data.draw(chats(protocol))
    read = decoded(protocol, encoded(protocol, chat))
    wanted = protocol.normal(chat)
    for field in Chat.__struct_fields__:
        assert getattr(read, field) == getattr(wanted, field), field


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_has_no_word_is_refused_by_name(name: str) -> None:
    """Not dropped: the list of what a protocol does not say is short, and each is told."""
    protocol = PROTOCOLS[name]
    chat = Chat(messages=(Message(role="user", content=(TextPart("?"),)),), max_tokens=500)
    for field in sorted(protocol.unsaid):
        asked = msgspec.structs.replace(chat, **{field: _UNSAID[field]})
        with pytest.raises(GatewayError) as refusal:
            encoded(protocol, asked)
        assert [detail.field for detail in refusal.value.details] == [field]


_UNSAID: Final[dict[str, Any]] = {
    "top_k": 5,
    "stop": ("END",),
    "seed": 7,
    "n": 2,
    "logprobs": True,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
}


def encoded(protocol: Asked, chat: Chat) -> bytes:
    """The call as the provider is asked it."""

    def canonical() -> Chat:
        return chat

    call = Call(
        dialect="native",
        operation="chat",
        surface="native/chat",
        model="m",
        body=b"{}",
        members={},
        canonical=canonical,
        n=chat.n,
    )
    target = Target(
        type=protocol.provider,
        base_url="https://x.example",
        model="m",
        headers=(),
        options=protocol.options,
    )
    return ADAPTERS[protocol.provider].encode(call, target, Outgoing(max_output=chat.max_tokens)).body


def decoded(protocol: Asked, body: bytes) -> Chat:
    """The same as a gateway reads it that stands in the provider's place."""
    dialect = next(one for one in DIALECTS if protocol.path in one.operations)
    chat = dialect.decode(protocol.path, body).canonical()
    assert isinstance(chat, Chat)
    return chat
