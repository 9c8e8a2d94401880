"""Checks before a search that every option of its space can be trained, and all be compared.

A wrong third option of a hole fails here, in the first seconds, and not in trial 57.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ktg.data import Dataset, check_batch
from ktg.data.locate import find_data
from ktg.data.open import open_data, summarize
from ktg.data.undecoded import ImageArray
from ktg.errors import MissingSourceError, SpecError, join_names
from ktg.graph import FORMULAS, Data, Graph, Node, SearchSpace
from ktg.graph.canonical import teachers
from ktg.models.names import locate_model

# Fields of a node that must suit each other.
TOGETHER = ("model", "model_args", "source", "input_size", "unfreeze_from")
FREE = (
    "batch_size",
    "augment",
    "size",
    "per_class",
    "unlabelled",
    "unlabelled_share",
    "views",
    "balance",
)


class ImageCounts(NamedTuple):
    """What is known of a data set: classes, training images, their side in pixels once opened."""

    classes: int
    size: int
    side: int | None = None


def count_images(data: Data, *, final: bool = False) -> ImageCounts | None:
    """Return what is known of a data set without opening an image, None where it is not here yet.

    final: what `ktg train` trains on, the training and validation splits together (unless it is
    few-shot).
    """
    found = summarize(data, test=final)
    if found is None:
        return None
    merged = final and data.per_class is None
    size = sum(found.counts["train"]) + (sum(found.counts["val"]) if merged else 0)
    return ImageCounts(len(found.classes), size, data.size or _find_array_side(data))


Look = Callable[[Data], ImageCounts | None]
Use = tuple[str, str, str]
"""A node, its model and its source."""


def check_space(space: SearchSpace, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Open the data, check all weights and batch sizes, and return the default graph's data set.

    progress: called with (done, all) while images are decoded for the first time.
    """
    check_data_holes(space)
    folds = space.search.folds

    def select(data: Data) -> Data:
        own = select_image_fields(data)
        return own if folds is None else dataclasses.replace(own, folds=folds)

    default = select(space.bind(space.default()).data)
    opened = {default: open_data(default, progress=progress)}

    def look(data: Data) -> ImageCounts:
        spec = select(data)
        if spec not in opened:
            opened[spec] = open_data(spec, progress=progress)
        train = opened[spec].train
        return ImageCounts(len(opened[spec].classes), len(train), train.shape[0])

    for fault in check_graphs(vary_each_hole(space), look).values():
        raise fault
    return opened[default]


def check_graphs(graphs: Iterable[Graph], look: Look) -> dict[Use, MissingSourceError]:
    """Check batch sizes, images and weights of graphs; return what sources lack for which nodes.

    look: what is known of a data set. Before the images of a folder are opened their side is not;
    then networks are built for the side that they are meant for (`describe_unchecked` says so).
    ktg's own networks take all images: without weights and settings they are not built, so that
    torch need not be imported.

    Raises UserError for everything else that is wrong, and for weights that some settings of a node
    fit and others not.
    """
    # A space of many holes has few different networks: each of them is checked once.
    faults: dict[object, MissingSourceError | None] = {}
    missing: dict[Use, MissingSourceError] = {}
    found: set[Use] = set()
    for graph in graphs:
        images = look(graph.data)
        if images is not None:
            _check_batches(graph, images.size)
        classes, side = (images.classes, images.side) if images else (2, None)
        for name, node in graph.nodes.items():
            if _cannot_fail(node):
                continue
            args = tuple(node.model_args.items())
            network = (node.model, args, node.input_size, node.unfreeze_from, classes, side)
            file = graph.sources_for(node.model).get(node.source)
            content = (*network, node.source, repr(file))
            if content not in faults:
                faults[content] = _find_fault(graph, name, classes, side)
            use, fault = (name, node.model, node.source), faults[content]
            if fault is None:
                found.add(use)
            elif use not in missing:
                missing[use] = MissingSourceError(f"nodes.{name}.source", fault.problem)
    for use in found & missing.keys():
        raise missing[use]
    return missing


