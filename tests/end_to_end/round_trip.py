"""Takes a deployment from a file to a database and back, and prints how long each step took.

`python -m tests.end_to_end.round_trip [PARTNERS TENANTS USERS]`; left out: 3, 30 and 300. Times are those of whole
commands, their start included.
"""

import copy
import json
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from tests.harness.behaviours import answer, completion
from tests.harness.commands import Ended, scaigrid
from tests.harness.eventually import eventually
from tests.harness.gateway import Gateway
from tests.harness.lanes import CHAT_URL, chat, http_client
from tests.harness.population import key_of, population
from tests.harness.provider import Provider

T = TypeVar("T")


def timed(what: str, work: Callable[[], T], note: Callable[[T], str]) -> T:
    """Does it, and prints a line."""
    began = perf_counter()
    done = work()
    print(f"  {perf_counter() - began:6.2f} s  {what}: {note(done)}")
    return done


def counted(done: Ended) -> str:
    """The steps of a plan."""
    told = done.told
    return ", ".join(f"{len(told[name])} {name}" for name in ("create", "change", "delete", "refused"))


def same(done: Ended) -> bool:
    """Whether a plan has nothing to do."""
    return done.code == 0 and not any(done.told[name] for name in ("create", "change", "delete", "refused"))


def main(sizes: list[int]) -> int:
    """0 where the exported file plans to nothing, and a change and the way back from it were in force."""
    partners, tenants, users = sizes or [3, 30, 300]
    with Provider() as provider, tempfile.TemporaryDirectory() as folder:
        endpoint = provider.at("/population/v1").always(answer(completion()))
        config = population(partners=partners, tenants=tenants, users=users, provider=endpoint.url)
        return 0 if _walk(config, Path(folder)) else 1


def _walk(config: dict[str, Any], directory: Path) -> bool:
    gateway = Gateway({**config, "server": {"watch": False}}, directory)
    file = directory / "file.yaml"
    settings = {"data_dir": str(gateway.data), "watch": False}
    file.write_text(json.dumps({"server": settings, **config}))
    counts = {name: len(section) for name, section in config.items()}
    print(
        f"{counts['partners']} partners, {counts['tenants']} tenants, {counts['users']} users, {counts['keys']} keys:"
    )

    def run(command: str, *arguments: str | Path, of: Path = file) -> Ended:
        return scaigrid(command, of, *arguments, directory=directory)

    def answered(status: int) -> int:
        def asked() -> bool:
            with http_client(gateway, key_of(0)) as client:
                return client.post(CHAT_URL["openai"], json=chat("acme/small")).status_code == status

        eventually(asked, f"a call is answered {status}")
        return status

    timed("plan, no database yet", lambda: run("plan", "--json"), counted)
    timed("serve, until it is ready", gateway.start, lambda _: "the file is applied")
    with _ended(gateway):
        exported = directory / "exported.yaml"
        text = timed("export", lambda: run("export"), lambda done: f"{len(done.out.splitlines())} lines").out
        exported.write_text(text)
        back = timed("plan of the export", lambda: run("plan", "--json", of=exported), counted)
        changed = copy.deepcopy(config)
        changed["tenants"]["tenant-0"]["suspended"] = True
        file.write_text(json.dumps({"server": settings, **changed}))
        timed("apply, one tenant suspended", lambda: run("apply", "--json"), counted)
        timed("until a call is refused", lambda: answered(403), lambda status: f"{status}")
        undone = timed("rollback", lambda: run("rollback", "--json"), counted)
        timed("until a call is answered", lambda: answered(200), lambda status: f"{status}")
        timed("stop", gateway.stop, lambda code: f"exit code {code}")
    again = timed("serve again, nothing new", gateway.start, lambda _: "ready")
    with _ended(again):
        return same(back) and undone.code == 0 and again.stop() == 0


@contextmanager
def _ended(gateway: Gateway) -> Generator[Gateway]:
    """A gateway that does not outlive the block."""
    try:
        yield gateway
    finally:
        gateway.kill_group()


if __name__ == "__main__":
    sys.exit(main([int(size) for size in sys.argv[1:]]))
