"""Finds before a search whatever would fail in one of its trials, or make the trials impossible to compare."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ktg.data import Dataset, check_batch
from ktg.data.open import open_data, summary
from ktg.errors import MissingSourceError, SpecError
from ktg.graph import Data, Graph, SearchSpace

# Fields of a node that must suit each other.
TOGETHER = ("model", "model_args", "source", "input_size", "unfreeze_from")
FREE = ("batch_size", "augment", "size", "per_class", "unlabelled")


class Images(NamedTuple):
    """What is known of a data set: classes, training images, and their side in pixels once they have been opened."""

    classes: int
    size: int
    side: int | None = None


def counted(data: Data, *, final: bool = False) -> Images | None:
    """Return what is known of a data set without opening an image; None where it is not on this machine yet.

    final: what `ktg train` trains on, the training and validation splits together (unless it is
    few-shot).
    """
    found = summary(data, test=final)
    if found is None:
        return None
    merged = final and data.per_class is None
    return Images(
        len(found.classes), sum(found.counts["train"]) + (sum(found.counts["val"]) if merged else 0)
    )


Look = Callable[[Data], Images | None]
Use = tuple[str, str, str]
"""A node, its model and its source."""


def check(space: SearchSpace, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Open the data, check all weights and batch sizes, and return the data set of the default graph.

    progress: is told (done, all) while images are decoded for the first time.
    """
    check_data_holes(space)
    default = image_spec(space.bind(space.default()).data)
    opened = {default: open_data(default, progress=progress)}

    def look(data: Data) -> Images:
        spec = image_spec(data)
        if spec not in opened:
            opened[spec] = open_data(data, progress=progress)
        return Images(
            len(opened[spec].classes), len(opened[spec].train), opened[spec].train.shape[0]
        )

    for fault in check_graphs(one_by_one(space), look).values():
        raise fault
    return opened[default]


def check_graphs(graphs: Iterable[Graph], look: Look) -> dict[Use, MissingSourceError]:
    """Check batch sizes, images and weights of graphs, and return what a source does not have for a node's model.

    look: what is known of a data set. Before its images are opened their side is not; then weights
    are compared at the side that a model is meant for, and nodes without weights are not built, so
    that torch need not be imported.

    Raises UserError for everything else that is wrong, and for weights that some settings of a node
    fit and others not.
    """
    faults: dict[object, MissingSourceError | None] = {}
    missing: dict[Use, MissingSourceError] = {}
    supplied: set[Use] = set()
    for graph in graphs:
        images = look(graph.data)
        if images is not None:
            check_batch(graph.data, images.size)
        classes, side = (images.classes, images.side) if images else (2, None)
        for name, node in graph.nodes.items():
            if node.source == "none" and side is None:
                continue
            network = (
                node.model,
                tuple(node.model_args.items()),
                node.input_size,
                node.unfreeze_from,
                classes,
                side,
            )
            content = (*network, node.source, graph.sources_for(node.model).get(node.source))
            if content not in faults:
                faults[content] = _fault(graph, name, classes, side)
            use, fault = (name, node.model, node.source), faults[content]
            if fault is None:
                supplied.add(use)
            else:
                missing.setdefault(use, _at(fault, name))
    for use in supplied & missing.keys():
        raise missing[use]
    return missing


def _fault(graph: Graph, name: str, classes: int, side: int | None) -> MissingSourceError | None:
    """Return why a node's source has no weights for it, None where it has them."""
    from ktg.models.build import usual_size
    from ktg.models.source import check_weights

    node = graph.nodes[name]
    side = side or graph.data.size or usual_size(node.model)
    sources = graph.sources_for(node.model)
    try:
        check_weights(node, sources, classes=classes, image_size=side, where=f"nodes.{name}")
    except MissingSourceError as fault:
        return fault
    return None


def _at(fault: MissingSourceError, name: str) -> MissingSourceError:
    return MissingSourceError(f"nodes.{name}.source", fault.problem)


def check_data_holes(space: SearchSpace) -> None:
    """Raise SpecError for a hole that would give trials different validation images, which no search may compare."""
    for path in space.holes:
        section, _, field = path.partition(".")
        if section == "data" and field not in FREE:
            problem = "a hole here would validate each trial on other images, and they could not be compared"
            raise SpecError(path, f"{problem}; allowed in data: holes for {', '.join(FREE)}")


def one_by_one(space: SearchSpace) -> Iterator[Graph]:
    """Yield the default graph with each option of each hole in turn, and all combinations of a node's `TOGETHER`."""
    default, kinds = space.default(), [(field,) for field in TOGETHER]
    for path, hole in space.holes.items():
        for value in hole.options_to_check():
            yield from _supplied(space, default | {path: value})
    for node in space.template["nodes"]:
        fields = [
            path
            for path, place in space.places.items()
            if place[:2] == ("nodes", node) and place[2:3] in kinds
        ]
        for values in itertools.product(*(space.holes[path].options_to_check() for path in fields)):
            yield from _supplied(space, default | dict(zip(fields, values, strict=True)))


def _supplied(space: SearchSpace, values: Mapping[str, Any]) -> list[Graph]:
    """Return the graph with these values, none where the space is known to have no weights for it."""
    try:
        return [space.bind(values)]
    except MissingSourceError:
        return []


def image_spec(data: Data) -> Data:
    """Return the description of data without what only concerns batches: equal for all that share decoded images."""
    return dataclasses.replace(data, batch_size=1, augment="none")
