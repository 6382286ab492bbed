"""What no section can judge alone: every such mistake is named by file, line and key, all of them in one run."""

import hashlib
import json
from pathlib import Path

import pytest

from adapters import ADAPTERS
from scaigrid.app import load_config
from scaigrid.config.load import ConfigErrors
from scaigrid.config.terms import DEMO_KEY
from tests.harness.checkout import ROOT

SOUND = """\
users:
  ann: {}
keys:
  ann: { user: ann, sha256: "%s" }
providers:
  up: { type: custom, base_url: "http://127.0.0.1:9" }
backends:
  one: { provider: up, model: m }
models:
  acme/chat:
    unpriced: free
    max_output_tokens: 100
    route: { targets: [{ backend: one }] }
""" % ("a" * 64)


def errors(tmp_path: Path, text: str) -> list[str]:
    """The errors of a file, without its directory."""
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigErrors) as caught:
        load_config(path)
    return [str(error).removeprefix(f"{tmp_path}/") for error in caught.value.errors]


def test_a_sound_file_has_no_errors(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(SOUND)
    assert list(load_config(path).models) == ["acme/chat"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "targets: [{ backend: one }] }",
            "targets: [{ backend: one }], fallbacks: { context_too_long: acme/long } }",
            (
                "c.yaml:13: models.acme/chat.route.fallbacks.context_too_long: there is no model 'acme/long' "
                "(declared: acme/chat)"
            ),
        ),
        (
            "targets: [{ backend: one }] }",
            "targets: [{ backend: one }], fallbacks: { content_refused: acme/chat } }",
            "c.yaml:13: models.acme/chat.route.fallbacks.content_refused: names the model itself",
        ),
        (
            "targets: [{ backend: one }] }",
            "targets: [{ backend: one }], hedge: {} }",
            (
                "c.yaml:13: models.acme/chat.route.hedge: a second copy goes to another backend, and the route has one "
                "alone"
            ),
        ),
        (
            "model: m }",
            "model: m, queue: 3 }",
            (
                "c.yaml:8: backends.one.queue: nobody waits where any number of calls may go at the same time: give "
                "`concurrency` as well"
            ),
        ),
        (
            "users:\n",
            "tenants:\n  default: { partner: nobody }\nusers:\n",
            "c.yaml:2: tenants.default.partner: there is no partner 'nobody' (declared: default)",
        ),
        (
            "users:\n",
            "partners:\n  north: {}\nusers:\n",
            "c.yaml:2: partners: partners are declared but no tenants: declare the tenants that belong to them",
        ),
        (
            "ann: {}",
            "ann: { tenant: shop }",
            "c.yaml:2: users.ann.tenant: there is no tenant 'shop' (declared: default)",
        ),
        ("user: ann", "user: bob", "c.yaml:4: keys.ann.user: there is no user 'bob' (declared: ann)"),
        (
            'sha256: "',
            'models: [acme/gone], sha256: "',
            "c.yaml:4: keys.ann.models[0]: there is no model 'acme/gone' (declared: acme/chat)",
        ),
        (
            "providers:\n",
            '  other: { user: ann, sha256: "%s" }\nproviders:\n' % ("a" * 64),
            "c.yaml:5: keys.other: the same key as 'ann': each entry needs a key of its own",
        ),
        (
            "type: custom",
            "type: openia",
            (f"c.yaml:6: providers.up.type: there is no provider type 'openia' (known: {', '.join(sorted(ADAPTERS))})"),
        ),
        (
            ', base_url: "http://127.0.0.1:9"',
            "",
            "c.yaml:6: providers.up.base_url: is required: a provider of type custom has no public address",
        ),
        (
            "type: custom",
            "type: custom, headers: { Host: example.com }",
            "c.yaml:6: providers.up.headers.Host: not a header that can be set here",
        ),
        (
            "type: custom",
            'type: custom, headers: { x-team: "a\\nb" }',
            "c.yaml:6: providers.up.headers.x-team: a header's value is one line of ASCII text",
        ),
        (
            "provider: up",
            "provider: down",
            "c.yaml:8: backends.one.provider: there is no provider 'down' (declared: up)",
        ),
        (
            "backend: one",
            "backend: two",
            "c.yaml:13: models.acme/chat.route.targets[0].backend: there is no backend 'two' (declared: one)",
        ),
        (
            "{ backend: one }]",
            "{ backend: one }, { backend: one }]",
            "c.yaml:13: models.acme/chat.route.targets[1].backend: 'one' is a target of this route already",
        ),
        (
            "{ backend: one }",
            "{ backend: one, weight: 0 }",
            "c.yaml:13: models.acme/chat.route.targets: every weight is 0, so nothing would be chosen first",
        ),
        (
            "    unpriced: free\n",
            "    unpriced: free\n    modality: image\n",
            (
                "c.yaml:14: models.acme/chat.route.targets[0].backend: "
                "providers of type custom do not serve models of modality image"
            ),
        ),
        ("    unpriced: free\n", "    unpriced: free\n    modality: rerank\n", None),
        (
            "type: custom",
            "type: ollama",
            None,
        ),
        (
            "    max_output_tokens: 100\n",
            "",
            None,
        ),
        (
            "users:\n",
            "budgets:\n  b: { scope: user, of: bob, period: daily, request_limit: 5 }\nusers:\n",
            "c.yaml:2: budgets.b.of: there is no user 'bob' (declared: ann)",
        ),
        (
            "users:\n",
            (
                "groups:\n  all: { users: [ann] }\n"
                "budgets:\n  b: { scope: group, of: some, period: daily, request_limit: 5 }\nusers:\n"
            ),
            "c.yaml:4: budgets.b.of: there is no group 'some' (declared: all)",
        ),
        (
            "users:\n",
            "server: { workers: 2 }\nusers:\n",
            (
                "c.yaml:1: server.workers: 2 workers would each count by themselves on the memory store: "
                "set `store.type: valkey` with its `store.url`, or `server.workers: 1`"
            ),
        ),
        (
            "users:\n",
            "server: { workers: 2 }\nstore: { type: valkey, url: unix:///run/valkey/socket }\nusers:\n",
            None,
        ),
        (
            "users:\n",
            "database: { url: 'postgres://db/x' }\nusers:\n",
            (
                "c.yaml:1: database.encryption_key: needed with a database server: what encrypts credentials there has "
                "to be the same in every gateway"
            ),
        ),
        (
            "users:\n",
            "database: { encryption_key: short }\nusers:\n",
            "c.yaml:1: database.encryption_key: must have at least 32 characters, and be hard to guess",
        ),
        (
            "users:\n",
            "store: { type: valkey }\nusers:\n",
            "c.yaml:1: store.url: needed: where the Valkey is, for example valkey://localhost:6379/0",
        ),
        (
            "users:\n",
            "store: { type: valkey, url: valkey://localhost:6379/zero }\nusers:\n",
            "c.yaml:1: store.url: the path is the number of a database: /0",
        ),
        (
            "users:\n",
            "store: { url: valkey://localhost }\nusers:\n",
            "c.yaml:1: store.url: the memory store has none: set `store.type: valkey`, or leave it out",
        ),
        (
            "users:\n  ann: {}\nkeys:\n",
            (
                "server: { host: 0.0.0.0 }\nusers:\n  ann: {}\nkeys:\n"
                "  demo: { user: ann, key: sgk_demo_0123456789abcdef0123456789abcdef }\n"
            ),
            (
                "c.yaml:5: keys.demo: this is the published demo key, and the gateway listens on 0.0.0.0: "
                "make a key of your own"
            ),
        ),
    ],
)
def test_every_mistake_is_named_where_it_stands(tmp_path: Path, old: str, new: str, expected: str | None) -> None:
    text = SOUND.replace(old, new, 1)
    assert text != SOUND
    if expected is None:
        (tmp_path / "c.yaml").write_text(text)
        load_config(tmp_path / "c.yaml")
    else:
        assert errors(tmp_path, text) == [expected]


