"""The reference of provider types has every type, and every option of each with a text."""

import pytest

from adapters import ADAPTERS
from scaigrid.config.manual import field_docs
from scaigrid.config.provider_manual import written
from tests.harness.checkout import ROOT

TEXT = written(ADAPTERS)


def test_the_file_in_the_repository_is_fresh() -> None:
    file = ROOT / "docs" / "reference" / "providers.md"
    assert file.read_text() == TEXT, "run: scaigrid manual --providers > docs/reference/providers.md"


@pytest.mark.parametrize("type_", sorted(ADAPTERS))
def test_every_option_of_every_type_is_documented(type_: str) -> None:
    options = ADAPTERS[type_].options
    assert set(field_docs(options)) == set(options.__struct_fields__)
    section = TEXT.partition(f"## `{type_}`\n")[2].partition("\n## ")[0]
    assert [name for name in options.__struct_fields__ if f"| `{name}` |" not in section] == []


@pytest.mark.parametrize("type_", sorted(ADAPTERS))
def test_what_is_left_out_leaves_something_to_say(type_: str) -> None:
    """No option has to be given: the reference, `/v1/capabilities` and `scaigrid init` ask adapters without any."""
    ADAPTERS[type_].options()


def test_credentials_are_named_where_calls_are_signed() -> None:
    section = TEXT.partition("## `azure`\n")[2].partition("\n## ")[0]
    assert "`tenant_id` and `client_id` and `client_secret`" in section
