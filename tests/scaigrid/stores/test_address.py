import pytest

from scaigrid.secrets import Secret
from scaigrid.stores.address import Address, Cluster, Sentinels, read_address


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
        (
            "valkey+sentinel://one,two:7000,[::1]:7001/counters",
            Sentinels(
                sentinels=(
                    Address(host="one", port=26379),
                    Address(host="two", port=7000),
                    Address(host="::1", port=7001),
                ),
                name="counters",
                server=Address(),
            ),
        ),
        (
            "rediss+sentinel://ann:s%40cret@one/our%20own/3?sentinel_user=sue&sentinel_password=s%26cret",
            Sentinels(
                sentinels=(Address(host="one", port=26379, secure=True, username="sue", password=Secret("s&cret")),),
                name="our own",
                server=Address(secure=True, username="ann", password=Secret("s@cret"), database=3),
            ),
        ),
        (
            "valkeys+cluster://:s%2Fcret@one,two:7000",
            Cluster(
                nodes=(
                    Address(host="one", secure=True, password=Secret("s/cret")),
                    Address(host="two", port=7000, secure=True, password=Secret("s/cret")),
                )
            ),
        ),
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
        "unix+sentinel:///path/name",
        "valkey+other://host",
        "valkey+sentinel://one,two",
        "valkey+sentinel://one,/name",
        "valkey+sentinel:///name",
        "valkey+sentinel://one:port-secret/name",
        "valkey+sentinel://one/name/word-secret",
        "valkey+sentinel://one/name?password=password-secret",
        "valkey+sentinel://one/name?sentinel_password=password-secret&sentinel_password=another",
        "valkey+sentinel://:password#secret@one/name",
        "valkey+cluster://",
        "valkey+cluster://one,two/0",
        "valkey+cluster://one?password=password-secret",
        "valkey+cluster://:password/secret@one",
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
        ("valkey+sentinel://ann:secret@two,one/name/3?sentinel_password=secret", "one:26379,two:26379/name"),
        ("valkey+cluster://ann:secret@two,one", "one:6379,two:6379"),
    ],
)
def test_a_log_shows_where_it_is_and_not_who_we_are(url: str, shown: str) -> None:
    assert str(read_address(url)) == shown
    assert "secret" not in repr(read_address(url))


@pytest.mark.parametrize("form", ["valkey://{}@host", "valkey+sentinel://{}@host/name", "valkey+cluster://{}@host"])
@pytest.mark.parametrize("password", ["pa/secret", "pa#secret", "pa?secret"])
def test_who_gives_a_password_as_it_is_hears_how_to_write_it(form: str, password: str) -> None:
    with pytest.raises(ValueError, match="%2F %3F %23 %40") as caught:
        read_address(form.format(f":{password}"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://host", "valkey+sentinels://host/name", "valkey://one,two"])
def test_who_takes_another_form_hears_of_all_of_them(url: str) -> None:
    with pytest.raises(ValueError, match=r"valkey://.*valkey\+sentinel://.*valkey\+cluster://"):
        read_address(url)


def test_a_sentinel_has_a_user_only_with_a_password() -> None:
    with pytest.raises(ValueError, match="a sentinel_user has a sentinel_password"):
        read_address("valkey+sentinel://one/name?sentinel_user=sue")


@pytest.mark.parametrize(
    ("url", "database", "secure"),
    [("valkeys+sentinel://one/name/3", 3, True), ("valkey+cluster://one", 0, False), ("valkeys://one/2", 2, True)],
)
def test_each_place_says_which_database_and_whether_tls(url: str, database: int, secure: bool) -> None:
    place = read_address(url)
    assert (place.database, place.secure) == (database, secure)
