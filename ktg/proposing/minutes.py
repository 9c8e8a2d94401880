"""Says how long a graph or a search will take here, from a few real steps of each network."""

from collections.abc import Callable
from dataclasses import dataclass

from ktg.data.augment import count_views
from ktg.data.locate import find_data
from ktg.data.open import summarize
from ktg.data.undecoded import ImageArray
from ktg.errors import KtgError
from ktg.graph import FORMULAS, Data, Graph, Node, SourceFile
from ktg.graph.canonical import live_nodes, teachers
from ktg.proposing.speed import Speed, measure_speed
from ktg.training.training_batches import find_unlabelled_nodes

DEFAULT_SIDE = 224
Measure = Callable[[Node, Data, dict[str, SourceFile]], Speed]


@dataclass(frozen=True)
class TrainingTime:
    """Seconds of one training, without those that its teachers take to be made, once for all."""

    own_s: float
    teachers_s: float


def measure_training(
    graph: Graph,
    train: int,
    val: int,
    side: int,
    measure: Measure | None = None,
    *,
    beside: int = 0,
) -> TrainingTime:
    """Return how long a graph trains on one slot, on so many images of `side` pixels.

    Each network is measured once; those that nothing teaches are trained beforehand and then only
    answer, of images that are drawn once for all trials. beside: how many images have no label.
    Raises a KtgError for a network that cannot be trained here.
    """
    measure = measure or (
        lambda node, data, files: measure_speed(node, data, sources=files, side=side)
    )
    known: dict[object, Speed] = {}
    own_s = teachers_s = 0.0
    epochs, unlabelled = graph.train.epochs, find_unlabelled_nodes(graph)
    steps, batch = graph.train.steps, graph.data.batch_size
    shown = train if steps is None else steps // max(epochs, 1) * batch  # in an epoch
    for name in live_nodes(graph):
        node = graph.nodes[name]
        key = (node.model, tuple(node.model_args.items()), node.source, node.input_size)
        if key not in known:
            known[key] = measure(node, graph.data, dict(graph.sources_for(node.model)))
        speed = known[key]
        # Images without labels come on top of the labelled ones in every step.
        more = 1 / (1 - graph.data.unlabelled_share) if name in unlabelled else 1.0
        if name in teachers(graph):
            own = epochs * speed.epoch_s(shown)
            teachers_s += own if node.epochs is None else node.epochs * speed.epoch_s(train)
            views = count_views(graph.data, node)
            if views is not None:  # answers are kept
                teachers_s += views * speed.forward_s(train + beside * (name in unlabelled))
            else:
                own_s += epochs * more * speed.forward_s(shown)
        else:
            own_s += epochs * (more * speed.epoch_s(shown) + speed.forward_s(val))
    return TrainingTime(own_s, teachers_s)


def estimate_time(graph: Graph) -> TrainingTime | None:
    """Return how long a graph trains here on one slot, None where that cannot be measured."""
    try:
        found = summarize(graph.data, test=False)
        if found is None:  # the data are not on this machine yet
            return None
        train, val = (sum(found.counts[split]) for split in ("train", "val"))
        side = graph.data.size or _find_array_side(graph.data)
        return measure_training(graph, train, val, side, beside=found.unlabelled or 0)
    except KtgError:
        return None


def _find_array_side(data: Data) -> int:
    """Return the side of images in an array; that of files is not known before they are opened."""
    images = find_data(data, None).train.images if data.name not in FORMULAS else None
    return min(images.shape[1:3]) if isinstance(images, ImageArray) else DEFAULT_SIDE
