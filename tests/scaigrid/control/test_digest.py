"""The hash of what is declared: the same for the same, another for anything else."""

from scaigrid.control.digest import config_hash
from scaigrid.control.vault import Vault
from scaigrid.secrets import Secret
from tests.harness.deployment import VAULT, declared

PROVIDER = {"type": "custom", "base_url": "http://up", "api_key": "pk-secret"}


def test_the_order_of_entries_does_not_count() -> None:
    one = declared(users={"ann": {}, "bob": {}})
    other = declared(users={"bob": {}, "ann": {}})
    assert config_hash(one, VAULT) == config_hash(other, VAULT)


def test_every_field_counts_and_so_does_a_credential() -> None:
    told = {
        config_hash(declared(**sections), VAULT)
        for sections in (
            {"providers": {"up": PROVIDER}},
            {"providers": {"up": {**PROVIDER, "api_key": "pk-other"}}},
            {"providers": {"up": {**PROVIDER, "base_url": "http://other"}}},
            {"providers": {"other": PROVIDER}},
            {},
        )
    }
    assert len(told) == 5
    assert {len(one) for one in told} == {12}


def test_it_tells_nothing_of_a_credential_to_who_lacks_the_key() -> None:
    resources = declared(providers={"up": PROVIDER})
    assert config_hash(resources, VAULT) != config_hash(resources, Vault([Secret("k" * 32)]))
