"""`scaigrid init`: writes a first configuration for a real provider, and shows the first key once."""

import json
import os
import shlex
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scaigrid.cli.command import WRONG, Command, Failed
from scaigrid.cli.paint import harmless

_FILE = Path("scaigrid.yaml")
_MAX_OUTPUT_TOKENS = 8192
_VARIABLES = {"custom": "PROVIDER_API_KEY", "simulator": None}
"""Where the provider's key is, unless in a variable that is called as the provider."""


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path, nargs="?", help=f"the file to write; left out: {_FILE}")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the same, as an option")
    parser.add_argument(
        "--provider", help="openai, anthropic, google ..., or custom: any endpoint that speaks the OpenAI protocol"
    )
    parser.add_argument("--base-url", metavar="URL", help="where the provider is; left out: its public address")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what else that provider is to be told (region=eu-central-1); may be given several times",
    )
    parser.add_argument("--upstream-model", metavar="NAME", help="what the provider calls the model (gpt-4o)")
    parser.add_argument("--model", metavar="SLUG", help="what your code will call it; left out: PROVIDER/NAME")
    parser.add_argument("--input-price", metavar="AMOUNT", help="what a million input tokens cost your users")
    parser.add_argument("--output-price", metavar="AMOUNT", help="what a million output tokens cost your users")
    parser.add_argument(
        "--max-output-tokens",
        type=int,
        default=_MAX_OUTPUT_TOKENS,
        metavar="N",
        help=f"the most that one answer may have; left out: {_MAX_OUTPUT_TOKENS}",
    )
    parser.add_argument("--key-variable", metavar="NAME", help="the environment variable with the provider's key")
    parser.add_argument("--no-provider-key", action="store_true", help="the provider wants no key")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def _run(given: Namespace) -> int:
    from scaigrid.cli.first_file import First, text_of
    from scaigrid.control import key_secrets

    file = _file(given)
    asked = _Asked()
    provider, variable = _provider(given, asked)
    options = _options(given, provider)
    upstream = asked(given.upstream_model, "--upstream-model", "The provider's name of the model (gpt-4o)")
    first_key = key_secrets.new_key()
    first = First(
        provider=provider,
        base_url=_base_url(given, provider, options, asked),
        options=options,
        key_variable=variable,
        upstream_model=upstream,
        model=asked(given.model, "--model", "What your code will call it", default=f"{provider}/{upstream}"),
        input_price=_price(asked(given.input_price, "--input-price", "Price of a million input tokens", default="")),
        output_price=_price(
            asked(given.output_price, "--output-price", "Price of a million output tokens", default="")
        ),
        max_output_tokens=given.max_output_tokens,
        digest=key_secrets.digest(first_key),
        prefix=key_secrets.prefix(first_key),
    )
    serve = _commands(file, variable)
    _write(file, text_of(first, serve), variable, force=given.force)
    print(f"Wrote {file}: {first.model} -> {first.upstream_model} of {provider}.\n")
    print("Your key, of the super admin `admin`. It is shown this once; the file has only its SHA-256:\n")
    print(f"  {first_key.reveal()}\n")
    print("Next:\n")
    for command in serve:
        print(f"  {command}")
    print("\nThen, in another terminal:\n")
    for command in _calls(first.model):
        print(f"  {command}")
    return 0


class _Asked:
    """Asks for what no argument says, where a person is there to be asked."""

    def __init__(self) -> None:
        self._there = sys.stdin.isatty()

    def __call__(self, given: str | None, option: str, question: str, *, default: str | None = None) -> str:
        """The argument, or the answer; `default` where it is empty. Raises Failed where there is neither."""
        if given is not None:
            return given
        if not self._there:
            if default is None:
                raise Failed(f"scaigrid: {option} is needed: nobody is here to be asked", WRONG)
            return default
        shown = "" if default is None else f" [{default}]" if default else " [none]"
        while True:
            print(f"{question}{shown}: ", end="", file=sys.stderr, flush=True)
            line = sys.stdin.readline()
            if not line:
                raise Failed("scaigrid: nothing was written", WRONG)
            answer = line.strip()
            if answer or default is not None:
                return answer or default or ""


def _file(given: Namespace) -> Path:
    if given.file is not None and given.output is not None:
        raise Failed("scaigrid: give the file once: FILE or --output", WRONG)
    file: Path = given.file or given.output or _FILE
    if file.exists() and not given.force:
        raise Failed(f"scaigrid: {file} is there already: name another file, or write over it with --force", WRONG)
    return file


