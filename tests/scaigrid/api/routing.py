"""What the tests of routing start from: a provider, a backend, a model and a route, each made over the API."""

from typing import Any

from tests.scaigrid.api.control_plane import Answer, ControlPlane


async def made(plane: ControlPlane, path: str, body: dict[str, Any], who: str = "super") -> dict[str, Any]:
    """What a POST has made; it has to succeed."""
    answer = await plane.ask("POST", path, body, who=who)
    assert answer.status == 201, answer.json
    data: dict[str, Any] = answer.json["data"]
    return data


async def provider(plane: ControlPlane, name: str = "acme", **more: Any) -> dict[str, Any]:
    return await made(plane, "/v1/providers", {"name": name, "type": "simulator", **more})


async def backend(plane: ControlPlane, name: str = "acme", **more: Any) -> dict[str, Any]:
    """A backend, of a provider of its own where none is given."""
    if "provider_id" not in more:
        more["provider_id"] = (await provider(plane, f"of-{name}"))["id"]
    return await made(plane, "/v1/backends", {"name": name, "model": "m", **more})


async def model(plane: ControlPlane, slug: str = "acme/chat", who: str = "super", **more: Any) -> dict[str, Any]:
    """A model, free of charge where nothing else is said."""
    if "prices" not in more:
        more.setdefault("unpriced", "free")
    return await made(plane, "/v1/models", {"slug": slug, "max_output_tokens": 100, **more}, who)


async def route(
    plane: ControlPlane, slug: str, *backends: dict[str, Any], who: str = "super", **more: Any
) -> dict[str, Any]:
    targets = [{"backend_id": one["id"]} for one in backends]
    return await made(plane, "/v1/routes", {"model": slug, "targets": targets, **more}, who)


def id_of(plane: ControlPlane, kind: str, name: str) -> str:
    """The id of something that the file declares."""
    found = next(one for one in plane.control.state.all(kind).values() if one.name == name)
    return found.id


async def slugs(plane: ControlPlane, who: str, path: str = "/v1/models", **headers: str) -> list[str]:
    """Of the models that somebody is told of."""
    answer = await plane.get(path, who, headers=headers)
    assert answer.status == 200, answer.json
    return [item["slug"] for item in answer.json["data"]["items"]]


def told(answer: Answer) -> tuple[int, str]:
    """The status and the code of a refusal."""
    return answer.status, answer.code
