# What people and CI run. `just` alone is what CI runs, in CI's order.

set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments

# Inside `uv run` (or an activated .venv) the tools are on PATH already; elsewhere uv brings the environment up to date.
run := if env("VIRTUAL_ENV", "") == justfile_directory() / ".venv" { "" } else { "uv run" }

# all that CI runs
ci: test lint types pins-check wheel containers

# the tests, on every core and one more, for many wait; arguments go to pytest. Each has a stretch, so that a file's gateway starts once
test *args:
    {{ run }} pytest -n $(({{ num_cpus() }} + 1)) --dist worksteal "$@"

# rules, format and walls
lint:
    {{ run }} ruff check
    {{ run }} ruff format --check
    {{ run }} lint-imports

# both type checkers, strict, tests included
types:
    {{ run }} mypy
    {{ run }} pyright

# put code into the house's format and mend what ruff can
fmt:
    {{ run }} ruff check --fix
    {{ run }} ruff format

# pin what is new; `just pins --upgrade [NAME ...]` moves to the newest versions
pins *args:
    {{ run }} python .ci/pins.py write "$@"

# are the pins and requirements.lock what uv resolves?
pins-check:
    {{ run }} python .ci/pins.py check

# build the wheel, install it away from the checkout and serve two calls
wheel:
    {{ run }} python .ci/smoke.py

# `just wheel` on every Python that is promised and that this machine has; arguments: interpreters where uv does not look
pythons *args:
    {{ run }} python .ci/pythons.py "$@"

# lint the Dockerfile, the compose file and the chart, rendered, in an environment of its own
containers:
    uv run --isolated --only-group containers python .ci/containers.py

# write what is written from the code: the manual, its JSON Schema, the OpenAPI document and two tables
fresh:
    text=$({{ run }} scaigrid manual) && printf '%s\n' "$text" > config/scaigrid.yaml
    text=$({{ run }} scaigrid manual --schema) && printf '%s\n' "$text" > config/scaigrid.schema.json
    text=$({{ run }} scaigrid manual --openapi) && printf '%s\n' "$text" > docs/openapi.json
    text=$({{ run }} scaigrid manual --permissions) && printf '%s\n' "$text" > docs/reference/permissions.md
    text=$({{ run }} scaigrid manual --providers) && printf '%s\n' "$text" > docs/reference/providers.md

# the gateway with the demo configuration; arguments go to `scaigrid serve`
serve *args:
    {{ run }} scaigrid serve config/demo.yaml "$@"

# play every recording over every dialect: what passes, what does not and why; `--write` writes the matrix, -v names what is not run, the rest goes to pytest
conformance *args:
    {{ run }} python -m tests.conformance "$@"

# ask every operation rightly and wrongly, other requests each time, for so many seconds in each test
schemathesis seconds="120" *args:
    SCHEMATHESIS_SECONDS="$1" {{ run }} pytest tests/end_to_end/test_schemathesis.py "${@:2}"

# measurements; arguments go to benchmarks/
bench *args:
    {{ run }} python -m benchmarks "$@"

# show that budgets are hard, limits exact and the ledger balanced, of the real gateway, in under 5 minutes; arguments: names of facts, `--long`
money *args:
    {{ run }} python -m tests.money "$@"

# the sixteen faults of providers, on every surface that can chat, streamed and plain: what callers see of each; arguments: names of faults, `--dialect NAME`
faults *args:
    {{ run }} python -m tests.faults "$@"

# a day of a million requests, and questions to a ledger of ten million rows, on both databases; `--rows`, `--requests` for less
money-scale *args:
    {{ run }} python -m tests.money.scale "$@"

# bring about what operations do (outages, overload, kills, hostile clients) and show what was declared and what was measured; arguments: names of events
chaos *args:
    {{ run }} python -m tests.chaos "$@"

# does a gateway grow that serves for long? 30 minutes of mixed callers, its memory and open descriptors; `--minutes`, `--rate`
soak *args:
    {{ run }} python -m tests.soak "$@"
