"""What commands are about: a configuration in a file, with a database of either kind, or a gateway that answers."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scaigrid.__main__ import main
from scaigrid.control import documents as docs
from scaigrid.control.vault import Vault
from scaigrid.secrets import Secret
from tests.harness.deployment import deployment, made
from tests.harness.provider import Endpoint, Provider
from tests.scaigrid.cli.gateway import KEY as CALLER

KEY = "k" * 32


class Scene:
    """A file that can be written again and again, and commands about it."""

    def __init__(self, path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self.url = url
        self.data = path.parent / "data"
        self.out = ""
        self.err = ""
        self._capsys = capsys

    def write(self, **sections: Any) -> None:
        settings = {
            "server": {"data_dir": str(self.data)},
            "database": {"url": self.url, "encryption_key": KEY},
        }
        self.path.write_text(json.dumps({**settings, **sections}))

    def run(self, command: str, *arguments: str) -> int:
        """The exit code; what was written is in `out` and `err`."""
        self._capsys.readouterr()
        code = main([command, str(self.path), *arguments])
        self.out, self.err = self._capsys.readouterr()
        return code

    def apply(self, **sections: Any) -> None:
        self.write(**sections)
        assert self.run("apply", "--actor", "ann") == 0, self.err

    def by_the_api(self, document: docs.Document, kind: str) -> str:
        """The id of a resource that the API has made."""
        resource = made(document, kind)

        async def run() -> None:
            async with deployment(self.url, Vault([Secret(KEY)])) as plane:
                await plane.put(resource)

        asyncio.run(run())
        return resource.id

    @property
    def told(self) -> Any:
        """Standard output, which is one JSON object and nothing else."""
        return json.loads(self.out)


@pytest.fixture
def scene(tmp_path: Path, empty_database_url: str, capsys: pytest.CaptureFixture[str]) -> Scene:
    made = Scene(tmp_path / "c.yaml", empty_database_url, capsys)
    made.write()
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    """Where commands find the gateways of `gateway`."""
    with Provider() as running:
        yield running


@pytest.fixture
def gateway(server: Provider, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """A gateway that the environment names, with a key."""
    endpoint = server.at(f"/{request.node.originalname}")
    monkeypatch.setenv("SCAIGRID_URL", endpoint.url)
    monkeypatch.setenv("SCAIGRID_API_KEY", CALLER)
    return endpoint
