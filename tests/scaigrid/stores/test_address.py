import pytest

from scaigrid.secrets import Secret
from scaigrid.stores.address import Address, read_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("valkey://localhost", Address(host="localhost")),
        ("redis://localhost/", Address(host="localhost")),
        ("valkey://10.0.0.7:7000/3", Address(host="10.0.0.7", port=7000, database=3)),
        ("valkeys://store.example", Address(host="store.example", secure=True)),
        ("rediss://store.example:6380", Address(host="store.example", port=6380, secure=True)),
        ("valkey://[::1]:7000", Address(host="::1", port=7000)),
        ("valkey://:s%2Fcret@host", Address(host="host", password=Secret("s/cret"))),
        ("valkey://ann:s%40cret@host", Address(host="host", username="ann", password=Secret("s@cret"))),
        ("unix:///run/valkey/socket", Address(path="/run/valkey/socket")),
        ("unix:///with%20space", Address(path="/with space")),
    ],
)
def test_a_url_says_where_it_is_and_who_we_are(url: str, address: Address) -> None:
    assert read_address(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://localhost",
        "valkey://",
        "valkey://:password-secret@",
        "valkey://host:port-secret",
        "valkey://host:70000",
        "valkey://ann:password-secret@host/one",
        "valkey://host/-1",
        "valkey://host?db=password-secret",
        "valkey://host/0#password-secret",
        "valkey://[::1/0",
        "unix://host/path",
        "unix://",
        "unix:///path?password=password-secret",
    ],
)
def test_what_is_no_such_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be|the path is") as caught:
        read_address(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("valkey://ann:secret@host:7000/3", "host:7000"),
        ("valkey://[::1]", "[::1]:6379"),
        ("unix:///run/socket", "/run/socket"),
    ],
)
def test_a_log_shows_where_it_is_and_not_who_we_are(url: str, shown: str) -> None:
    assert str(read_address(url)) == shown
    assert "secret" not in repr(read_address(url))