def test_the_demo_key_is_known_by_its_digest_too(tmp_path: Path) -> None:
    digest = hashlib.sha256(DEMO_KEY.encode()).hexdigest()
    text = "server: { host: 0.0.0.0 }\n" + SOUND.replace("a" * 64, digest)
    assert errors(tmp_path, text)[0].startswith("c.yaml:5: keys.ann: this is the published demo key")


def test_a_budget_needs_answers_that_are_bounded(tmp_path: Path) -> None:
    text = SOUND.replace("    max_output_tokens: 100\n", "")
    text += "budgets:\n  b: { scope: user, of: ann, period: daily, cost_limit: 5 }\n"
    assert errors(tmp_path, text) == [
        "c.yaml:11: models.acme/chat.max_output_tokens: needed: budget 'b' can only be kept where answers are bounded"
    ]
    (tmp_path / "c.yaml").write_text(text.replace("cost_limit: 5", "cost_limit: 5, hard_action: notify"))
    load_config(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("level", "old", "new"),
    [
        ("user 'ann'", "  ann: {}\n", "  ann: { limits: { tokens_per_minute: 5 } }\n"),
        ("partner 'default'", "users:", "partners:\n  default: { limits: { tokens_per_day: 0 } }\nusers:"),
    ],
)
def test_a_limit_on_tokens_needs_them_too(tmp_path: Path, level: str, old: str, new: str) -> None:
    text = SOUND.replace("    max_output_tokens: 100\n", "").replace(old, new, 1)
    (error,) = errors(tmp_path, text)
    why = f"needed: the limit on tokens of {level} can only be kept where answers are bounded"
    assert error.endswith(f"models.acme/chat.max_output_tokens: {why}")


