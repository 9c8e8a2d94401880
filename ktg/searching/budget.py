"""Says when a search that has a budget of wall time ends, and what still fits into it.

Nothing here reads a clock: seconds since the search began are passed in.
"""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from ktg.graph import Graph
from ktg.graph.canonical import live_nodes
from ktg.searching.trial import Trial


@dataclass(frozen=True)
class Reserve:
    """What is left of a budget for the time after the search.

    trainings: of the best graph, in multiples of the time that its training took; seconds: more.
    """

    trainings: float = 0.0
    seconds: float = 0.0

    def needed_s(self, best_s: float) -> float:
        """Return the seconds to leave if training the best graph takes `best_s`."""
        return self.trainings * best_s + self.seconds


def estimate_seconds(graph: Graph, trials: Iterable[Trial]) -> float | None:
    """Return how long a graph is likely to train, None before anything is measured.

    It is the graph's number of epochs times the median over trials of their seconds per epoch, of
    those with as many networks in training where there are any.
    """
    measured = [
        (len(live_nodes(trial.graph)), trial.epoch_s)
        for trial in trials
        if trial.epoch_s is not None
    ]
    if not measured:
        return None
    networks = len(live_nodes(graph))
    alike = [seconds for number, seconds in measured if number == networks]
    return graph.train.epochs * statistics.median(alike or [each for _, each in measured])
