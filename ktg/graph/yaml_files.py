"""Reads and writes the YAML files of users. No other module knows YAML.

Scalars follow the core schema of YAML 1.2 (yaml.org/spec/1.2.2, section 10.3), not YAML 1.1 as
PyYAML does by itself: `1e-3` is a number, `no` and `on` are text, only `true` and `false` are
booleans, `010` is ten, and there are no dates.
"""

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from ktg.errors import SpecError, WeightsError, did_you_mean, show
from ktg.graph.affinity_holes import Expand
from ktg.graph.parse import parse
from ktg.graph.parse_space import Check, parse_space
from ktg.graph.paths import make_paths_absolute
from ktg.graph.space import SearchSpace
from ktg.graph.spec import Graph
from ktg.local import atomic_write

LARGEST_BYTES = 1_000_000
MOST_VALUES = 100_000
DEEPEST = 50
_FLOW_WIDTH = 110
ENDINGS = (".yaml", ".yml")
_TAG = "tag:yaml.org,2002:"


def is_yaml(file: str | Path) -> bool:
    """Return whether a file is named as YAML.

    >>> is_yaml("space.YML"), is_yaml("photos")
    (True, False)
    """
    return str(file).lower().endswith(ENDINGS)


def load(path: Path) -> dict[str, Any]:
    """Return the mapping that the YAML file holds.

    Raises SpecError, with the file and where possible the line, when there is no such file, when it
    is not YAML in UTF-8, or when it uses what a graph never needs: tags, duplicate keys, an anchor
    inside itself, more than `MOST_VALUES` values once aliases are written out.
    """
    name = str(path)
    if not path.exists():
        beside = [p.name for p in path.parent.glob("*") if is_yaml(p)]
        what = "file" if path.suffix else "file or folder"
        raise SpecError("", f"no such {what}.{did_you_mean(path.name, beside)}", name)
    if not path.is_file():
        raise SpecError("", "is a folder or a device; give a YAML file", name)
    try:
        if path.stat().st_size > LARGEST_BYTES:
            problem = f"is larger than {LARGEST_BYTES:,} bytes; a graph or space has a few thousand"
            raise SpecError("", problem, name)
        return loads(path.read_text(encoding="utf-8-sig"), name)
    except UnicodeDecodeError:
        raise SpecError("", "is not text in UTF-8; give a YAML file", name) from None
    except OSError as error:
        raise SpecError("", f"cannot be read: {error.strerror}", name) from error


