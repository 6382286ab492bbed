"""Build the wheel, install it where the checkout is out of reach, and have the installed command serve two calls.

What a person gets is the wheel and requirements.lock. So the environment is made from those two alone, in a temporary
folder, and everything runs from an empty one: a file that the wheel lacks, a module that a checkout lends by accident
or a dependency that only the dev group has shows here and nowhere else.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import tomllib
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("scaigrid", "middlewares", "adapters")
DEMO = ROOT / "config" / "demo.yaml"
DEMO_KEY = "sgk_demo_0123456789abcdef0123456789abcdef"
DEMO_MODEL = "demo/chat"
START_SECONDS = 30.0
STOP_SECONDS = 15.0
# Nothing that points back at the checkout or at the environment this script runs in.
CLEAN = {
    name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "UV_PROJECT"))
}


class SmokeError(Exception):
    """What is wrong with the wheel, for the log."""


def say(text: str) -> None:
    """One line of the log, at once."""
    print(f"smoke: {text}", flush=True)


def run(*command: str | Path, folder: Path) -> str:
    """Run a command to its end in `folder`; its output, or a SmokeError with it."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=CLEAN,
        text=True,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        raise SmokeError(f"{' '.join(map(str, command))} exited with {done.returncode}:\n{done.stdout}")
    return done.stdout.strip()


def build(into: Path) -> Path:
    """Build the wheel from the checkout, by way of the sdist as an index user would."""
    run("uv", "build", "--quiet", "--out-dir", into, folder=ROOT)
    (wheel,) = into.glob("*.whl")
    return wheel


def verify_contents(wheel: Path) -> int:
    """The wheel holds every file of the three packages that is or could be committed, and nothing more."""
    listing = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *ROOMS, folder=ROOT)
    source = {name for name in listing.splitlines() if (ROOT / name).is_file()}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    packed = {name for name in packed if not name.split("/")[0].endswith(".dist-info")}
    if packed != source:
        raise SmokeError(
            f"missing in the wheel: {sorted(source - packed)}; only in the wheel: {sorted(packed - source)}"
        )
    return len(packed)


def install(wheel: Path, folder: Path) -> Path:
    """Make an environment in `folder` from requirements.lock and the wheel alone; its folder of commands."""
    environment = folder / "venv"
    run("uv", "venv", "--quiet", "--python", sys.executable, environment, folder=folder)
    python = environment / "bin" / "python"
    pip = ("uv", "pip", "install", "--quiet", "--python", python)
    run(*pip, "--require-hashes", "-r", ROOT / "requirements.lock", folder=folder)
    run(*pip, "--no-deps", wheel, folder=folder)
    run("uv", "pip", "check", "--quiet", "--python", python, folder=folder)
    return environment / "bin"


