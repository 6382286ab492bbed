"""`scaigrid manual`: texts that are written from the code, of which one is asked for."""

import json

import pytest
import yaml

from scaigrid.__main__ import main


def test_the_manual_is_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manual"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["server"]["port"] == 8000


def test_the_schema_is_one_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manual", "--schema"]) == 0
    assert "$schema" in json.loads(capsys.readouterr().out)


def test_the_document_is_one_of_openapi(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manual", "--openapi"]) == 0
    assert json.loads(capsys.readouterr().out)["openapi"].startswith("3.")


def test_the_table_of_permissions_has_every_role(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manual", "--permissions"]) == 0
    assert "| no key | tenant_viewer | tenant_user |" in capsys.readouterr().out


def test_one_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["manual", "--schema", "--openapi"])
    assert caught.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_the_types_of_providers_have_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manual", "--providers"]) == 0
    assert "## `azure`" in capsys.readouterr().out
