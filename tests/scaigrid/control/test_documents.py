"""Documents are kept for years: what an earlier release wrote is read, and what a later one did too."""

import msgspec
import pytest

from scaigrid.control import documents as docs
from scaigrid.control.kinds import KINDS

FIRST: dict[str, dict[str, object]] = {
    "partner": {"name": "n"},
    "tenant": {"name": "n", "partner_id": "p"},
    "user": {"name": "n", "tenant_id": "t"},
    "group": {"name": "n", "tenant_id": "t"},
    "role": {"name": "n", "tenant_id": "t"},
    "role_mapping": {"name": "n", "group_id": "g"},
    "api_key": {"name": "n", "user_id": "u", "sha256": "0" * 64},
    "provider": {"name": "n", "type": "custom"},
    "backend": {"name": "n", "provider_id": "p", "model": "m"},
    "model": {"name": "n"},
    "route": {"name": "n", "model_id": "m", "targets": [{"backend_id": "b"}]},
    "model_group": {"name": "n"},
    "model_access": {"name": "n", "subject_type": "user", "subject_id": "u"},
    "budget": {"name": "n", "scope": "user", "scope_id": "u", "period": "daily"},
}
"""What the first release that kept resources always wrote. Nothing may be added here but kinds."""


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_first_release_wrote_is_read(kind: str) -> None:
    document = msgspec.json.decode(msgspec.json.encode(FIRST[kind]), type=KINDS[kind].document)
    assert document.name == "n"


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_later_release_wrote_is_read_without_what_is_new(kind: str) -> None:
    later = {**FIRST[kind], "from_the_future": {"x": 1}}
    document = msgspec.json.decode(msgspec.json.encode(later), type=KINDS[kind].document)
    assert document == msgspec.convert(FIRST[kind], KINDS[kind].document)


def test_a_document_does_not_change() -> None:
    with pytest.raises(AttributeError):
        docs.Partner(name="n").name = "m"  # type: ignore[misc]
