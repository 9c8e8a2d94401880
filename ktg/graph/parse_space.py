"""Parses plain data to a `SearchSpace`, and tries every option of every hole once."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ktg.errors import SpecError, did_you_mean, not_one_of, show
from ktg.graph.affinity_holes import Expand, expand_patterns
from ktg.graph.canonical import target_learns
from ktg.graph.fields import check_mapping, from_plain, join_path
from ktg.graph.holes import (
    HOLE_WORDS,
    Affinity,
    Choice,
    Hole,
    find_hole,
    has_hole_word,
    read_hole,
)
from ktg.graph.parse import edge_path, name_pattern_line, normalise, split_edge
from ktg.graph.space import Search, SearchSpace
from ktg.graph.spec import Graph
from ktg.graph.vocabulary import AUTO, FORMULAS

_WITH_HOLES = ("data", "train", "sources", "nodes", "edges")
_WITHOUT_HOLES = ("version", "name", "search", "target", "weights", "provenance")
_OF_NAMES = ("sources", "nodes", "edges")
_MAPPINGS = ("model_args", "formula")  # fields that are mappings themselves
_TITLE = re.compile(r"[^\s./\\][^/\\\x00-\x1f]{0,99}")
# What a search did before version 2 of the format, where nothing was said.
_FIRST_DEFAULTS: Mapping[str, Any] = {"scheduler": "asha", "alone_share": 0, "race_share": 0}

Check = Callable[[Graph], None]


def parse_space(
    raw: Mapping[str, Any], check: Check | None = None, expand: Expand | None = None
) -> SearchSpace:
    """Return the search space that `raw` describes, after trying every option of every hole once.

    Each option (of a range: both ends) is filled in with all other holes at their default, parsed,
    and given to `check`, which may raise SpecError for what the format alone cannot know, such as
    names of models. So a wrong third option fails in the first second and not in trial 57.

    expand: returns the sources that a pattern such as `zoo/*` in an affinity hole stands for;
    without it patterns stay.

    Raises SpecError at the option, for example `nodes.n1.model.choice[2]`, and when the target has
    no teacher whatever the options are.
    """
    for section in check_mapping(raw, ""):
        _check_section(section, raw[section])
    plain = normalise(raw, extra_sections=("name", "search"))
    search = _read_search(plain.pop("search", {}), plain["version"])
    name = read_title(plain.pop("name", None))
    with name_pattern_line(raw["edges"], plain["edges"]):
        found = {path: (place, read_hole(hole, path)) for path, place, hole in _find_holes(plain)}
        space = SearchSpace(
            name=name,
            search=search,
            holes={path: hole for path, (_, hole) in found.items()},
            places={path: place for path, (place, _) in found.items()},
            template=plain,
        )
        _check_auto(space)
        space = expand_patterns(space, expand) if expand else space
        _check_options(space, check or (lambda graph: None))
        _check_opening(space)
    _check_folds(space)
    return space


def _read_search(raw: object, version: int) -> Search:
    """Return the settings of a search; what is not said has the default of the format's version."""
    defaults = _FIRST_DEFAULTS if version == 1 else {}
    search = from_plain(Search, {**defaults, **check_mapping(raw, "search")}, "search")
    try:
        _ = search.budget_s
    except ValueError:
        allowed = "allowed: a time such as 90s, 30m, 2h or 1h30m"
        raise SpecError("search.budget", f"{show(search.budget)} is no time; {allowed}") from None
    return search


def _check_folds(space: SearchSpace) -> None:
    """Raise SpecError for folds of a search whose data cannot be cut, or are cut already."""
    if space.search.folds is None:
        return
    data = space.fill(space.default()).data
    if data.folds is not None or "data.folds" in space.holes:
        raise SpecError("search.folds", "data.folds holds out one fold for all; leave out one")
    if data.name in FORMULAS:
        problem = f"does not go with images drawn by a formula ({data.name}); leave it out"
        raise SpecError("search.folds", problem)


def is_space(raw: object) -> bool:
    """Return whether plain data is meant as a space: it has a hole or the section `search`."""
    if not isinstance(raw, Mapping):
        return False
    named = [raw[section] for section in _OF_NAMES if isinstance(raw.get(section), Mapping)]
    inner = (value for section in named for value in section.values())
    contents = [raw.get("data"), raw.get("train"), *inner]
    return "search" in raw or any(find_hole(content, "here") for content in contents)


def _check_section(section: str, content: object) -> None:
    """Raise for a hole in a section without holes, or in place of a whole section of names."""
    if section in _WITHOUT_HOLES and (hole := find_hole(content, section)):
        problem = f"a hole is not allowed here; holes stand for values in {', '.join(_WITH_HOLES)}"
        raise SpecError(hole, problem)
    if section in _OF_NAMES and isinstance(content, Mapping):
        for word in HOLE_WORDS:
            # A node may well be called `choice`: then the key holds a mapping, never a list.
            if word in content and not isinstance(content[word], Mapping):
                problem = "names cannot be a hole, only what they stand for"
                raise SpecError(section, f"{problem}; got the key {word!r}")


