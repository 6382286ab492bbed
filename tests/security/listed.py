"""What a list of the control plane has."""

from typing import Any, cast


def items_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The items of a list of ours; of anything else none."""
    data = body.get("data")
    return cast("dict[str, Any]", data).get("items", []) if isinstance(data, dict) else []
