"""Finds, among the paths of a dialect, what is asked of something that a provider keeps."""

from collections.abc import Mapping

from scaigrid.dialect import Resource


def find(resources: Mapping[str, Mapping[str, Resource]], path: str) -> tuple[Mapping[str, Resource], str] | None:
    """What `Dialect.resources` has at `path`, by method, and the name in the path; None where it has nothing."""
    for template, methods in resources.items():
        ahead, _, rest = template.partition("{")
        behind = rest.partition("}")[2]
        if path.startswith(ahead) and path.endswith(behind):
            name = path[len(ahead) : len(path) - len(behind)]
            if name and "/" not in name:
                return methods, name
    return None
