"""Makes the paths in a graph or space absolute or relative to their file, and lists them.

In memory they are absolute, so that a graph means the same wherever the program runs. In a file
they are relative where that helps, so that a folder can be moved.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ktg.graph.parse import dump
from ktg.graph.spec import Graph
from ktg.graph.vocabulary import AUTO, FEATURES

WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".pth.tar")
_HOLE_WORDS = ("choice", "affinity", "among")  # what may stand between a key and the paths under it


def make_paths_absolute(raw: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return a graph or space in which relative paths start at `base`, the folder of its file.

    These are `path`, `unlabelled` and `groups` of `data`, the `path` and `labels` of every source,
    the files in `weights`, an edge's `distance` and a node's `source` where they are files and not
    names (a source is one if it starts with `.`, `/` or `~`, or ends like a file of weights). The
    options of a hole are treated alike.
    """

    def lengthen(path: str) -> str:
        return os.path.normpath(base / (Path.home() / path[2:] if path.startswith("~/") else path))

    return _change_paths(raw, lengthen)


def make_paths_relative(raw: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return a graph or space for a file in the folder `base`: paths start with `./` or `../`.

    `make_paths_absolute` with the same `base` restores them. A path that shares nothing with `base`
    but the root of the file system stays absolute.
    """

    def shorten(path: str) -> str:
        if not Path(path).is_absolute() or os.path.commonpath([path, base]) == Path(path).anchor:
            return path
        relative = os.path.relpath(path, base)
        return relative if relative.startswith("../") else f"./{relative}"

    return _change_paths(raw, shorten)


def list_files(graph: Graph) -> list[str]:
    """Return the files and folders that training a graph reads, each once.

    These are all paths of the graph but `labels`, which only affinity scores read, and teachers
    whose weights are final.
    """
    found: list[str] = []

    def note(path: str) -> str:
        found.append(path)
        return path

    _change_paths(dump(graph), note)
    if any(node.epochs == 0 for node in graph.nodes.values()):
        return list(dict.fromkeys(found))
    labels = {file.labels for file in (*graph.sources.values(), *graph.weights.values())}
    return [path for path in dict.fromkeys(found) if path not in labels]


def _change_paths(raw: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Return `raw` with `change` applied to every path in it: the one list of where paths stand."""
    named = raw.get("sources")
    names = set(named) if isinstance(named, Mapping) else set()

    def change_source(source: str) -> str:
        return change(source) if source not in names and _is_file_name(source) else source

    def change_distance(distance: str) -> str:
        return distance if distance == FEATURES else change(distance)

    def change_unlabelled(path: str) -> str:
        return path if path == AUTO else change(path)

    of_file = {"path": change, "labels": change}
    changes: dict[str, Mapping[str, Callable[[str], str]]] = {
        "data": {"path": change, "unlabelled": change_unlabelled, "groups": change},
        "sources": of_file,
        "nodes": {"source": change_source},
        "edges": {"distance": change_distance},
    }
    changed = {
        section: _change_in(value, "", changes[section]) if section in changes else value
        for section, value in raw.items()
    }
    if isinstance(files := raw.get("weights"), Mapping):
        # By model, each a path or a mapping that has one: a bare text counts as a `path`.
        changed["weights"] = {
            model: _change_in(file, "path", of_file) for model, file in files.items()
        }
    return changed


def _change_in(value: Any, key: str, changes: Mapping[str, Callable[[str], str]]) -> Any:
    """Return `value` with every text changed that is under one of some keys, also inside a hole.

    `key` is the last key above `value` that is not the word of a hole. changes: by key.
    """
    if isinstance(value, Mapping):
        return {k: _change_in(v, key if k in _HOLE_WORDS else k, changes) for k, v in value.items()}
    if isinstance(value, list):
        return [_change_in(item, key, changes) for item in value]
    return changes[key](value) if isinstance(value, str) and value and key in changes else value


def _is_file_name(source: str) -> bool:
    return source.startswith((".", "/", "~/")) or source.endswith(WEIGHT_SUFFIXES)
