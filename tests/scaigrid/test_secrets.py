"""What a Secret keeps to itself, and the one way to have its text."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import yaml

from scaigrid.secrets import Secret, decode_secret, masked

TEXT = "sk-live-3141592653"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    key: Secret
    spare: Secret | None = None


def test_only_reveal_gives_the_text() -> None:
    assert Secret(TEXT).reveal() == TEXT


@pytest.mark.parametrize(
    "show",
    [repr, str, format, "{}".format, "{!r}".format, "%s".__mod__, "%r".__mod__, ascii],
    ids=["repr", "str", "format", "{}", "{!r}", "%s", "%r", "ascii"],
)
def test_every_way_to_print_a_secret_gives_stars(show: Callable[[Secret], str]) -> None:
    assert show(Secret(TEXT)) == "***"


def test_a_width_in_the_format_pads_the_stars() -> None:
    assert f"{Secret(TEXT):>5}" == "  ***"


def test_a_struct_prints_its_secret_as_stars() -> None:
    assert repr(Account(name="a", key=Secret(TEXT))) == "Account(name='a', key=***, spare=None)"


def test_secrets_are_equal_when_their_texts_are() -> None:
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret(TEXT + "x")
    assert Secret("pässword") == Secret("pässword")
    assert Secret("\ud800") != Secret("\ud801")


def test_a_secret_never_equals_its_own_text() -> None:
    assert Secret(TEXT) != TEXT


def test_equal_secrets_are_one_entry_of_a_set() -> None:
    assert len({Secret(TEXT), Secret(TEXT), Secret("other")}) == 2


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret(TEXT)


@pytest.mark.parametrize("name", ["_Secret__text", "fresh"])
def test_a_secret_does_not_change(name: str) -> None:
    secret = Secret(TEXT)
    with pytest.raises(AttributeError, match="does not change"):
        setattr(secret, name, "other")
    with pytest.raises(AttributeError, match="does not change"):
        delattr(secret, name)
    assert secret.reveal() == TEXT


def test_a_secret_has_no_dict_to_dump() -> None:
    with pytest.raises(TypeError):
        vars(Secret(TEXT))


@pytest.mark.parametrize(
    "encode",
    [msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins, msgspec.yaml.encode, json.dumps],
    ids=["json", "msgpack", "builtins", "yaml", "stdlib json"],
)
def test_no_encoder_writes_a_secret(encode: Any) -> None:
    with pytest.raises(TypeError) as caught:
        encode({"key": Secret(TEXT)})
    assert TEXT not in str(caught.value)


def test_an_encoder_that_falls_back_to_str_writes_stars() -> None:
    account = Account(name="a", key=Secret(TEXT))
    assert msgspec.json.encode(account, enc_hook=str) == b'{"name":"a","key":"***","spare":null}'


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_refuses_a_secret(protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(TEXT), protocol)


def test_yaml_refuses_a_secret() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        yaml.dump(Secret(TEXT))


def test_a_copy_of_a_secret_is_the_secret() -> None:
    secret = Secret(TEXT)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


def test_decode_secret_serves_as_the_dec_hook_of_msgspec() -> None:
    account = msgspec.convert({"name": "a", "key": TEXT}, Account, dec_hook=decode_secret)
    assert account == Account(name="a", key=Secret(TEXT))
    again = msgspec.json.decode(b'{"name":"a","key":"k","spare":"s"}', type=Account, dec_hook=decode_secret)
    assert again.spare == Secret("s")


def test_decode_secret_refuses_a_number_without_showing_it() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"Expected a secret string - at `\$.key`") as caught:
        msgspec.convert({"name": "a", "key": 31415}, Account, dec_hook=decode_secret)
    assert "31415" not in str(caught.value)


def test_decode_secret_knows_no_other_type() -> None:
    with pytest.raises(NotImplementedError, match="complex"):
        decode_secret(complex, "1j")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("sgk_" + "a" * 40, "sgk_***"),
        ("/v1/models/sgk_abc-DEF_9/x", "/v1/models/sgk_***/x"),
        ("", ""),
    ],
)
def test_a_key_in_the_wrong_field_is_not_shown(text: str, shown: str) -> None:
    assert masked(text) == shown
