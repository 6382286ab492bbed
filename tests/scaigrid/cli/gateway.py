"""A gateway that says what a test wants it to say, for commands that ask one."""

from typing import Any

from tests.harness.behaviours import answer
from tests.harness.provider import Behaviour

META = {"request_id": "req_12345678"}
KEY = "sgk_" + "k" * 40
"""Whoever asks."""


def told(data: Any, status: int = 200) -> Behaviour:
    return answer({"status": "ok", "data": data, "meta": META}, status=status)


def page(*items: Any, following: str | None = None) -> Behaviour:
    body = {"data": {"items": items}, "pagination": {"has_more": following is not None, "next_cursor": following}}
    return answer({"status": "ok", "meta": META, **body})


def refusal(code: str, message: str, status: int = 403, **details: str) -> Behaviour:
    listed = [{"field": field, "message": text} for field, text in details.items()]
    error = {"code": code, "message": message, **({"details": listed} if listed else {})}
    return answer({"status": "error", "error": error, "meta": META}, status=status)
