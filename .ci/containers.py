"""Lint what the gateway is put into containers with: the Dockerfile, the compose file and the chart.

    uv run --isolated --only-group containers python .ci/containers.py

No container is made and no cluster is asked. The chart is rendered by Helm's own library for each of the values below,
and every manifest is held against the schemas of Kubernetes, strictly: a field that there is not is an error.
"""

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

# They are in a group of their own, for they are large: where the types are checked they are not there.
helm: Any = importlib.import_module("helm_python")
kubernetes: Any = importlib.import_module("kubernetes_validate")

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "scaigrid"
RELEASES = ("1.29", "1.37")
"""Of Kubernetes: the oldest that the chart takes, and the newest whose schemas are at hand."""
SERVED: Mapping[str, Any] = {"config": {"store": {"type": "memory"}, "server": {"workers": 2}}}
VALUES: Mapping[str, Mapping[str, Any]] = {
    "plain": SERVED,
    "elsewhere": {
        "existingConfigMap": "ours",
        "secrets": ["database", "providers"],
        "serviceAccount": {"name": "ours"},
        "service": {"type": "LoadBalancer", "annotations": {"team": "platform"}},
        "image": {"repository": "registry.example/scaigrid", "tag": "1.2.3", "pullSecrets": ["registry"]},
    },
    "persistent": {**SERVED, "journal": {"persistent": True, "storageClass": "fast"}},
    "scaled": {
        **SERVED,
        "autoscaling": {"enabled": True, "max": 40},
        "disruptionBudget": {"maxUnavailable": "25%"},
        "env": [{"name": "TZ", "value": "UTC"}],
        "nodeSelector": {"pool": "gateways"},
        "tolerations": [{"key": "gateways", "operator": "Exists"}],
        "podLabels": {"team": "platform"},
        "podAnnotations": {"team": "platform"},
    },
}
YAML_RULES = """
extends: default
rules:
  line-length: {max: 120}
  document-start: disable
  braces: {max-spaces-inside: 1}
  comments: {min-spaces-from-content: 1}
"""
REFUSED: Mapping[str, Mapping[str, Any]] = {
    "nothing to serve": {},
    "a key that there is not": {**SERVED, "replica": 3},
    "times said twice": {"config": {"server": {"drain_seconds": 3}}},
    "no gateway": {**SERVED, "replicas": 0},
}


class WrongError(Exception):
    """What is wrong, for the log."""


def run(*command: str) -> None:
    """A tool of this environment, over files of the checkout."""
    tool = Path(sys.executable).with_name(command[0])
    done = subprocess.run([str(tool), *command[1:]], cwd=ROOT, text=True, capture_output=True, check=False)
    if done.returncode:
        raise WrongError(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}".rstrip())


def dockerfile() -> str:
    """The Dockerfile, to the last remark of its linter."""
    run("hadolint", "--failure-threshold", "style", "Dockerfile")
    return "Dockerfile"


def yaml_files() -> str:
    """All YAML that is no template."""
    files = [path for path in sorted(DEPLOY.rglob("*.yaml")) if path.parent.name != "templates"]
    run("yamllint", "--strict", "--config-data", YAML_RULES, *(str(path.relative_to(ROOT)) for path in files))
    return f"{len(files)} YAML files"


def compose() -> str:
    """The compose file against the schema of the specification."""
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")
    return "deploy/compose.yaml"


def chart() -> str:
    """The chart: linted, rendered and held against Kubernetes' schemas; and what it must refuse, it refuses."""
    count = 0
    for name, values in VALUES.items():
        report = helm.lint(CHART, dict(values), strict=True)
        if report["errors"]:
            raise WrongError(f"chart, {name}: {'; '.join(report['errors'])}")
        for manifest in rendered(values):
            count += 1
            for release in RELEASES:
                try:
                    kubernetes.validate(manifest, release, strict=True)
                except kubernetes.ValidationError as error:
                    raise WrongError(f"chart, {name}, {manifest['kind']}: {error.message}") from error
            confined(name, manifest)
    for name, values in REFUSED.items():
        try:
            list(rendered(values))
        except helm.HelmError:
            continue
        raise WrongError(f"chart: it takes {name}")
    return f"{count} manifests of the chart"


def rendered(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each manifest that the chart makes of these values."""
    with helm.Chart.load(CHART) as loaded:
        loaded.validate_schema(dict(values))
        for text in loaded.render(dict(values), name="gw", namespace="llm").values():
            yield from (manifest for manifest in yaml.safe_load_all(text) if manifest)


def confined(name: str, manifest: Mapping[str, Any]) -> None:
    """What runs is confined, is asked how it is, and has the time that its own settings take."""
    if manifest["kind"] not in {"Deployment", "StatefulSet"}:
        return
    spec = manifest["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    of_pod, of_container = spec["securityContext"], container["securityContext"]
    wanted = {
        "not root": of_pod["runAsNonRoot"] and of_pod["runAsUser"] > 0,
        "seccomp": of_pod["seccompProfile"]["type"] == "RuntimeDefault",
        "a root that is read": of_container["readOnlyRootFilesystem"],
        "no more rights": not of_container["allowPrivilegeEscalation"],
        "no capability": of_container["capabilities"]["drop"] == ["ALL"],
        "no token": spec["automountServiceAccountToken"] is False,
        "all three probes": {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys(),
        "time to stop": spec["terminationGracePeriodSeconds"] == 10 + 30 + 20,
        "replicas or an autoscaler": bool(manifest["spec"].get("replicas")) != (name == "scaled"),
    }
    missing = [what for what, there in wanted.items() if not there]
    if missing:
        raise WrongError(f"chart, {name}: {manifest['kind']} lacks {', '.join(missing)}")


CHECKS: tuple[Callable[[], str], ...] = (dockerfile, yaml_files, compose, chart)


def main() -> int:
    """0 where all is well; else 1, with everything that is wrong on standard error."""
    wrong = 0
    for check in CHECKS:
        try:
            print(f"containers: {check()}: fine", flush=True)
        except (WrongError, helm.HelmError) as error:
            wrong += 1
            print(f"containers: {error}", file=sys.stderr)
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
