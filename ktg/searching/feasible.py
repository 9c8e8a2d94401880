"""Finds before a search whatever would fail in one of its trials, or make the trials impossible to compare."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator

from ktg.data import Dataset, check_batch, open_data
from ktg.errors import SpecError
from ktg.space import SearchSpace
from ktg.spec import Data, Graph

TOGETHER = ("model", "source", "unfreeze_from")  # fields of a node that must suit each other
FREE = ("batch_size", "augment", "size", "per_class")


def check(space: SearchSpace, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Open the data, check all weights and batch sizes, and return the data set of the default graph.

    progress: is told (done, all) while images are decoded for the first time.
    """
    from ktg.models.source import check_weights  # torch: `ktg check` uses the rest of this module without it

    check_data_holes(space)
    default = space.bind(space.default()).data
    opened = {image_spec(default): open_data(default, progress=progress)}
    seen: set[object] = set()
    for graph in one_by_one(space):
        spec = image_spec(graph.data)
        if spec not in opened:
            opened[spec] = open_data(graph.data, progress=progress)
        classes, side = len(opened[spec].classes), opened[spec].train.shape[0]
        check_batch(graph.data, len(opened[spec].train))
        for name, node in graph.nodes.items():
            network = (node.model, tuple(node.model_args.items()), node.input_size, side, node.unfreeze_from)
            weights = (node.source, graph.sources.get(node.source))
            if (network, weights) not in seen:
                seen.add((network, weights))
                check_weights(node, graph.sources, classes=classes, image_size=side, where=f"nodes.{name}")
    return opened[image_spec(default)]


def check_data_holes(space: SearchSpace) -> None:
    """Raise SpecError for a hole that would give trials different validation images, which no search may compare."""
    for path in space.holes:
        section, _, field = path.partition(".")
        if section == "data" and field not in FREE:
            problem = "a hole here would validate each trial on other images, and they could not be compared"
            raise SpecError(path, f"{problem}; allowed in data: holes for {', '.join(FREE)}")


def one_by_one(space: SearchSpace) -> Iterator[Graph]:
    """Yield the default graph with each option of each hole in turn, and all of a node's models, sources and stages."""
    default = space.default()
    for path, hole in space.holes.items():
        for value in hole.options_to_check():
            yield space.bind(default | {path: value})
    for node in space.template["nodes"]:
        fields = [f"nodes.{node}.{key}" for key in TOGETHER if f"nodes.{node}.{key}" in space.holes]
        for values in itertools.product(*(space.holes[path].options_to_check() for path in fields)):
            yield space.bind(default | dict(zip(fields, values, strict=True)))


def image_spec(data: Data) -> Data:
    """Return the description of data without what only concerns batches: equal for all that share decoded images."""
    return dataclasses.replace(data, batch_size=1, augment="none")
