"""A caller's token is looked up by its hash and is put into nothing (resilience, section 4): keys, SQL, secrets, locks.

Whatever is sent in place of a key, one digest of constant length is looked up in memory; no query has a part of it.
"""

import ast
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import pytest

from middlewares.tenancy import Tenancy, TenancyConfig
from scaigrid.config.snapshot import Principal
from scaigrid.errors import Code, GatewayError
from tests.harness.asgi import Request
from tests.harness.checkout import ROOT, files
from tests.harness.services import KEY, Parts

INJECTIONS: Final = (
    "' OR '1'='1",
    "'; DROP TABLE usage; --",
    '" OR ""="',
    "%' UNION SELECT * FROM secrets --",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}}",
    "../../etc/passwd",
    "\x00",
    "*",
    "$(id)",
)


class Counted(dict[bytes, Principal]):
    """The keys of a snapshot, which note what they are asked for."""

    def __init__(self, given: Mapping[bytes, Principal]) -> None:
        super().__init__(given)
        self.asked: list[bytes] = []

    def get(self, key: bytes, default: Any = None) -> Any:
        self.asked.append(key)
        return super().get(key, default)


def lookups(parts: Parts) -> Counted:
    snapshot = parts.services.current.snapshot
    counted = Counted(snapshot.keys)
    parts.services.current.snapshot = msgspec.structs.replace(snapshot, keys=counted)
    return counted


async def refused(parts: Parts, token: bytes) -> GatewayError:
    async def never(*_: object) -> None:
        raise AssertionError("nobody comes in")

    request = Request("/v1/me", "GET")
    request.scope["headers"] = [(b"authorization", b"Bearer " + token)]
    with pytest.raises(GatewayError) as caught:
        await request.through(Tenancy(never, TenancyConfig(), parts.services))
    return caught.value


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 100, 1_000, 8_000])
async def test_a_wrong_key_of_any_length_costs_one_lookup_of_a_digest(length: int) -> None:
    """Of 32 bytes, in a table of such; nothing is compared with a key, for none is kept."""
    parts = Parts()
    asked = lookups(parts).asked
    token = b"sgk_" + b"x" * length
    error = await refused(parts, token)
    assert error.code is Code.AUTH_TOKEN_INVALID
    assert asked == [hashlib.sha256(token).digest()]
    assert {len(one) for one in parts.services.current.snapshot.keys} == {32}


@pytest.mark.parametrize("words", INJECTIONS)
@pytest.mark.parametrize("head", ["sgk_", "", "sgk_" + "a" * 40])
async def test_what_looks_like_a_program_is_a_wrong_key_like_any_other(words: str, head: str) -> None:
    parts = Parts()
    asked = lookups(parts).asked
    error = await refused(parts, (head + words).encode())
    assert error.code is Code.AUTH_TOKEN_INVALID
    assert words not in error.message
    assert len(asked) == (1 if head else 0), "what is no key at all is not even looked up"


async def test_part_of_a_key_opens_nothing() -> None:
    parts = Parts()
    for token in (KEY[:-1], KEY + "x", KEY.upper(), KEY[:8]):
        assert (await refused(parts, token.encode())).code is Code.AUTH_TOKEN_INVALID


# -- no SQL from what somebody sent ----------------------------------------------------------------------------------

ROOMS: Final = ("scaigrid", "middlewares", "adapters")
EXECUTES: Final = frozenset({"execute", "scalar", "scalars", "exec_driver_sql", "text"})


def formatted(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls that run or make SQL of a text that was put together."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        made = isinstance(node.args[0], ast.JoinedStr) or (
            isinstance(node.args[0], ast.BinOp) and isinstance(node.args[0].op, ast.Mod | ast.Add)
        )
        if name in EXECUTES and made:
            yield node


CONSTANTS: Final = tuple(f"scaigrid/db/{one}" for one in ("engine.py", "migrate.py", "migrations/", "statistics.py"))
"""Where a text is put together of what this code itself says: the number of a lock, a pragma, a table of a migration.
It may only get shorter."""


def test_no_query_is_put_together_of_text() -> None:
    """Values travel as parameters."""
    found = [
        f"{path}:{call.lineno}: {ast.unparse(call.args[0])[:80]}"
        for path in files()
        if path.parts[0] in ROOMS and path.suffix == ".py" and not any(str(path).startswith(one) for one in CONSTANTS)
        for call in formatted(ast.parse((ROOT / path).read_text()))
    ]
    assert found == []


# -- what is installed -----------------------------------------------------------------------------------------------


def test_every_dependency_is_locked_to_a_version_and_has_its_hashes() -> None:
    """`requirements.lock`, which an installer holds each file against (`--require-hashes`)."""
    text = (ROOT / "requirements.lock").read_text()
    wanted: dict[str, int] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith(" "):
            assert line.strip(" \\").startswith("--hash=sha256:"), line
            assert len(line.strip(" \\").removeprefix("--hash=sha256:")) == 64
            wanted[name] += 1
        elif line and not line.startswith("#"):
            name = line.split(" ")[0]
            assert "==" in name, line
            wanted[name] = 0
    assert [one for one, hashes in wanted.items() if not hashes] == []
    assert len(wanted) > 20