def _check_batches(graph: Graph, images: int) -> None:
    """Raise SpecError for a batch that is larger than the training split, also a teacher's own."""
    check_batch(graph.data, images)
    for name in teachers(graph):
        node = graph.nodes[name]
        if node.batch_size is not None and node.epochs != 0:
            own = dataclasses.replace(graph.data, batch_size=node.batch_size)
            check_batch(own, images, f"nodes.{name}.batch_size")


def _find_fault(
    graph: Graph, name: str, classes: int, side: int | None
) -> MissingSourceError | None:
    """Return why a node's source has no weights for it, None where it has them."""
    from ktg.models.architectures import find_usual_size
    from ktg.models.build import check_weights

    node = graph.nodes[name]
    side = side or graph.data.size or find_usual_size(node.model)
    sources = graph.sources_for(node.model)
    try:
        check_weights(node, sources, classes=classes, image_size=side, where=f"nodes.{name}")
    except MissingSourceError as fault:
        return fault
    return None


def describe_unchecked(graphs: Iterable[Graph]) -> str | None:
    """Return a sentence on what `check_graphs` cannot know before images are opened, if anything.

    graphs: with one data set, whose images are looked at in the first graph alone.
    """
    for graph in graphs:
        images = count_images(graph.data)
        if images is not None and images.side is not None:
            return None
        open_size = [name for name, node in graph.nodes.items() if _depends_on_side(node)]
        if open_size:
            problem = f"whether {join_names(open_size, 5)} can take images of their size"
            return f"not checked before the images are opened: {problem}; data.size says it now"
    return None


def _depends_on_side(node: Node) -> bool:
    return node.input_size is None and not _is_own(node)


def _cannot_fail(node: Node) -> bool:
    own = _is_own(node) and node.source == "none"
    return own and not node.model_args and node.unfreeze_from is None


def _is_own(node: Node) -> bool:
    return (locate_model(node.model) or ("",))[0] == "ktg"


def _find_array_side(data: Data) -> int | None:
    """Return the side of images that lie in an array, None for files, which differ."""
    if data.name in FORMULAS or (data.path and Path(data.path).expanduser().is_dir()):
        return None
    images = find_data(data, None).train.images
    return min(images.shape[1:3]) if isinstance(images, ImageArray) else None


def check_data_holes(space: SearchSpace) -> None:
    """Raise SpecError for a hole that would give trials different validation images."""
    for path in space.holes:
        section, _, field = path.partition(".")
        if section == "data" and field not in FREE:
            problem = "a hole here would validate each trial on other images"
            allowed = f"allowed in data: holes for {', '.join(FREE)}"
            raise SpecError(path, f"{problem}, and they could not be compared; {allowed}")


def vary_each_hole(space: SearchSpace) -> Iterator[Graph]:
    """Yield the default graph with each option of each hole in turn.

    The fields in `TOGETHER` of one node are varied together, in all their combinations.
    """
    default, kinds = space.default(), [(field,) for field in TOGETHER]
    for path, hole in space.holes.items():
        for value in hole.options_to_check():
            yield from _bind_if_supplied(space, default | {path: value})
    for node in space.template["nodes"]:
        own = [(path, at) for path, at in space.places.items() if at[:2] == ("nodes", node)]
        fields = [path for path, at in own if at[2:3] in kinds]
        for values in itertools.product(*(space.holes[path].options_to_check() for path in fields)):
            yield from _bind_if_supplied(space, default | dict(zip(fields, values, strict=True)))


def _bind_if_supplied(space: SearchSpace, values: Mapping[str, Any]) -> list[Graph]:
    """Return the graph with these values in a list, empty where it is known to lack weights."""
    try:
        return [space.bind(values)]
    except MissingSourceError:
        return []


def select_image_fields(data: Data) -> Data:
    """Return what data consist of, without batches: equal for all that share decoded images."""
    share = Data.unlabelled_share
    return dataclasses.replace(
        data, batch_size=1, augment="none", views=None, unlabelled_share=share
    )
