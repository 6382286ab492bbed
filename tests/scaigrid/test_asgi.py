import pytest

from scaigrid.asgi import Message, header, respond

SCOPE = {"headers": [(b"host", b"here"), (b"x-twice", b"first"), (b"x-twice", b"second"), (b"x-empty", b"")]}


@pytest.mark.parametrize(
    ("name", "value"), [(b"host", b"here"), (b"x-twice", b"first"), (b"x-empty", b""), (b"x-absent", None)]
)
def test_a_header_is_its_first_value_or_none(name: bytes, value: bytes | None) -> None:
    assert header(SCOPE, name) == value


async def test_an_answer_is_sent_whole_with_its_length() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await respond(send, 418, [(b"x-a", b"b")], b"teapot")
    assert sent == [
        {"type": "http.response.start", "status": 418, "headers": [(b"x-a", b"b"), (b"content-length", b"6")]},
        {"type": "http.response.body", "body": b"teapot", "more_body": False},
    ]


async def test_the_caller_s_headers_stay_as_they_were() -> None:
    async def send(message: Message) -> None: ...

    headers = [(b"x-a", b"b")]
    await respond(send, 200, headers, b"")
    assert headers == [(b"x-a", b"b")]
