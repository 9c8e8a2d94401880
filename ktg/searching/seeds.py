"""One graph, as `ktg train` does it: trained over several seeds on all but the test split, which is then read once."""

import dataclasses
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ktg.data.open import open_data, open_test
from ktg.graph import Graph, dump
from ktg.graph.canonical import independent_graph, with_seed
from ktg.graph.drawing import draw
from ktg.graph.yaml_files import dumps
from ktg.tracking import Tracker, ending
from ktg.training import EpochMetrics, Training
from ktg.training.classical import HeadName, score_head

OnEpoch = Callable[[int, EpochMetrics, int], None]


@dataclass(frozen=True)
class SeedRun:
    """One training: the target's accuracy in [0, 1] and cross-entropy in nats on the test split.

    Classical heads have no cross-entropy: not all of them give probabilities.
    """

    seed: int
    accuracy: float
    loss: float | None
    train_s: float


@dataclass(frozen=True)
class Confirmed:
    """The test results of a graph over its seeds; `first` is the training of the first, whose weights may be kept.

    The first and not the best: to choose by the test split would spoil what is measured on it.
    """

    runs: tuple[SeedRun, ...]
    first: Training | None = None

    @property
    def mean(self) -> float:
        """Mean test accuracy."""
        return statistics.fmean(run.accuracy for run in self.runs)

    @property
    def std(self) -> float | None:
        """Standard deviation of the test accuracy between seeds (n - 1), None for a single seed."""
        return statistics.stdev(run.accuracy for run in self.runs) if len(self.runs) > 1 else None

    def summary(self) -> str:
        """Return mean +- standard deviation in percent."""
        spread = "" if self.std is None else f" +- {100 * self.std:.2f}"
        return f"{100 * self.mean:.2f}{spread} % (n = {len(self.runs)})"

    def to_json(self) -> dict[str, Any]:
        """Return the results as plain data."""
        runs = [dataclasses.asdict(run) for run in self.runs]
        return {
            "test_accuracy": {"mean": self.mean, "std": self.std, "n": len(self.runs)},
            "runs": runs,
        }


def confirm(
    graph: Graph,
    seeds: int,
    tracker: Tracker,
    *,
    device: torch.device | str | None = None,
    on_epoch: OnEpoch | None = None,
    decoding: Callable[[int, int], None] | None = None,
) -> Confirmed:
    """Train `graph` with `seeds` seeds, from its own seed on, and score the targets on the test split.

    The training and validation splits are one training split here: the choice that validation
    served is made. The test split is opened before training, so that a file in it that cannot be
    read is found now and not hours later, and scored once, after it. `decoding` is told (done, all)
    while images are decoded for the first time.
    """
    dataset, test = (
        open_data(graph.data, progress=decoding),
        open_test(graph.data, progress=decoding),
    )
    first = graph.train.seed
    trainings = [
        Training(each, dataset, device=device, final=True) for each in _seeded(graph, seeds)
    ]
    parent = tracker.start("train", params={"seeds": seeds}, tags={"kind": "train"})
    tracker.artifact(parent, "graph.yaml", dumps(dump(graph)))
    tracker.artifact(parent, "graph.svg", draw(graph))
    with ending(tracker, parent):
        times = [_train(training, tracker, parent, on_epoch) for training in trainings]
        scores = [training.test(test) for training in trainings]
        runs = [
            SeedRun(first + i, score.accuracy, score.loss, train_s)
            for i, (score, train_s) in enumerate(zip(scores, times, strict=True))
        ]
        confirmed = Confirmed(tuple(runs), trainings[0])
        tracker.log(
            parent, {"test_accuracy": confirmed.mean, "test_accuracy_std": confirmed.std or 0.0}, 0
        )
    return confirmed


def confirm_head(
    graph: Graph,
    head: HeadName,
    seeds: int,
    tracker: Tracker,
    *,
    device: torch.device | str | None = None,
    decoding: Callable[[int, int], None] | None = None,
) -> Confirmed:
    """Fit a classical head to what the target's backbone makes of the images before any training, as `confirm` does.

    Nothing is trained but the head, and nothing augmented; of the graph, only the data and the
    target's model, source and input count.
    """
    dataset, test = (
        open_data(graph.data, progress=decoding),
        open_test(graph.data, progress=decoding),
    )
    parent = tracker.start("head", params={"seeds": seeds, "head": head}, tags={"kind": "head"})
    tracker.artifact(parent, "graph.yaml", dumps(dump(graph)))
    with ending(tracker, parent):
        runs = []
        for each in _seeded(graph, seeds):
            training = Training(independent_graph(each, graph.target), dataset, device=device, final=True)
            started = time.perf_counter()
            train, unseen = (
                (training.features(images), torch.from_numpy(images.labels))
                for images in (training.images, test)
            )
            accuracy = score_head(head, train, unseen, each.train.seed)
            runs.append(SeedRun(each.train.seed, accuracy, None, time.perf_counter() - started))
        confirmed = Confirmed(tuple(runs))
        tracker.log(
            parent, {"test_accuracy": confirmed.mean, "test_accuracy_std": confirmed.std or 0.0}, 0
        )
    return confirmed


def _seeded(graph: Graph, seeds: int) -> list[Graph]:
    """Return the graph with as many seeds, from its own on."""
    first = graph.train.seed
    return [with_seed(graph, seed) for seed in range(first, first + seeds)]


def _train(training: Training, tracker: Tracker, parent: str, on_epoch: OnEpoch | None) -> float:
    """Train to the end and return the seconds it took."""
    started = time.perf_counter()
    seed = training.graph.train.seed
    run = tracker.start(
        f"seed {seed}", parent=parent, params={"seed": seed}, tags={"kind": "train"}
    )
    with ending(tracker, run):
        for epoch in training:
            tracker.log(run, epoch.metrics(), epoch.number)
            if on_epoch is not None:
                on_epoch(seed, epoch, training.graph.train.epochs)
    return time.perf_counter() - started