def _provider(given: Namespace, asked: Callable[..., str]) -> tuple[str, str | None]:
    """The type of provider, and the variable with its key."""
    from scaigrid.app import ADAPTERS

    known = ", ".join(sorted(ADAPTERS))
    provider = asked(
        given.provider, "--provider", f"Provider ({known})", default="openai" if sys.stdin.isatty() else None
    )
    if provider not in ADAPTERS:
        raise Failed(f"scaigrid: --provider: there is no {harmless(provider)}: {known}", WRONG)
    if given.no_provider_key:
        return provider, None
    variable: str | None = given.key_variable or _VARIABLES.get(provider, f"{provider.upper()}_API_KEY")
    if variable is not None and not variable.isidentifier():
        raise Failed(f"scaigrid: --key-variable: {harmless(variable)} is no name of a variable", WRONG)
    return provider, variable


def _options(given: Namespace, provider: str) -> dict[str, Any]:
    """The options by name, each of the type that the provider has for it."""
    import msgspec

    from scaigrid.app import ADAPTERS

    types = {field.encode_name: field.type for field in msgspec.structs.fields(ADAPTERS[provider].options)}
    found: dict[str, Any] = {}
    for said in given.option:
        name, equals, text = said.partition("=")
        if not equals or name not in types:
            known = ", ".join(types) or "there is none"
            raise Failed(f"scaigrid: --option: {harmless(said)} is no NAME=VALUE of {provider}: {known}", WRONG)
        try:
            found[name] = msgspec.to_builtins(msgspec.convert(text, types[name], strict=False))
        except msgspec.ValidationError as error:
            raise Failed(f"scaigrid: --option: {name}: {harmless(str(error))}", WRONG) from error
    return found


def _base_url(given: Namespace, provider: str, options: Mapping[str, Any], asked: Callable[..., str]) -> str | None:
    import msgspec

    from scaigrid.app import ADAPTERS

    adapter = ADAPTERS[provider]
    if adapter.transport != "http":
        return None
    try:
        public = adapter.base_url(msgspec.convert(options, adapter.options))
    except msgspec.ValidationError as error:
        raise Failed(f"scaigrid: --option: {harmless(str(error))}", WRONG) from error
    default = None if public is None else ""
    question = "Its address" if public is None else f"Its address, if not {public}"
    return asked(given.base_url, "--base-url", question, default=default) or None


def _price(text: str) -> str | None:
    from decimal import Decimal, InvalidOperation

    if not text:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise Failed(f"scaigrid: {harmless(text)} is no price: give a decimal number such as 2.50", WRONG)
    return f"{amount:f}"


def _write(file: Path, text: str, variable: str | None, *, force: bool) -> None:
    """Puts the file in place once it is known to be good."""
    from scaigrid.app import Composed
    from scaigrid.config.load import ConfigErrors, load

    draft = file.with_name(f".{file.name}.{os.getpid()}")
    env = {**os.environ, **({variable: "a-key-of-the-provider"} if variable else {})}
    try:
        draft.write_text(text)
        load(draft, Composed, env=env)
        if force:
            draft.replace(file)
        else:
            # Somebody else may have written the file since.
            with file.open("x") as made:
                made.write(text)
    except ConfigErrors as errors:
        faults = "; ".join(f"{error.key}: {error.reason}" for error in errors.errors)
        raise Failed(f"scaigrid: that makes no good configuration: {faults}", WRONG) from errors
    except OSError as error:
        raise Failed(f"scaigrid: {file}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def _ours() -> str:
    """How this command was run, as far as can be known."""
    return "uv run --no-dev scaigrid" if "UV_RUN_RECURSION_DEPTH" in os.environ else "scaigrid"


def _commands(file: Path, variable: str | None) -> list[str]:
    """How it is served."""
    ours, named = _ours(), shlex.quote(str(file))
    # Typed into `read`, a secret is neither shown nor in the shell's history.
    keys = [] if variable is None else [f"read -rs {variable}; export {variable}"]
    return [*keys, f"{ours} check {named}", f"{ours} serve {named}"]


def _calls(model: str) -> list[str]:
    """A first call, and where further keys come from."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
    call = (
        "curl http://127.0.0.1:8000/oai/v1/chat/completions -H 'Content-Type: application/json' "
        f'-H "Authorization: Bearer $SCAIGRID_API_KEY" -d {shlex.quote(body)}'
    )
    return ["read -rs SCAIGRID_API_KEY; export SCAIGRID_API_KEY", call, f"{_ours()} keys create my-app"]


COMMAND = Command(
    name="init",
    help="write a first configuration for a real provider, and show the first key once",
    arguments=_arguments,
    run=_run,
)
