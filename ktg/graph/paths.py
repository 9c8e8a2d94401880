"""The paths in a graph or search space: absolute in memory, relative to their file on the disk."""

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from ktg.graph.spec import FEATURES

_WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
_HOLE_WORDS = ("choice", "affinity", "among")  # what may stand between a key and the paths under it


def absolute_paths(raw: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return a graph or space in which relative paths start at `base`, the folder of its file.

    These are `data.path` and `data.unlabelled`, the `path` and `labels` of every source, the files
    in `weights`, an edge's `distance` and a node's `source` where they are files and not names (a
    source is one if it starts with `.`, `/` or `~`, or ends like a file of weights). The options of
    a hole are treated alike.
    """

    def lengthen(path: str) -> str:
        return os.path.normpath(base / (Path.home() / path[2:] if path.startswith("~/") else path))

    return _change_paths(raw, lengthen)


def relative_paths(raw: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return a graph or space for a file in the folder `base`: absolute paths become relative to it, as `./` or `../`.

    `absolute_paths` with the same `base` restores them; a folder that holds the file and its data
    can be moved. A path that shares nothing with `base` but the root of the file system stays
    absolute.
    """

    def shorten(path: str) -> str:
        if not Path(path).is_absolute() or os.path.commonpath([path, base]) == Path(path).anchor:
            return path
        relative = os.path.relpath(path, base)
        return relative if relative.startswith("../") else f"./{relative}"

    return _change_paths(raw, shorten)


def _change_paths(raw: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    named = raw.get("sources")
    names = set(named) if isinstance(named, Mapping) else set()

    def change_source(source: str) -> str:
        return source if source in names or not _is_file_name(source) else change(source)

    changes = {
        "data": (("path", "unlabelled"), change),
        "sources": (("path", "labels"), change),
        "nodes": (("source",), change_source),
        "edges": (
            ("distance",),
            lambda distance: distance if distance == FEATURES else change(distance),
        ),
    }
    changed = {
        section: _mapped(value, "", *changes[section]) if section in changes else value
        for section, value in raw.items()
    }
    if isinstance(
        files := raw.get("weights"), Mapping
    ):  # by model, each a path or a mapping that has one
        changed["weights"] = {
            model: _mapped(file, "path", ("path", "labels"), change)
            for model, file in files.items()
        }
    return changed


def _mapped(value: Any, key: str, wanted: Collection[str], change: Callable[[str], str]) -> Any:
    """Return `value` with every text under the keys `wanted` changed, also where it is an option of a hole."""
    if isinstance(value, Mapping):
        return {
            k: _mapped(v, key if k in _HOLE_WORDS else k, wanted, change) for k, v in value.items()
        }
    if isinstance(value, list):
        return [_mapped(item, key, wanted, change) for item in value]
    return change(value) if isinstance(value, str) and value and key in wanted else value


def _is_file_name(source: str) -> bool:
    return source.startswith((".", "/", "~/")) or source.endswith(_WEIGHTS_SUFFIXES)