def read_title(name: object) -> str | None:
    """Return the name of a search, None for none. Raises SpecError for what cannot be one."""
    if name is None or (isinstance(name, str) and _TITLE.fullmatch(name)):
        return name
    wanted = "a name for the search of 1 to 100 letters, without slashes or a dot in front"
    raise SpecError("name", f"expected {wanted}, got {show(name)}")


def _find_holes(
    plain: Mapping[str, Any],
) -> Iterator[tuple[str, tuple[str, ...], Mapping[str, Any]]]:
    """Yield the dotted path, the place and the content of every mapping that stands for a hole."""
    for section in _WITH_HOLES:
        content = plain.get(section)
        if section not in _OF_NAMES:
            yield from _find_holes_in(content, section, (section,))
            continue
        for key, value in content.items() if isinstance(content, Mapping) else ():
            path = edge_path(*split_edge(key)) if section == "edges" else f"{section}.{key}"
            yield from _find_holes_in(value, path, (section, key))


def _find_holes_in(
    value: object, path: str, place: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    if isinstance(value, list) and (inner := find_hole(value, path)):
        problem = "a hole inside a list is not allowed; make each whole list an option"
        raise SpecError(inner, f"{problem}: {{choice: [[...]]}}")
    if not isinstance(value, Mapping):
        return
    if has_hole_word(value):
        yield path, place, value
        return
    for key, item in check_mapping(value, path).items():
        deeper = join_path(path, key)
        # One key in place of a value is most likely a misspelt hole, such as {choise: [...]}.
        lone = isinstance(item, Mapping) and len(item) == 1 and key not in _MAPPINGS
        if lone and not has_hole_word(item):
            raise not_one_of(deeper, next(iter(item)), "a kind of hole", HOLE_WORDS)
        yield from _find_holes_in(item, deeper, (*place, key))


def _check_options(space: SearchSpace, check: Check) -> None:
    default = space.default()
    graphs = [_try_option(space, default, None, check)]
    for path, hole in space.holes.items():
        graphs += [
            _try_option(space, default | {path: option}, path, check)
            for option in hole.options_to_check()
        ]
    if not any(target_learns(graph) for graph in graphs):
        problem = "every edge into it is missing or cut off, whatever the holes are filled with"
        raise SpecError("edges", f"nothing teaches the target {graphs[0].target!r}: {problem}")


def _check_auto(space: SearchSpace) -> None:
    """Raise SpecError for `auto` among the options of a hole, or beside a hole."""
    problem = "auto is chosen once, before the search"
    for name, node in space.template["nodes"].items():
        for field, other in (("model", "source"), ("source", "model")):
            path = f"nodes.{name}.{field}"
            options = space.holes[path].options_to_check() if path in space.holes else ()
            for option in options:
                if option == AUTO:
                    place = option_path(path, space.holes[path], option)
                    raise SpecError(place, f"{problem}, so it is no option; say it by itself")
            if options and node.get(other) == AUTO:
                raise SpecError(path, f"{problem}, so no hole goes with {other}: auto; name one")


def _check_opening(space: SearchSpace) -> None:
    """Raise SpecError for a value of `search.opening` that its hole does not allow."""
    for place, values in enumerate(space.search.opening):
        for path, value in values.items():
            at, hole = f"search.opening[{place}].{path}", space.holes.get(path)
            if hole is None:
                raise SpecError(
                    at, f"this space has no such hole.{did_you_mean(path, space.holes)}"
                )
            if not hole.contains(value):
                allowed = show(list(hole.options_to_check()))
                raise SpecError(at, f"{show(value)} is not in {{{hole.word}: {allowed}}}")


def _try_option(
    space: SearchSpace, values: Mapping[str, Any], tried: str | None, check: Check
) -> Graph:
    """Return the graph with these values; raise an error at the option that causes it."""
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
        place = option_path(tried, space.holes[tried], values[tried])
        raise SpecError(place, f"with this, {error}") from error
    return graph


def option_path(path: str, hole: Hole, value: object) -> str:
    """Return where a value of a hole is written: `path.choice[i]` for an option.

    The ends of a range are `path.log[0]` and `path.log[1]`; a value between them is `path.log`.
    """
    for i, option in enumerate(hole.options_to_check()):
        if option is value or (not isinstance(hole, Choice) and option == value):
            listed = ".among" if isinstance(hole, Affinity) else ""
            return f"{path}.{hole.word}{listed}[{i}]"
    return f"{path}.{hole.word}"
