"""Makes a training longer or shorter, with every part of it that is counted in epochs.

>>> from ktg.graph.parse import parse
>>> node = {"model": "resnet8", "source": "fractaldb", "frozen_epochs": 5}
>>> graph = {"data": {"name": "digits"}, "nodes": {"n0": node}, "edges": {"label -> n0": {}}}
>>> train = {"epochs": 20, "schedule": "step", "milestones": [10, 15], "warmup_epochs": 2}
>>> short = with_epochs(parse({**graph, "train": train}), 8)
>>> short.train.milestones, short.train.warmup_epochs, short.nodes["n0"].frozen_epochs
((4, 6), 0.8, 2)
"""

from collections.abc import Collection
from dataclasses import replace

from ktg.graph.canonical import teachers
from ktg.graph.spec import Graph, Node, Train


def with_epochs(graph: Graph, epochs: int) -> Graph:
    """Return a graph that trains for `epochs`, each part of its training in the share it had.

    These are its steps, warm-up, milestones, frozen epochs and gradual unfreezing; what is whole is
    rounded down. A backbone that never learned stays frozen. The training of a teacher that has a
    length of its own stays as it is, but for milestones where other nodes use them, too: no node
    has any of its own.
    """
    # A warm-up that keeps its length while the rest shrinks may be all there is: one epoch in which
    # the rate never falls ends below a probe.
    before = graph.train.epochs
    if epochs == before or not before:
        return graph
    own = {name for name in teachers(graph) if graph.nodes[name].epochs is not None}
    steps = graph.train.steps
    train = replace(
        graph.train,
        epochs=epochs,
        steps=None if steps is None else steps * epochs // before,
        warmup_epochs=graph.train.warmup_epochs * epochs / before,
        milestones=_scale_milestones(graph, epochs, own),
    )
    nodes = {
        name: _keep(node, graph.train, train) if name in own else _scale(node, epochs, before)
        for name, node in graph.nodes.items()
    }
    return replace(graph, train=train, nodes=nodes)


def _scale_milestones(graph: Graph, epochs: int, own: Collection[str]) -> tuple[int, ...]:
    """Return the milestones in their share of the training, as they are if only `own` use them."""
    train = graph.train
    steps = {
        name for name, node in graph.nodes.items() if (node.schedule or train.schedule) == "step"
    }
    if steps and steps <= {*own}:
        return train.milestones
    return tuple(sorted({max(1, m * epochs // train.epochs) for m in train.milestones}))


def _keep(node: Node, before: Train, after: Train) -> Node:
    """Return a teacher with a length of its own, trained as before, after `train` has changed.

    Its phases are such as a file may state: see `parse`.
    """
    length = node.epochs or 0
    warmup, most = node.warmup_epochs, max(length, after.epochs)
    inherited, other = (min(train.warmup_epochs, length) for train in (before, after))
    if warmup is None and inherited != other:
        warmup = inherited
    return replace(
        node,
        warmup_epochs=None if warmup is None else min(warmup, most),
        frozen_epochs=min(node.frozen_epochs, most),
    )


def _scale(node: Node, epochs: int, before: int) -> Node:
    warmup, every = node.warmup_epochs, node.unfreeze_every
    return replace(
        node,
        warmup_epochs=None if warmup is None else warmup * epochs / before,
        frozen_epochs=node.frozen_epochs * epochs // before,
        unfreeze_every=None if every is None else max(1, every * epochs // before),
    )
