"""A resource knows its name, its kind and within what its name is unique."""

from scaigrid.control import documents as docs
from scaigrid.control.kinds import KINDS
from scaigrid.control.resource import Resource


def resource(kind: str, document: docs.Document) -> Resource:
    return Resource(kind=kind, id=f"{kind}_1", origin="api", document=document)


def test_its_name_is_that_of_its_document() -> None:
    one = resource("partner", docs.Partner(name="acme"))
    assert (one.name, one.is_a) == ("acme", KINDS["partner"])


def test_its_owner_is_what_its_name_is_unique_within() -> None:
    assert resource("partner", docs.Partner(name="acme")).owner == ""
    assert resource("user", docs.User(name="ann", tenant_id="tenant_1")).owner == "tenant_1"
    assert resource("model_group", docs.ModelGroup(name="all")).owner == ""
    assert resource("model_group", docs.ModelGroup(name="all", scope="tenant", scope_id="tenant_1")).owner == "tenant_1"
