import asyncio
import gzip
import re
import subprocess
import sys
from importlib.metadata import distribution

import pytest

from scaigrid.api.docs import ASSETS, SWAGGER_UI, reference
from tests.harness.checkout import ROOT
from tests.scaigrid.api.control_plane import Answer, ControlPlane

OPENAPI_3_1 = (5, 0)
"""From this version on Swagger UI shows documents of OpenAPI 3.1."""
SHOW_IT = """
import asyncio, sys
from tests.scaigrid.api.control_plane import ControlPlane
plane = ControlPlane()
print(sorted(name for name in sys.modules if "swagger" in name or name == "bs4"))
print(asyncio.run(plane.get("/docs", None)).status)
print(sorted(name for name in sys.modules if "swagger" in name or name == "bs4"))
"""


async def ask(target: str, *, method: str = "GET", **headers: str) -> Answer:
    """The answer to a stranger; `accept_encoding="gzip"` is a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await ControlPlane().get(target, None, method=method, headers=named)


def named_in(page: str) -> list[str]:
    """What the page asks for, without being asked to."""
    return re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]*)"', page)


@pytest.fixture(scope="module")
def names() -> list[str]:
    return sorted(reference().assets)


async def test_the_page_is_there_for_everybody_and_asked_for_again_each_time() -> None:
    answer = await ask("/docs")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["cache-control"] == "no-cache"
    assert "<title>ScaiGrid API reference</title>" in answer.body.decode()


async def test_all_that_the_page_names_is_served_from_here() -> None:
    asked = named_in((await ask("/docs")).body.decode())
    assert len(asked) == 5
    for address in asked:
        # Relative to /docs
        answer = await ask(f"/{address}")
        assert answer.status == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.body


async def test_the_page_has_no_script_and_no_style_of_its_own() -> None:
    page = (await ask("/docs")).body.decode()
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page) == ["", ""]
    assert re.findall(r"<style| style=| on\w+=|javascript:|\{[\w.-]+\}", page) == []


async def test_the_policy_lets_nothing_in_from_elsewhere(names: list[str]) -> None:
    for target in ("/docs", *(f"{ASSETS}{name}" for name in names)):
        answer = await ask(target)
        parts = [part.strip().partition(" ") for part in answer.headers["content-security-policy"].split(";")]
        policy = {name: sources for name, _, sources in parts}
        assert policy["default-src"] == "'none'"
        assert (policy["script-src"], policy["style-src"], policy["connect-src"]) == ("'self'", "'self'", "'self'")
        assert policy["frame-ancestors"] == "'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("start", "media_type"),
    [
        ("swagger-ui-bundle-", "text/javascript; charset=utf-8"),
        ("swagger-ui-", "text/css; charset=utf-8"),
        ("start-", "text/javascript; charset=utf-8"),
        ("style-", "text/css; charset=utf-8"),
        ("icon-", "image/svg+xml"),
    ],
)
async def test_an_asset_has_the_type_of_its_content(names: list[str], start: str, media_type: str) -> None:
    (name,) = [name for name in names if re.fullmatch(rf"{start}[0-9a-f]{{16}}\.\w+", name)]
    answer = await ask(ASSETS + name)
    assert (answer.status, answer.headers["content-type"]) == (200, media_type)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "start.js",
        "page.html",
        "..%2f..%2fdocs.py",
        "../docs.py",
        "../../../docs.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "..\\docs.py",
        "start.js%00",
        "start\x00.js",
    ],
)
async def test_nothing_else_is_served(name: str) -> None:
    answer = await ask(ASSETS + name)
    assert answer.status in {401, 404}
    assert answer.code in {"NOT_FOUND", "AUTH_TOKEN_MISSING"}


async def test_head_says_what_get_says(names: list[str]) -> None:
    for target in ("/docs", ASSETS + names[0]):
        plain, head = await ask(target), await ask(target, method="HEAD")
        assert (head.status, head.headers["etag"]) == (200, plain.headers["etag"])
        assert head.headers["content-type"] == plain.headers["content-type"]


@pytest.mark.parametrize(
    ("accept", "packed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0.001", True),
        ("identity", False),
        ("notgzip", False),
        ("", False),
    ],
)
async def test_an_asset_is_packed_for_those_who_can_unpack_it(names: list[str], accept: str, packed: bool) -> None:
    target = ASSETS + names[0]
    plain, answer = await ask(target), await ask(target, accept_encoding=accept)
    assert (answer.headers.get("content-encoding") == "gzip") is packed
    assert (gzip.decompress(answer.body) if packed else answer.body) == plain.body
    assert answer.headers["vary"] == plain.headers["vary"] == "accept-encoding"
    assert int(answer.headers["content-length"]) == len(answer.body)


async def test_what_a_browser_has_is_not_sent_again(names: list[str]) -> None:
    for target in ("/docs", ASSETS + names[0]):
        etag = (await ask(target)).headers["etag"]
        for known in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
            answer = await ask(target, if_none_match=known)
            assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
            assert answer.headers["cache-control"]
        assert (await ask(target, if_none_match='W/"other"')).status == 200


def test_what_stands_under_a_name_is_what_its_digest_says(names: list[str]) -> None:
    assert len({reference().assets[name].etag for name in names}) == len(names)
    for name in names:
        digest = name.rpartition(".")[0].rpartition("-")[2]
        assert reference().assets[name].etag.startswith(f'W/"{digest}')


def test_swagger_ui_is_one_that_shows_our_version_of_openapi(names: list[str]) -> None:
    (name,) = [name for name in names if name.startswith("swagger-ui-bundle")]
    found = re.search(rb'PACKAGE_VERSION:"(\d+)\.(\d+)', reference().assets[name].body)
    assert found is not None
    assert (int(found[1]), int(found[2])) >= OPENAPI_3_1


def test_the_wheel_carries_the_license_of_what_is_served() -> None:
    """Apache 2.0, section 4: whoever passes it on passes the license and the notice on."""
    license_files = {file.name for file in distribution(SWAGGER_UI).files or () if file.parent.name == "swagger-ui"}
    assert {"LICENSE", "NOTICE"} <= license_files


async def test_it_is_read_once() -> None:
    both = await asyncio.gather(asyncio.to_thread(reference), asyncio.to_thread(reference))
    assert both[0] == both[1]
    assert await asyncio.to_thread(reference) is reference()


def test_the_code_beside_the_files_is_never_imported() -> None:
    run = subprocess.run([sys.executable, "-c", SHOW_IT], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["[]", "200", "[]"]


def test_the_validator_of_swagger_is_not_asked() -> None:
    """Swagger UI sends a document to it where the page is not on a loopback address, which no browser test sees."""
    (start,) = [asset.body for name, asset in reference().assets.items() if name.startswith("start-")]
    assert b"validatorUrl: null" in start
