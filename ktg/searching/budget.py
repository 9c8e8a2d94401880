"""Says when a search that has a budget of wall time ends, and what still fits into it.

Nothing here reads a clock: seconds since the search began are passed in.
"""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from ktg.graph import Graph
from ktg.graph.canonical import live_nodes, teachers
from ktg.searching.trial import Trial


@dataclass(frozen=True)
class Reserve:
    """What is left of a budget for the time after the search.

    trainings: of the best graph, in multiples of the time that its training takes, that of making
    its teachers included; teachers_s: how long the latter is, where that is known beforehand;
    seconds: more.
    """

    trainings: float = 0.0
    seconds: float = 0.0
    teachers_s: float = 0.0

    def needed_s(self, best_s: float) -> float:
        """Return the seconds to leave if training the best graph takes `best_s`."""
        return self.trainings * best_s + self.seconds


def measure_repeat(best: Trial, trials: Iterable[Trial], teachers_s: float = 0.0) -> float:
    """Return how long a graph takes to be trained on other images, its teachers made anew.

    Making them took what the first training that waited for them took more than its epochs.
    teachers_s: at least so long, for they may have been kept from an earlier search.
    """
    if not teachers(best.graph):
        return best.repeat_s
    made_s = max((one.train_s - one.repeat_s for one in trials if teachers(one.graph)), default=0.0)
    return best.repeat_s + max(made_s, teachers_s)


def estimate_seconds(graph: Graph, trials: Iterable[Trial]) -> float | None:
    """Return how long a graph is likely to train, None before anything is measured.

    It is the graph's number of epochs times the median over trials of their seconds per epoch: of
    those with as many networks and images of the same size, or else with as many networks, or all.
    """
    measured = [(trial.graph, trial.epoch_s) for trial in trials if trial.epoch_s is not None]
    if not measured:
        return None
    for kind in (_describe_work, _count_networks):
        alike = [seconds for other, seconds in measured if kind(other) == kind(graph)]
        if alike:
            break
    return graph.train.epochs * statistics.median(alike or [each for _, each in measured])


def _count_networks(graph: Graph) -> int:
    return len(live_nodes(graph))


def _describe_work(graph: Graph) -> list[tuple[str, int]]:
    """Return the models in training with the sizes at which they see the images."""
    return sorted(
        (graph.nodes[name].model, graph.nodes[name].input_size or 0) for name in live_nodes(graph)
    )