def test_a_models_own_limit_on_tokens_asks_that_of_it_alone(tmp_path: Path) -> None:
    text = SOUND.replace("    max_output_tokens: 100\n", "    limits: { tokens_per_day: 9 }\n")
    (error,) = errors(tmp_path, text)
    assert "models.acme/chat.max_output_tokens: needed: its limit on tokens" in error
    other = "  acme/other: { unpriced: free, route: { targets: [{ backend: one }] } }\n"
    assert errors(tmp_path, text.replace("models:\n", f"models:\n{other}"))[0].count("acme/other") == 0


@pytest.mark.parametrize("limit", ["requests_per_day: 5", "concurrent_requests: 5", "tokens_per_day: null"])
def test_other_limits_need_no_bound(tmp_path: Path, limit: str) -> None:
    text = SOUND.replace("    max_output_tokens: 100\n", "").replace(
        "  ann: {}\n", f"  ann: {{ limits: {{ {limit} }} }}\n"
    )
    (tmp_path / "c.yaml").write_text(text)
    load_config(tmp_path / "c.yaml")


def test_a_provider_that_needs_a_bound_says_so(tmp_path: Path) -> None:
    text = SOUND.replace("    max_output_tokens: 100\n", "").replace("type: custom", "type: anthropic")
    assert errors(tmp_path, text) == [
        (
            "c.yaml:11: models.acme/chat.max_output_tokens: "
            "needed: providers of type anthropic refuse calls without a bound"
        )
    ]


def test_all_mistakes_come_in_one_run_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = SOUND.replace("user: ann", "user: bob").replace("provider: up", "provider: down").replace("one }]", "two }]")
    assert [error.split(": ")[0] for error in errors(tmp_path, text)] == ["c.yaml:4", "c.yaml:8", "c.yaml:13"]


EXAMPLE = ROOT / "config" / "examples" / "cloud-providers.yaml"


@pytest.fixture
def clouds(monkeypatch: pytest.MonkeyPatch) -> str:
    """The example of providers that sign, with all that it needs."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
    for name in names:
        monkeypatch.setenv(name, "given")
    monkeypatch.setenv("ACME_APP_KEY", "sgk_" + "a" * 32)
    pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    account = {"client_email": "gateway@acme.iam.gserviceaccount.com", "private_key": pem}
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", json.dumps(account))
    return EXAMPLE.read_text()


def test_the_example_of_providers_that_sign_is_sound(tmp_path: Path, clouds: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(clouds)
    config = load_config(path)
    assert {name: list(provider.credentials) for name, provider in config.providers.items()} == {
        "bedrock": ["access_key_id", "secret_access_key"],
        "vertex": ["service_account"],
        "azure": ["tenant_id", "client_id", "client_secret"],
    }


def test_faults_of_options_and_credentials_stand_where_they_are(
    tmp_path: Path, clouds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", "no key file")
    text = clouds.replace("region: eu", "regoin: eu").replace("location: europe-west4", "location: 7")
    text = text.replace("      client_secret:", "      client_word:")
    lines = {line.strip().partition(":")[0]: place for place, line in enumerate(text.splitlines(), 1)}
    found = errors(tmp_path, text)
    bedrock, vertex = lines["options"] - 6, lines["options"]
    assert [error.partition(" (")[0] for error in found] == [
        f"c.yaml:{bedrock}: providers.bedrock.options.regoin: is not a known option",
        f"c.yaml:{vertex}: providers.vertex.options.location: must be a string",
        (
            f"c.yaml:{lines['service_account']}: providers.vertex.credentials.service_account: must be the JSON of a "
            "service account's key file, with client_email and private_key in it"
        ),
        f"c.yaml:{lines['client_word']}: providers.azure.credentials.client_word: is not a known credential",
    ]
