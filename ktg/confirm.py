"""The last word on a graph: train it again over several seeds on all but the test split, then read that split once."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ktg.data import open_data, open_test
from ktg.drawing import draw
from ktg.engine import Epoch, Training
from ktg.files import dumps
from ktg.spec import Graph, dump
from ktg.tracking import Tracker

OnEpoch = Callable[[int, Epoch, int], None]


@dataclass(frozen=True)
class SeedRun:
    """One training: the target's accuracy in [0, 1] and cross-entropy in nats on the test split."""

    seed: int
    accuracy: float
    loss: float
    train_s: float


@dataclass(frozen=True)
class Confirmed:
    """The test results of a graph over its seeds."""

    runs: tuple[SeedRun, ...]

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
        return {"test_accuracy": {"mean": self.mean, "std": self.std, "n": len(self.runs)}, "runs": runs}


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

    The training and validation splits are one training split here: the choice that validation served is made. The
    test split is opened before training, so that a file in it that cannot be read is found now and not hours later,
    and scored once, after it. `decoding` is told (done, all) while images are decoded for the first time.
    """
    dataset, test = open_data(graph.data, progress=decoding), open_test(graph.data, progress=decoding)
    first = graph.train.seed
    graphs = [
        dataclasses.replace(graph, train=dataclasses.replace(graph.train, seed=seed))
        for seed in range(first, first + seeds)
    ]
    trainings = [Training(each, dataset, device=device, final=True) for each in graphs]
    parent = tracker.start("train", params={"seeds": seeds}, tags={"kind": "train"})
    tracker.artifact(parent, "graph.yaml", dumps(dump(graph)))
    tracker.artifact(parent, "graph.svg", draw(graph))
    with _ending(tracker, parent):
        times = [_train(training, tracker, parent, on_epoch) for training in trainings]
        scores = [training.test(test) for training in trainings]
        runs = [
            SeedRun(first + i, score.accuracy, score.loss, train_s)
            for i, (score, train_s) in enumerate(zip(scores, times, strict=True))
        ]
        confirmed = Confirmed(tuple(runs))
        tracker.log(parent, {"test_accuracy": confirmed.mean, "test_accuracy_std": confirmed.std or 0.0}, 0)
    return confirmed


def _train(training: Training, tracker: Tracker, parent: str, on_epoch: OnEpoch | None) -> float:
    """Train to the end and return the seconds it took."""
    started = time.perf_counter()
    seed = training.graph.train.seed
    run = tracker.start(f"seed {seed}", parent=parent, params={"seed": seed}, tags={"kind": "train"})
    with _ending(tracker, run):
        for epoch in training:
            tracker.log(run, epoch.metrics(), epoch.number)
            if on_epoch is not None:
                on_epoch(seed, epoch, training.graph.train.epochs)
    return time.perf_counter() - started


@contextmanager
def _ending(tracker: Tracker, run: str) -> Iterator[None]:
    """End a run: finished, or failed with the reason. An interrupted one is ended by the tracker's own close."""
    try:
        yield
    except Exception as error:
        tracker.end(run, "failed", {"reason": str(error)})
        raise
    tracker.end(run, "finished")
