"""Trains one graph over several seeds, one after the other, and tests each: `ktg train`.

It trains on all but the test split, which is opened before any training, so that a file in it that
cannot be read is found now and not hours later, and scored once for each seed.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ktg.data import Dataset, Images
from ktg.data.open import open_data, open_test
from ktg.graph import Graph, dump
from ktg.graph.canonical import independent_graph, with_seed
from ktg.graph.drawing import draw
from ktg.graph.yaml_files import dumps
from ktg.searching.score import TEST_ACCURACY, TEST_ACCURACY_STD, TEST_IMAGES, TEST_LOSS
from ktg.searching.seed_queue import SeedQueue, SeedRun
from ktg.tracking import Tracker, finish_run
from ktg.training import EpochMetrics, Training
from ktg.training.classical import HeadName, score_head

OnEpoch = Callable[[int, EpochMetrics, int], None]
Decoding = Callable[[int, int], None]


@dataclass(frozen=True)
class SeedResults:
    """The test results of a graph over its seeds.

    first: the training of the first seed, if it was to be kept. The first and not the best: to
    choose by the test split would spoil what is measured on it. tested: its logits (N, C) of the
    test split, and the labels (N,).
    """

    runs: tuple[SeedRun, ...]
    first: Training | None = None
    tested: tuple[Any, Any] | None = None

    @property
    def mean(self) -> float:
        """Mean test accuracy: 0.6 of 0.5, 0.6 and 0.7."""
        return statistics.fmean(run.accuracy for run in self.runs)

    @property
    def std(self) -> float | None:
        """Standard deviation of the test accuracy between seeds (n - 1), None for a single seed.

        0.1 for 0.5, 0.6 and 0.7.
        """
        return statistics.stdev(run.accuracy for run in self.runs) if len(self.runs) > 1 else None

    def summary(self) -> str:
        """Return mean +- standard deviation in percent."""
        spread = "" if self.std is None else f" +- {100 * self.std:.2f}"
        return f"{100 * self.mean:.2f}{spread} % (n = {len(self.runs)})"

    def to_json(self) -> dict[str, Any]:
        """Return the results as plain data."""
        accuracy = {"mean": self.mean, "std": self.std, "n": len(self.runs)}
        return {"test_accuracy": accuracy, "runs": [run.to_json() for run in self.runs]}


def train_seeds(
    graph: Graph,
    seeds: int,
    tracker: Tracker,
    *,
    device: torch.device | str | None = None,
    on_epoch: OnEpoch | None = None,
    decoding: Decoding | None = None,
    keep_first: bool = False,
) -> SeedResults:
    """Train `graph` with `seeds` seeds, from its own seed on, and score it on the test split.

    The training and validation splits are one training split here: the choice that validation
    served is made.

    decoding: called with (done, all) while images are decoded for the first time.
    keep_first: return the training of the first seed too. No other one is kept, and only one is in
    memory beside it.
    """
    dataset, test = _open_splits(graph, decoding)
    queue = SeedQueue({"graph": graph}, _list_seeds(graph, seeds))
    # The first is built before anything is recorded: that finds the mistakes of the graph.
    training: Training | None
    training = Training(with_seed(graph, queue.seeds[0]), dataset, device=device, final=True)
    first, tested = training if keep_first else None, None
    tags = {"kind": "train", TEST_IMAGES: test.fingerprint_with_labels}
    parent = tracker.start("train", params={"seeds": seeds}, tags=tags)
    tracker.artifact(parent, "graph.yaml", dumps(dump(graph)))
    tracker.artifact(parent, "graph.svg", draw(graph))
    with finish_run(tracker, parent):
        while trial := queue.propose():
            training = training or Training(trial.graph, dataset, device=device, final=True)
            train_s = _train(training, tracker, parent, on_epoch)
            score = training.test(test)
            metrics = {TEST_ACCURACY: score.accuracy, TEST_LOSS: score.loss}
            queue.record_epoch(trial, training.epoch, metrics, train_s)
            queue.close(trial)
            if training is first:
                tested = (training.logits(test).numpy(), test.labels)
            training = None  # the next one finds its memory free
        results = SeedResults(tuple(queue.results("graph")), first, tested)
        _log_results(tracker, parent, results)
    return results


def train_head_seeds(
    graph: Graph,
    head: HeadName,
    seeds: int,
    tracker: Tracker,
    *,
    device: torch.device | str | None = None,
    decoding: Decoding | None = None,
) -> SeedResults:
    """Fit a classical head to the features that the target's backbone has before any training.

    Nothing is trained but the head, and nothing augmented; of the graph, only the data and the
    target's model, source and input count. The splits are those of `train_seeds`.
    """
    dataset, test = _open_splits(graph, decoding)
    parent = tracker.start("head", params={"seeds": seeds, "head": head}, tags={"kind": "head"})
    tracker.artifact(parent, "graph.yaml", dumps(dump(graph)))
    with finish_run(tracker, parent):
        runs = []
        for seed in _list_seeds(graph, seeds):
            alone = independent_graph(with_seed(graph, seed), graph.target)
            training = Training(alone, dataset, device=device, final=True)
            started = time.perf_counter()
            train, unseen = (
                (training.features(images), torch.from_numpy(images.labels))
                for images in (training.images, test)
            )
            used = torch.from_numpy(training.images.used_rows)
            train = train[0][used], train[1][used]  # a label of weight 0 is not used
            accuracy = score_head(head, train, unseen, seed)
            runs.append(SeedRun(seed, accuracy, None, time.perf_counter() - started))
        results = SeedResults(tuple(runs))
        _log_results(tracker, parent, results)
    return results


def _open_splits(graph: Graph, decoding: Decoding | None) -> tuple[Dataset, Images]:
    dataset = open_data(graph.data, progress=decoding)
    return dataset, open_test(graph.data, progress=decoding)


def _list_seeds(graph: Graph, seeds: int) -> range:
    """Return so many seeds, from the graph's own on."""
    return range(graph.train.seed, graph.train.seed + seeds)


def _train(training: Training, tracker: Tracker, parent: str, on_epoch: OnEpoch | None) -> float:
    """Train to the end and return the seconds it took."""
    started, seed = time.perf_counter(), training.graph.train.seed
    name, params, tags = f"seed {seed}", {"seed": seed}, {"kind": "train"}
    run = tracker.start(name, parent=parent, params=params, tags=tags)
    with finish_run(tracker, run):
        for epoch in training:
            tracker.log(run, epoch.metrics(), epoch.number)
            if on_epoch is not None:
                on_epoch(seed, epoch, training.graph.train.epochs)
    return time.perf_counter() - started


def _log_results(tracker: Tracker, parent: str, results: SeedResults) -> None:
    metrics = {TEST_ACCURACY: results.mean, TEST_ACCURACY_STD: results.std or 0.0}
    tracker.log(parent, metrics, 0)
