"""Documents as text and back, credentials sealed."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from scaigrid.control import documents as docs
from scaigrid.control.codec import Codec
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.control.vault import CannotOpen, Vault
from scaigrid.secrets import Secret
from tests.harness.deployment import VAULT
from tests.harness.states import states

CODEC = Codec(VAULT)


def secrets(resource: Resource) -> Iterator[str]:
    document = resource.document
    if isinstance(document, docs.Provider | docs.Backend) and document.api_key is not None:
        yield document.api_key.reveal()
    if isinstance(document, docs.Provider):
        yield from (value.reveal() for value in document.headers.values())


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(state=states())
def test_every_document_comes_back_as_it_was(state: State) -> None:
    for resource in state:
        text = CODEC.encode(resource.document)
        assert CODEC.decode(resource.kind, text) == resource.document
        assert not any(len(secret) > 6 and secret in text.decode() for secret in secrets(resource))
    back = CODEC.decode_all(CODEC.encode_all(list(state)))
    assert [(one.kind, one.id, one.origin, one.document) for one in back] == [
        (one.kind, one.id, one.origin, one.document) for one in state
    ]


def test_another_key_opens_nothing() -> None:
    text = CODEC.encode(docs.Provider(name="up", type="custom", api_key=Secret("pk")))
    with pytest.raises(CannotOpen):
        Codec(Vault([Secret("another key of a test, long enough")])).decode("provider", text)


def test_what_has_its_default_is_not_written() -> None:
    assert CODEC.encode(docs.Partner(name="acme")) == b'{"name":"acme"}'


def test_a_document_with_a_credential_in_a_place_for_none_is_refused() -> None:
    with pytest.raises(TypeError, match="no place for complex"):
        CODEC.encode(docs.Model(name="m", unpriced="free", default_params={"x": complex(1)}))
