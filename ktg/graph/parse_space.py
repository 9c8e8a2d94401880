"""From plain data to a `SearchSpace` in which every option of every hole is known to be valid."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ktg.errors import SpecError, not_one_of, show
from ktg.graph.affinity_holes import Expand, with_sources
from ktg.graph.canonical import is_taught
from ktg.graph.fields import join, mapping, read
from ktg.graph.holes import (
    HOLE_WORDS,
    Affinity,
    Choice,
    Hole,
    has_hole_word,
    hole_inside,
    read_hole,
)
from ktg.graph.parse import by_line, edge_path, normalise, split_edge
from ktg.graph.paths import absolute_paths
from ktg.graph.search_settings import Search
from ktg.graph.space import SearchSpace
from ktg.graph.spec import Graph
from ktg.graph.yaml_files import load, naming

_WITH_HOLES = ("data", "train", "sources", "nodes", "edges")
_WITHOUT_HOLES = ("version", "name", "search", "target", "weights", "provenance")
_OF_NAMES = ("sources", "nodes", "edges")
_MAPPINGS = ("model_args", "formula")  # fields that are mappings themselves
_TITLE = re.compile(r"[^\s./\\][^/\\\x00-\x1f]{0,99}")

Check = Callable[[Graph], None]


def parse_space(
    raw: Mapping[str, Any], check: Check | None = None, expand: Expand | None = None
) -> SearchSpace:
    """Return the search space that `raw` describes, after trying every option of every hole once.

    expand: says which sources a pattern such as `zoo/*` in an affinity hole stands for; default:
    patterns stay.

    Each option (of a range: both ends) is put in with all other holes at their default, parsed, and
    given to `check`, which may raise SpecError for what the format alone cannot know, such as names
    of models. Raises SpecError at the option, for example `nodes.n1.model.choice[2]`, and when no
    option ever teaches the target.
    """
    for section in mapping(raw, ""):
        _no_hole_outside(section, raw[section])
    plain = normalise(raw, extra_sections=("name", "search"))
    search = read(Search, plain.pop("search", {}), "search")
    name = _title(plain.pop("name", None))
    with by_line(raw["edges"], plain["edges"]):
        found = {path: (place, read_hole(hole, path)) for path, place, hole in _holes(plain)}
        space = SearchSpace(
            name=name,
            search=search,
            holes={path: hole for path, (_, hole) in found.items()},
            places={path: place for path, (place, _) in found.items()},
            template=plain,
        )
        space = with_sources(space, expand) if expand else space
        _check_options(space, check or (lambda graph: None))
    return space


def load_space(path: Path, check: Check | None = None, expand: Expand | None = None) -> SearchSpace:
    """Return the search space in a file, with paths in it made absolute and named after the file unless it has a name.

    Raises SpecError as `parse_space` does, with the file's name in front.
    """
    raw = load(path)
    with naming(path):
        space = parse_space(absolute_paths(raw, path.absolute().parent), check, expand)
    return space if space.name else dataclasses.replace(space, name=path.stem)


def is_space(raw: object) -> bool:
    """Return whether plain data is meant as a search space: it has a hole or the section `search`."""
    if not isinstance(raw, Mapping):
        return False
    named = [raw[section] for section in _OF_NAMES if isinstance(raw.get(section), Mapping)]
    contents = [
        raw.get("data"),
        raw.get("train"),
        *(value for section in named for value in section.values()),
    ]
    return "search" in raw or any(hole_inside(content, "here") for content in contents)


def _no_hole_outside(section: str, content: object) -> None:
    """Raise for a hole in a section without holes, or in place of a whole section of names."""
    if section in _WITHOUT_HOLES and (hole := hole_inside(content, section)):
        raise SpecError(
            hole, f"a hole is not allowed here; holes stand for values in {', '.join(_WITH_HOLES)}"
        )
    if section in _OF_NAMES and isinstance(content, Mapping):
        for word in HOLE_WORDS:
            if word in content and not isinstance(content[word], Mapping):
                raise SpecError(
                    section,
                    f"names cannot be a hole, only what they stand for; got the key {word!r}",
                )


def _title(name: object) -> str | None:
    if name is None or (isinstance(name, str) and _TITLE.fullmatch(name)):
        return name
    raise SpecError(
        "name",
        f"expected a name for the search of at most 100 letters, without slashes, got {show(name)}",
    )


def _holes(plain: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...], Mapping[str, Any]]]:
    """Yield the dotted path, the place and the content of every mapping that stands for a hole."""
    for section in _WITH_HOLES:
        content = plain.get(section)
        if section not in _OF_NAMES:
            yield from _holes_in(content, section, (section,))
            continue
        for key, value in content.items() if isinstance(content, Mapping) else ():
            path = edge_path(*split_edge(key)) if section == "edges" else f"{section}.{key}"
            yield from _holes_in(value, path, (section, key))


def _holes_in(
    value: object, path: str, place: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    if isinstance(value, list) and (inner := hole_inside(value, path)):
        raise SpecError(
            inner,
            "a hole inside a list is not allowed; make each whole list an option: {choice: [[...]]}",
        )
    if not isinstance(value, Mapping):
        return
    if has_hole_word(value):
        yield path, place, value
        return
    for key, item in mapping(value, path).items():
        deeper = join(path, key)
        if (
            isinstance(item, Mapping)
            and len(item) == 1
            and key not in _MAPPINGS
            and not has_hole_word(item)
        ):
            raise not_one_of(deeper, next(iter(item)), "a kind of hole", HOLE_WORDS)
        yield from _holes_in(item, deeper, (*place, key))


def _check_options(space: SearchSpace, check: Check) -> None:
    default = space.default()
    graphs = [_tried(space, default, None, check)]
    for path, hole in space.holes.items():
        graphs += [
            _tried(space, default | {path: option}, path, check)
            for option in hole.options_to_check()
        ]
    if not any(is_taught(graph) for graph in graphs):
        problem = "every edge into it is missing or cut off, whatever the holes are filled with"
        raise SpecError("edges", f"nothing teaches the target {graphs[0].target!r}: {problem}")


def _tried(space: SearchSpace, values: Mapping[str, Any], tried: str | None, check: Check) -> Graph:
    """Return the graph with these values; an error is raised at the option that causes it."""
    try:
        graph = space.fill(values)
        check(graph)
    except SpecError as error:
        for path, hole in space.holes.items():
            if error.path == path or error.path.startswith((f"{path}.", f"{path}[")):
                place = option_path(path, hole, values[path]) + error.path.removeprefix(path)
                raise SpecError(place, error.problem) from error
        if tried is None:
            raise
        raise SpecError(
            option_path(tried, space.holes[tried], values[tried]), f"with this, {error}"
        ) from error
    return graph


def option_path(path: str, hole: Hole, value: object) -> str:
    """Return `path.choice[i]` for an option, `path.log[0]` and `[1]` for the ends of a range, `path.log` within it."""
    for i, option in enumerate(hole.options_to_check()):
        if option is value or (not isinstance(hole, Choice) and option == value):
            listed = ".among" if isinstance(hole, Affinity) else ""
            return f"{path}.{hole.word}{listed}[{i}]"
    return f"{path}.{hole.word}"