def loads(text: str, name: str) -> dict[str, Any]:
    """Return the mapping that the YAML `text` holds, as `load` does; errors call it `name`."""
    try:
        loader = _Loader(text)
        loader.name = name
        root = loader.get_single_node()
        plain = None if root is None else _Values().read(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise SpecError("", problem, place) from None
    except yaml.reader.ReaderError as error:
        place = f"{name}:{text.count(chr(10), 0, error.position) + 1}"
        problem = f"the character {text[error.position]!r} may not stand in YAML"
        raise SpecError("", problem, place) from None
    if plain is None:
        raise SpecError("", "is empty; a graph has the sections data, nodes and edges", name)
    if not isinstance(plain, dict):
        raise SpecError("", f"expected sections (key: value) at the top, got {show(plain)}", name)
    return plain


def load_graph(path: Path) -> Graph:
    """Return the graph in a file, with paths in it made absolute; errors name the file."""
    raw = load(path)
    with name_file_in_errors(path):
        return parse(make_paths_absolute(raw, path.absolute().parent))


def load_space(path: Path, check: Check | None = None, expand: Expand | None = None) -> SearchSpace:
    """Return the search space in a file, with paths in it made absolute.

    It is named after the file unless it has a name. Raises SpecError as `parse_space` does, with
    the file's name in front; `check` and `expand` are those of `parse_space`.
    """
    raw = load(path)
    with name_file_in_errors(path):
        space = parse_space(make_paths_absolute(raw, path.absolute().parent), check, expand)
    return space if space.name else replace(space, name=path.stem)


@contextlib.contextmanager
def name_file_in_errors(path: Path | str) -> Iterator[None]:
    """Put the name or address of a file before the message of a SpecError or WeightsError.

    An error that names a file already keeps that name, and `SpecError.path` stays as it is.
    """
    try:
        yield
    except SpecError as error:
        raise type(error)(error.path, error.problem, error.file or str(path)) from error
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def save(path: Path, plain: Mapping[str, Any]) -> None:
    """Write `plain` as YAML such that `load(path) == plain`, whole or not at all."""
    text = dumps(plain)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(text.encode())
        # Without this the rename may reach the disk before the content does, and a power cut in
        # between would leave an empty file.
        file.flush()
        os.fsync(file.fileno())


def dumps(plain: Mapping[str, Any]) -> str:
    """Return `plain` as YAML in its own order, with a node or an edge on one line if it fits."""
    return yaml.dump(
        dict(plain), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=sys.maxsize
    )


class _Loader(yaml.SafeLoader):
    """Composes nodes with the scalars of YAML 1.2, and refuses tags and deep nesting."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        tag = getattr(event, "tag", None)
        if tag is not None:
            problem = f"the tag {show(tag)} is not allowed; write the plain value"
            raise _problem(problem, event.start_mark)
        # PyYAML composes by recursion: a file of 5,000 brackets would end in a RecursionError.
        self._depth += 1
        if self._depth > DEEPEST:
            raise _problem(f"nested more than {DEEPEST} deep", event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Writes no anchors, and quotes text that YAML 1.1 or 1.2 would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Escape line breaks of every kind: other styles fold or lose some of them."""
        return self.represent_scalar(f"{_TAG}str", text, style=None if text.isprintable() else '"')

    def represent(self, data: Any) -> None:
        node = self.represent_data(data)
        _style(node, data, depth=0)
        self.serialize(node)


def _style(node: yaml.Node, value: Any, depth: int) -> None:
    """Put what fits on one line, except the document and sections whose entries are mappings."""
    if not isinstance(node, yaml.CollectionNode):
        return
    items = list(value.values()) if isinstance(value, Mapping) else list(value)
    holds_mappings = depth == 1 and any(isinstance(item, Mapping) for item in items)
    fits = len(json.dumps(value, default=str, ensure_ascii=False)) <= _FLOW_WIDTH
    node.flow_style = not items or (depth > 0 and fits and not holds_mappings)
    pairs = isinstance(node, yaml.MappingNode)
    children = [value for _, value in node.value] if pairs else node.value
    for child, item in zip(children, items, strict=True):
        _style(child, item, depth + 1)


def _read_integer(text: str) -> int:
    if len(text) > 1000:  # Python refuses more than 4,300, in words that say nothing about YAML
        raise ValueError("a whole number with more than 1000 digits")
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


def _read_float(text: str) -> float:
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_READERS: dict[str, Callable[[str], Any]] = {
    "null": lambda text: None,
    "bool": lambda text: text.lower() == "true",
    "int": _read_integer,
    "float": lambda text: _read_float(text.lower()),
}
_PATTERNS = (  # kind, what a plain scalar of it looks like, the characters it may start with
    ("null", r"(~|null|Null|NULL|)\Z", [*"~nN", ""]),
    ("bool", r"(true|True|TRUE|false|False|FALSE)\Z", [*"tTfF"]),
    ("int", r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z", [*"-+0123456789"]),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z", [*"-+.0123456789"]),
    ("float", r"([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z", [*"-+."]),
    ("merge", r"<<\Z", ["<"]),
)
_Dumper.add_representer(str, _Dumper.represent_text)
for _kind, _pattern, _starts in _PATTERNS:
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(_pattern), _starts)
    _Dumper.add_implicit_resolver(_TAG + _kind, re.compile(_pattern), _starts)


class _Values:
    """Turns composed nodes into plain values, and counts them.

    Without a bound, a few lines of aliases to aliases ("billion laughs") would fill the memory.
    """

    def __init__(self) -> None:
        self._count = 0
        self._open: set[int] = set()

    def read(self, node: yaml.Node) -> Any:
        self._count += 1
        if self._count > MOST_VALUES:
            problem = f"more than {MOST_VALUES:,} values once aliases are written out"
            raise _problem(problem, node.start_mark)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise _problem("an anchor that contains itself", node.start_mark)
        if len(self._open) >= DEEPEST:
            problem = f"nested more than {DEEPEST} deep once aliases are written out"
            raise _problem(problem, node.start_mark)
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            value: Any = self._mapping(node)
        else:
            value = [self.read(item) for item in node.value]
        self._open.remove(id(node))
        return value

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind = node.tag.removeprefix(_TAG)
        try:
            return _READERS.get(kind, str)(node.value)
        except ValueError as error:
            raise _problem(str(error), node.start_mark) from None

    def _mapping(self, node: yaml.MappingNode) -> dict[Any, Any]:
        merged: dict[Any, Any] = {}
        own: dict[Any, Any] = {}
        lines: dict[Any, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _problem("a key must be text", key_node.start_mark)
            key, mark = self._scalar(key_node), key_node.start_mark
            if key in lines:
                first = f"{mark.name}:{lines[key]}"
                raise _problem(f"the key {show(key)} is given twice, first at {first}", mark)
            lines[key] = mark.line + 1
            if key_node.tag == _TAG + "merge":
                merged = self._merge(value_node)
            else:
                own[key] = self.read(value_node)
        return merged | own

    def _merge(self, node: yaml.Node) -> dict[Any, Any]:
        """Return what `<<:` points to; of several mappings the earlier one wins."""
        value = self.read(node)
        merged: dict[Any, Any] = {}
        for mapping in value if isinstance(value, list) else [value]:
            if not isinstance(mapping, dict):
                problem = f"`<<` takes a mapping or a list of them, got {show(mapping)}"
                raise _problem(problem, node.start_mark)
            merged = mapping | merged
        return merged


def _problem(problem: str, mark: yaml.Mark | None) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
