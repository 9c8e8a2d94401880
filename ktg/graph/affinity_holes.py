"""What affinity holes are to choose from: their candidates, and what patterns such as `zoo/*` stand for in them."""

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ktg.errors import SpecError, show
from ktg.graph.holes import Affinity
from ktg.graph.space import SearchSpace

Expand = Callable[[str, str], Sequence[str]]
"""From a pattern and a model to the sources that it stands for."""


def expand_patterns(space: SearchSpace, expand: Expand) -> SearchSpace:
    """Return the space with sources in the place of patterns, for each model that the node can have.

    What only some of the models have is `missing_weights` for the others. Raises SpecError where the
    first model, which the baselines train, is left with nothing.
    """
    for path, hole in space.holes.items():
        if not isinstance(hole, Affinity) or not any(map(is_pattern, hole.options)):
            continue
        node = path.split(".")[1]
        models = list_models(space, node)
        named = space.template.get("sources") or {}
        meant = {model: _expand_hole(hole, str(model), expand, named) for model in models}
        if not meant[models[0]]:
            problem = (
                f"{', '.join(hole.options)}: the zoo has nothing of the kind for {show(models[0])}"
            )
            raise SpecError(f"{path}.affinity.among", problem)
        every = tuple(dict.fromkeys(source for sources in meant.values() for source in sources))
        lacking = [
            (node, model, source)
            for model in models
            for source in every
            if source not in meant[model]
        ]
        space = space.with_holes({path: dataclasses.replace(hole, options=every)}, lacking)
    return space


def find_affinity_holes(space: SearchSpace) -> dict[str, Affinity]:
    """Return the affinity holes by the name of their node."""
    return {
        path.split(".")[1]: hole for path, hole in space.holes.items() if isinstance(hole, Affinity)
    }


def list_candidates(space: SearchSpace) -> dict[str, list[tuple[str, str]]]:
    """Return (model, source) of what is to be measured for each node that has an affinity hole."""
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
    """Return whether a source in an affinity hole stands for all of the zoo that match it."""
    return source.startswith("zoo/") and "*" in source


def list_models(space: SearchSpace, node: str) -> tuple[Any, ...]:
    """Return the models that a node can have, its default first."""
    hole = space.holes.get(f"nodes.{node}.model")
    return hole.options_to_check() if hole else (space.template["nodes"][node].get("model"),)


def _expand_hole(hole: Affinity, model: str, expand: Expand, named: Collection[str]) -> list[str]:
    found = [
        one
        for source in hole.options
        for one in (expand(source, model) if is_pattern(source) else [source])
    ]
    if "fractaldb" in found and "fractaldb" not in named:  # then it is short for zoo/fractaldb
        found = [source for source in found if source != "zoo/fractaldb"]
    return list(dict.fromkeys(found))
