"""The database as a file: what is written plans to nothing, whatever the database holds."""

from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings

from adapters import ADAPTERS
from scaigrid.app import Composed
from scaigrid.config import emit
from scaigrid.config.load import load
from scaigrid.config.nodes import read_nodes
from scaigrid.control import documents as docs
from scaigrid.control.declared import resources_of
from scaigrid.control.export import SECTIONS, exported
from scaigrid.control.plan import Plan, planned
from scaigrid.control.resource import Resource
from scaigrid.control.state import State
from scaigrid.ids import declared_id
from tests.harness.deployment import VAULT, declared
from tests.harness.states import states

ORDER = Composed.__struct_fields__

SETTINGS = """\
server: { port: 9001, data_dir: "${DIR:-./data}" }
chain: { intake: { max_body_bytes: 2048 } }
log:
  level: debug  # loud
"""


def plan_of(text: str, state: State, directory: Path) -> Plan:
    file = directory / "exported.yaml"
    file.write_text(text)
    config: Any = load(file, Composed, env={})
    return planned(state, resources_of(config), VAULT, ADAPTERS).plan


def export(state: State, file: str = "", wanted: Any = "all") -> str:
    root, problems = read_nodes(file)
    assert problems == []
    return exported(state, root, VAULT, ORDER, wanted)


def sections(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(state=states())
def test_what_is_written_would_change_nothing(state: State, tmp_path: Path) -> None:
    plan = plan_of(export(state), state, tmp_path)
    assert (plan.empty, plan.absent) == (True, ())
    assert plan.unchanged == len(state)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(state=states())
def test_the_file_s_own_part_would_change_nothing_by_itself(state: State, tmp_path: Path) -> None:
    plan = plan_of(export(state, wanted="config"), state, tmp_path)
    assert (plan.empty, plan.absent) == (True, ())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(state=states())
def test_either_writer_of_yaml_says_the_same(state: State, tmp_path: Path) -> None:
    """PyYAML has two: libyaml's and its own; which one is there depends on how it was built."""
    before = emit.DUMPER
    told: list[Any] = []
    try:
        for dumper in (yaml.SafeDumper, yaml.CSafeDumper):
            emit.DUMPER = dumper
            text = export(state)
            file = tmp_path / "exported.yaml"
            file.write_text(text)
            told.append(load(file, Composed, env={}))
    finally:
        emit.DUMPER = before
    assert told[0] == told[1]


# -- what a person sees ----------------------------------------------------------------------------------------------

DECLARED: dict[str, Any] = {
    "tenants": {"acme": {}},
    "users": {"ann": {"tenant": "acme"}},
    "providers": {"up": {"type": "custom", "base_url": "http://up", "api_key": "pk-secret"}},
}
BOB = Resource(
    kind="user",
    id="user_" + "b" * 32,
    origin="api",
    document=docs.User(name="Bob B.", tenant_id=declared_id("tenant", "acme")),
)


def test_sections_stand_in_the_order_of_the_manual() -> None:
    state = State.of(declared(**DECLARED), 1)
    assert list(sections(export(state, SETTINGS))) == [
        "server",
        "log",
        "partners",
        "tenants",
        "users",
        "providers",
        "chain",
    ]


def test_settings_stand_as_the_file_says_them() -> None:
    text = export(State.of(declared(), 1), SETTINGS)
    assert '"${DIR:-./data}"' in text
    assert sections(text)["chain"] == {"intake": {"max_body_bytes": 2048}}
    assert sections(text)["server"]["port"] == 9001


def test_no_credential_is_in_it() -> None:
    text = export(State.of(declared(**DECLARED), 1))
    assert "pk-secret" not in text
    assert sections(text)["providers"]["up"]["api_key"].startswith("stored:")


def test_what_the_api_made_is_marked(tmp_path: Path) -> None:
    state = State.of([*declared(**DECLARED), BOB], 1)
    text = export(state)
    assert sections(text)["users"] == {
        "ann": {"tenant": "acme"},
        "bob-b": {"id": BOB.id, "name": "Bob B.", "origin": "api", "tenant": "acme"},
    }
    assert plan_of(text, state, tmp_path).empty


def test_the_file_s_own_part_leaves_out_what_it_does_not_need() -> None:
    text = export(State.of([*declared(**DECLARED), BOB], 1), wanted="config")
    assert list(sections(text)["users"]) == ["ann"]


def test_what_the_file_refers_to_is_in_its_part(tmp_path: Path) -> None:
    key = docs.ApiKey(name="k", user_id=BOB.id, sha256="0" * 64)
    ours = Resource(kind="api_key", id=declared_id("apikey", "k"), origin="config", document=key)
    state = State.of([*declared(**DECLARED), BOB, ours], 1)
    text = export(state, wanted="config")
    assert list(sections(text)["users"]) == ["ann", "bob-b"]
    assert plan_of(text, state, tmp_path).empty


def test_the_api_s_part_is_to_be_put_into_the_file(tmp_path: Path) -> None:
    state = State.of([*declared(**DECLARED), BOB], 1)
    text = export(state, SETTINGS, wanted="api")
    assert list(sections(text)) == ["users"]
    whole = sections(export(state, wanted="config"))
    whole["users"] |= sections(text)["users"]
    assert plan_of(yaml.safe_dump(whole), state, tmp_path).empty


def test_a_file_s_handles_are_kept(tmp_path: Path) -> None:
    file = "users: { technical: { name: Ann, tenant: acme } }\ntenants: { acme: {} }\n"
    state = State.of(declared(users={"technical": {"name": "Ann", "tenant": "acme"}}, tenants={"acme": {}}), 1)
    text = export(state, file)
    assert sections(text)["users"] == {"technical": {"name": "Ann", "tenant": "acme"}}
    assert plan_of(text, state, tmp_path).empty


def test_a_new_database_has_only_settings() -> None:
    assert list(sections(export(State.of(()), SETTINGS))) == ["server", "log", "chain"]


def test_an_export_restores_a_deployment(tmp_path: Path) -> None:
    """But for credentials, which a file does not say."""
    state = State.of([one for one in (*declared(**DECLARED), BOB) if one.kind != "provider"], 1)
    restored = plan_of(export(state), State.of(()), tmp_path)
    assert {(step.kind, step.id) for step in restored.create} == {(one.kind, one.id) for one in state}
    assert restored.refused == ()


def test_the_same_database_is_written_the_same() -> None:
    resources = [*declared(**DECLARED), BOB]
    assert export(State.of(resources, 1)) == export(State.of(reversed(resources), 1))


def test_every_section_of_the_file_that_is_not_a_setting_is_written() -> None:
    assert set(ORDER) >= SECTIONS
