"""How long a change takes from one gateway to another: two of them on one PostgreSQL, counting in one Valkey.

`python -m tests.end_to_end.propagation` prints each of twenty revocations, from the answer of the gateway that revoked
the key to the first refusal of the other, and the same with nobody telling of changes, where the look that comes each
second has to find it.
"""

import contextlib
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any, Final

import httpx

from tests.harness import databases
from tests.harness.eventually import PATIENCE
from tests.harness.gateway import Gateway
from tests.harness.valkey import Valkey

ADMIN: Final = "sgk_admin_" + "a" * 40
TIMES: Final = 20
_UNLIMITED: Final = {"limits": {"requests_per_minute": None}}


def configuration(database: str, valkey: str) -> dict[str, Any]:
    return {
        "database": {"url": database, "encryption_key": "the same one for both, and long enough"},
        "store": {"type": "valkey", "url": valkey},
        "partners": {"default": _UNLIMITED},
        "tenants": {"default": _UNLIMITED},
        "users": {"admin": {"roles": ["super_admin"], **_UNLIMITED}},
        "keys": {"admin": {"user": "admin", "key": ADMIN, **_UNLIMITED}},
    }


@contextmanager
def two(directory: Path, *, told: bool = True) -> Generator[tuple[Gateway, Gateway]]:
    """Two gateways that share everything but their data directories. `told`: PostgreSQL tells them of changes."""
    database = databases.fresh("postgres", directory)
    if not told:
        # A rule in the database's way: what a pooler that hands out another connection each time does.
        databases.execute(database, "CREATE SCHEMA deaf")
        databases.execute(
            database, "CREATE FUNCTION deaf.pg_notify(text, text) RETURNS void LANGUAGE sql AS $$ SELECT $$"
        )
        name = databases.execute(database, "SELECT current_database() AS name")[0]["name"]
        databases.execute(database, f'ALTER DATABASE "{name}" SET search_path = deaf, pg_catalog, public')
    with Valkey() as valkey:
        config = configuration(database, valkey.url)
        with Gateway(config, directory / "one") as one, Gateway(config, directory / "two") as other:
            yield one, other
    databases.drop(database)


def revocation(one: Gateway, other: Gateway) -> float:
    """Seconds from the answer of the gateway that revoked a key to the other's first refusal of it."""
    admin = {"authorization": f"Bearer {ADMIN}"}
    with httpx.Client(base_url=one.url, headers=admin, timeout=PATIENCE) as asked:
        made = asked.post("/v1/api-keys", json={"name": "short-lived", "limits": {"requests_per_minute": None}})
        made.raise_for_status()
        data = made.json()["data"]
        with httpx.Client(base_url=other.url, headers={"authorization": f"Bearer {data['key']}"}) as there:
            _until(there, 200)
            asked.post(f"/v1/api-keys/{data['id']}/revoke").raise_for_status()
            began = monotonic()
            _until(there, 401)
            return monotonic() - began


def _until(client: httpx.Client, status: int) -> None:
    ends = monotonic() + PATIENCE
    while client.get("/v1/me").status_code != status:
        if monotonic() > ends:
            raise AssertionError(f"not {status} within {PATIENCE:g} s")


def _print(seconds: Sequence[float]) -> None:
    milliseconds = [round(one * 1000) for one in seconds]
    print(f"  ms: {', '.join(map(str, milliseconds))}")
    print(f"  median {median(milliseconds):g}, most {max(milliseconds)}, of {len(seconds)}")


def main() -> int:
    for told, what in ((True, "PostgreSQL tells of changes"), (False, "nobody tells: looked for each second")):
        with contextlib.ExitStack() as open_now:
            directory = Path(open_now.enter_context(tempfile.TemporaryDirectory(prefix="scaigrid-")))
            one, other = open_now.enter_context(two(directory, told=told))
            print(f"revocation over two gateways, {what}:")
            _print([revocation(one, other) for _ in range(TIMES)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
