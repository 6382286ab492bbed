"""A provider's connection is judged by its adapter, alike in the file and over the API."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import pytest

from adapters import ADAPTERS
from adapters.openai import OpenAI
from scaigrid.adapter import NO_OPTIONS, Adapter, Options
from scaigrid.config.connection import address_of, connection_faults, credential_names, options_of
from scaigrid.control.documents import Provider
from scaigrid.secrets import Secret


class RegionalOptions(Options, frozen=True):
    """What a region and a version look like."""

    region: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    version: Literal["one", "two"] = "one"
    tries: int = 1
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.region == "moon":
            raise ValueError("region: there is none of that name")


class Regional(OpenAI):
    """Of a provider whose address is made of its options, and whose calls are signed."""

    name: ClassVar[str] = "regional"
    options: ClassVar[type[Options]] = RegionalOptions
    signed: ClassVar[str | None] = "aws"

    def base_url(self, options: Any = NO_OPTIONS) -> str | None:
        return None if options.region is None else f"https://{options.region}.example/"


REGIONAL = Regional()
KEYS = {"access_key_id": "AKID", "secret_access_key": "secret"}


def provider(**said: Any) -> Provider:
    for field in ("credentials", "headers"):
        said[field] = {name: Secret(value) for name, value in said.get(field, {}).items()}
    return Provider(name="p", type="regional", **said)


def faults(given: Provider, adapter: Adapter = REGIONAL) -> Mapping[str, str]:
    return {".".join(path): reason for path, reason in connection_faults(given, adapter)}


def test_options_become_what_the_adapter_takes() -> None:
    given = provider(options={"region": "eu", "tries": 3, "names": ["a"]})
    assert faults(given) == {}
    assert options_of(given, REGIONAL) == RegionalOptions(region="eu", tries=3, names=("a",))


def test_an_address_follows_from_options_and_one_that_is_given_goes_before_it() -> None:
    assert address_of(provider(options={"region": "eu"}), REGIONAL) == "https://eu.example"
    given = provider(options={"region": "eu"}, base_url="https://mine.example/v1/")
    assert address_of(given, REGIONAL) == "https://mine.example/v1"


def test_without_either_an_address_is_missing() -> None:
    assert faults(provider()) == {"base_url": "is required: a provider of type regional has no public address"}


def test_every_fault_of_the_options_is_named() -> None:
    wrong = {"region": 7, "version": "three", "tries": "3", "names": ["a", 1], "zone": "x"}
    found = faults(provider(options=wrong))
    assert found == {
        "options.region": "must be a string",
        "options.version": 'must be one of "one", "two"',
        "options.tries": "must be an integer",
        "options.names": "[1]: must be a string",
        "options.zone": "is not a known option (known: region, version, tries, names)",
    }


def test_a_name_of_any_form_is_told_as_it_was_written() -> None:
    assert set(faults(provider(options={"a.b": 1, "region": "eu"}))) == {"options.a.b"}


def test_what_the_options_say_of_themselves_is_told() -> None:
    assert faults(provider(options={"region": "moon"})) == {"options": "region: there is none of that name"}


def test_a_type_without_options_says_so() -> None:
    found = faults(provider(options={"region": "eu"}), ADAPTERS["simulator"])
    assert found == {"options.region": "is not a known option (a provider of this type has none)"}


def test_looking_at_options_leaves_them_as_they_are() -> None:
    options: dict[str, Any] = {"zone": {"a": [1]}, "region": "eu"}
    faults(provider(options=options))
    assert options == {"zone": {"a": [1]}, "region": "eu"}


def test_options_nested_without_end_are_a_fault_like_others() -> None:
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    found = faults(provider(options={"region": deep, "zone": deep}))
    assert set(found) == {"options.region", "options.zone"}


def test_credentials_are_whole_and_fit() -> None:
    region = {"region": "eu"}
    assert faults(provider(options=region, credentials=KEYS)) == {}
    assert faults(provider(options=region)) == {}, "a trial without a credential"
    assert set(faults(provider(options=region, credentials={"access_key_id": "AKID"}))) == {
        "credentials.secret_access_key"
    }
    assert set(faults(provider(options=region, credentials={**KEYS, "password": "x"}))) == {"credentials.password"}
    found = faults(provider(options=region, credentials={**KEYS, "secret_access_key": "two words"}))
    assert set(found) == {"credentials.secret_access_key"}
    assert "two words" not in str(found)


def test_a_key_and_credentials_are_one_too_many() -> None:
    given = provider(options={"region": "eu"}, credentials=KEYS, api_key=Secret("k"))
    assert faults(given) == {"credentials": "give either these or an api_key"}


def test_what_a_signature_is_made_for_has_to_be_said() -> None:
    given = provider(base_url="https://proxy.example", credentials=KEYS)
    assert faults(given) == {"options.region": "is required: calls are signed for it"}


def test_values_that_the_database_keeps_are_not_looked_at() -> None:
    kept = {"access_key_id": "AKID", "secret_access_key": "stored:0123 456789ab"}
    assert faults(provider(options={"region": "eu"}, credentials=kept)) == {}


def test_a_type_that_signs_nothing_takes_a_key() -> None:
    found = faults(provider(base_url="https://x.example", credentials=KEYS), ADAPTERS["custom"])
    assert found == {"credentials": "a provider of type regional has none: it takes an api_key"}
    assert credential_names(ADAPTERS["custom"]) == ()
    assert credential_names(REGIONAL) == ("access_key_id", "secret_access_key", "session_token")


@pytest.mark.parametrize("type_", sorted(ADAPTERS))
def test_every_type_can_be_asked_for_its_address_without_an_option(type_: str) -> None:
    adapter = ADAPTERS[type_]
    found = faults(Provider(name="p", type=type_), adapter)
    missing = adapter.transport == "http" and adapter.base_url(adapter.options()) is None
    assert set(found) == ({"base_url"} if missing else set())
