"""Lists what affinity holes choose from, and replaces patterns such as `zoo/*` by sources."""

import dataclasses
import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ktg.errors import SpecError, show
from ktg.graph.holes import Affinity
from ktg.graph.space import SearchSpace

Expand = Callable[[str, str], Sequence[str]]
"""Takes a pattern and a model, and returns the sources that the pattern stands for."""


def expand_patterns(space: SearchSpace, expand: Expand) -> SearchSpace:
    """Return the space with sources in place of patterns, for each model that a node may have.

    A source that only some of the models have counts as `missing_weights` for the others. Raises
    SpecError where the first model, which the baselines train, has none at all.
    """
    for path, hole in space.holes.items():
        if not isinstance(hole, Affinity) or not any(map(is_pattern, hole.options)):
            continue
        node = path.split(".")[1]
        models = list_models(space, node)
        named = space.template.get("sources") or {}
        by_model = {model: _expand_hole(hole, str(model), expand, named) for model in models}
        if not by_model[models[0]]:
            problem = f"the zoo has nothing of the kind for {show(models[0])}"
            raise SpecError(f"{path}.affinity.among", f"{', '.join(hole.options)}: {problem}")
        every = tuple(dict.fromkeys(source for sources in by_model.values() for source in sources))
        pairs = itertools.product(models, every)
        missing = [
            (node, model, source) for model, source in pairs if source not in by_model[model]
        ]
        space = space.with_holes({path: dataclasses.replace(hole, options=every)}, missing)
    return space


def find_affinity_holes(space: SearchSpace) -> dict[str, Affinity]:
    """Return the affinity holes of a space by the names of their nodes."""
    holes = space.holes.items()
    return {path.split(".")[1]: hole for path, hole in holes if isinstance(hole, Affinity)}


def list_candidates(space: SearchSpace) -> dict[str, list[tuple[str, str]]]:
    """Return the pairs (model, source) to measure for each node that has an affinity hole."""
    return {
        name: [
            (model, source)
            for model in list_models(space, name)
            for source in hole.options
            if (name, model, source) not in space.missing_weights
        ]
        for name, hole in find_affinity_holes(space).items()
    }


def is_pattern(source: str) -> bool:
    """Return whether a source in an affinity hole stands for all entries of the zoo it matches."""
    return source.startswith("zoo/") and "*" in source


def list_models(space: SearchSpace, node: str) -> tuple[Any, ...]:
    """Return the models that a node can have, its default first."""
    hole = space.holes.get(f"nodes.{node}.model")
    return hole.options_to_check() if hole else (space.template["nodes"][node].get("model"),)


def _expand_hole(hole: Affinity, model: str, expand: Expand, named: Collection[str]) -> list[str]:
    found: list[str] = []
    for source in hole.options:
        found += expand(source, model) if is_pattern(source) else [source]
    # `fractaldb` is short for `zoo/fractaldb`, unless the file has own weights of that name.
    if "fractaldb" in found and "fractaldb" not in named:
        found = [source for source in found if source != "zoo/fractaldb"]
    return list(dict.fromkeys(found))