def verify_origin(commands: Path, folder: Path) -> None:
    """The three packages come from the new environment, not from the checkout."""
    for room in ROOMS:
        origin = run(commands / "python", "-c", f"import {room}; print({room}.__file__)", folder=folder)
        if not Path(origin).is_relative_to(commands.parent):
            raise SmokeError(f"{room} was imported from {origin}")


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(commands: Path, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`scaigrid serve demo.yaml` in `folder`, its output in server.log; killed if it still runs at the end."""
    command = [str(commands / "scaigrid"), "serve", "demo.yaml", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=CLEAN, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield server
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()


def await_ready(server: subprocess.Popen[bytes], url: str) -> None:
    """Ask until the gateway says that it is ready; a gateway that ends first, or never is, is an error."""
    deadline = monotonic() + START_SECONDS
    while monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        try:
            raise SmokeError(f"the gateway ended with {server.wait(timeout=0.05)} before it was ready")
        except subprocess.TimeoutExpired:
            continue
    raise SmokeError(f"not ready after {START_SECONDS:.0f} s")


def ask(url: str, stream: bool) -> tuple[bytes, str]:
    """One chat call with the demo key, as a client without any SDK makes it; the body of the answer and its id."""
    body = {"model": DEMO_MODEL, "messages": [{"role": "user", "content": "Say hello."}], "stream": stream}
    headers = {"authorization": f"Bearer {DEMO_KEY}", "content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            text, identifier = answer.read(), answer.headers["x-request-id"]
    except urllib.error.HTTPError as refusal:
        raise SmokeError(f"{url} answered {refusal.code}: {refusal.read().decode(errors='replace')}") from refusal
    except OSError as broken:
        raise SmokeError(f"{url} did not answer: {broken}") from broken
    if not identifier:
        raise SmokeError("the answer has no x-request-id")
    return text, identifier


def call(url: str) -> str:
    """A plain call; what to log about the answer."""
    text, identifier = ask(url, stream=False)
    content = json.loads(text)["choices"][0]["message"]["content"]
    if not content:
        raise SmokeError(f"the answer has no text: {text!r}")
    return f"200, x-request-id {identifier}, {len(content)} characters"


def call_streamed(url: str) -> str:
    """A streamed call, read to its end; what to log about the answer."""
    text, identifier = ask(url, stream=True)
    *events, end = [line.removeprefix("data: ") for line in text.decode().splitlines() if line.startswith("data: ")]
    choices = [choice for event in events for choice in json.loads(event)["choices"]]
    content = "".join(choice["delta"].get("content") or "" for choice in choices)
    if end != "[DONE]" or not content:
        raise SmokeError(f"the stream has no text or no end: {text!r}")
    return f"200, x-request-id {identifier}, {len(content)} characters in {len(events)} events"


def serve_two_calls(commands: Path, folder: Path) -> None:
    """Start, be ready, answer in one piece and as a stream, stop on SIGTERM with 0."""
    port = free_port()
    with serving(commands, folder, port) as server:
        begun = monotonic()
        await_ready(server, f"http://127.0.0.1:{port}/health/ready")
        say(f"ready after {monotonic() - begun:.1f} s")
        chat = f"http://127.0.0.1:{port}/oai/v1/chat/completions"
        say("chat: " + call(chat))
        say("streamed chat: " + call_streamed(chat))
        begun = monotonic()
        server.send_signal(signal.SIGTERM)
        try:
            code = server.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise SmokeError(f"still running {STOP_SECONDS:.0f} s after SIGTERM") from None
        if code:
            raise SmokeError(f"exit code {code} after SIGTERM")
        say(f"stopped {monotonic() - begun:.1f} s after SIGTERM, exit code 0")


def smoke(temporary: Path) -> None:
    """The whole story."""
    wheel = build(temporary / "dist")
    say(f"built {wheel.name}, {verify_contents(wheel)} files of the three packages")
    commands = install(wheel, temporary)
    away = temporary / "away"
    away.mkdir()
    verify_origin(commands, away)
    say("installed from requirements.lock and the wheel, away from the checkout")
    version = run(commands / "scaigrid", "--version", folder=away)
    expected: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    if expected not in version.split():
        raise SmokeError(f"scaigrid --version says {version!r}, pyproject.toml says {expected}")
    say(f"scaigrid --version: {version}")
    shutil.copy(DEMO, away / "demo.yaml")
    say(f"scaigrid check demo.yaml: {run(commands / 'scaigrid', 'check', 'demo.yaml', folder=away) or 'fine'}")
    try:
        serve_two_calls(commands, away)
    except SmokeError as error:
        raise SmokeError(f"{error}\n{(away / 'server.log').read_text(errors='replace')[-4000:]}") from None


def main() -> int:
    """0 when the wheel serves, else 1 with the reason on standard error."""
    with tempfile.TemporaryDirectory(prefix="scaigrid-smoke-") as name:
        try:
            smoke(Path(name))
        except SmokeError as error:
            print(f"smoke: {error}", file=sys.stderr)
            return 1
    say("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
