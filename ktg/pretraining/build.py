"""Builds a zoo: one source model for each group of classes of a data set."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ktg.data.open import summarize
from ktg.errors import SpecError
from ktg.graph import Graph
from ktg.pretraining.groups import Groups
from ktg.pretraining.pretrain import BusyError, Pretrained, check, pretrain
from ktg.pretraining.resumable import OnEpoch
from ktg.tracking import Tracker
from ktg.zoo import Zoo


def graphs_of(graph: Graph, groups: Groups) -> dict[str, Graph]:
    """Return for each group the graph that trains on its classes alone.

    Raises SpecError as `check` does, and for a group with fewer training images than a batch.
    """
    graphs = {
        name: replace(graph, data=replace(graph.data, only=classes))
        for name, classes in groups.items()
    }
    for name, one in graphs.items():
        check(one, name)
        found = summarize(one.data)
        images = sum(found.counts["train"]) if found else one.data.batch_size
        if images < one.data.batch_size:
            problem = f"{one.data.batch_size} is more than the {images} training images of {name}"
            raise SpecError("data.batch_size", f"{problem}; allowed: 1 to {images}")
    return graphs


def build(
    graphs: Mapping[str, Graph],
    tracker: Tracker,
    zoo: Zoo,
    *,
    on_model: Callable[[str], OnEpoch] | None = None,
    on_busy: Callable[[str], None] | None = None,
    **options: Any,
) -> Iterator[Pretrained]:
    """Train every graph and add the network of its best validation epoch to the zoo.

    What other processes are training is waited for last, so that several builders share the work,
    and all of them end with the whole zoo. on_model: called with a name before its training,
    returns the function to call after each epoch; on_busy: called with a name that has to wait.
    options: of `pretrain`.
    """
    busy: dict[str, Graph] = {}
    for wait, todo in ((False, graphs), (True, busy)):
        for name, graph in todo.items():
            on_epoch = on_model(name) if on_model else None
            try:
                yield pretrain(
                    graph,
                    name,
                    tracker,
                    zoo=zoo,
                    keep="best",
                    wait=wait,
                    on_epoch=on_epoch,
                    **options,
                )
            except BusyError:
                busy[name] = graph
                if on_busy is not None:
                    on_busy(name)
