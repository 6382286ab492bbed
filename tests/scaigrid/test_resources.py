import pytest

from scaigrid.call import Call
from scaigrid.dialects import DIALECTS
from scaigrid.resources import find


def call(name: str, query: str) -> Call:
    raise AssertionError("nobody asks for it here")


RESOURCES = {"/oai/v1/things/{id}": {"GET": call}, "/oai/v1/things/{id}/parts": {"GET": call, "POST": call}}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/oai/v1/things/a", (["GET"], "a")),
        ("/oai/v1/things/a/parts", (["GET", "POST"], "a")),
        ("/oai/v1/things/", None),
        ("/oai/v1/things", None),
        ("/oai/v1/things/a/b", None),
        ("/oai/v1/things//parts", None),
        ("/oai/v1/things/parts", (["GET"], "parts")),
        ("/v1/things/a", None),
        ("/oai/v1/things/a/", None),
        ("", None),
    ],
)
def test_a_path_leads_to_what_is_asked_of_the_thing_in_it(path: str, expected: tuple[list[str], str] | None) -> None:
    found = find(RESOURCES, path)
    assert (None if found is None else (list(found[0]), found[1])) == expected


def test_each_path_of_a_dialect_has_one_name_in_it_and_lies_under_the_prefix() -> None:
    for dialect in DIALECTS:
        for template in dialect.resources:
            assert template.count("{") == template.count("}") == 1
            assert template.startswith(f"{dialect.prefix}/")
