"""Defines a trial: one graph that a queue trains, with all that is known of its training."""

import base64
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

from ktg.graph import Graph
from ktg.graph.canonical import (
    canonical_key,
    independent_graph,
    live_nodes,
    seedless_key,
    teachers,
    with_fold,
    with_seed,
)
from ktg.graph.space import MetricName
from ktg.proposing.kinds import Kind, classify
from ktg.searching.score import VAL_ACCURACY, VAL_LOSS, read_score, worst_score
from ktg.searching.values import Values

RIGHT = "right"  # the entry of a worker's metrics that is no number: see `Trial.right`
SAID = "said"  # another one: see `Trial.said`
TUNED_ALONE = "tuned alone"  # the arm of the target by itself
COLLAPSED = "collapsed"
EPOCH_S = "epoch_s"  # the metric of an epoch: its seconds, its validation included
LAST_EPOCHS = 3  # whose mean score the sampler is told: a single one is noisier
State = Literal["running", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: finished, stopped or failed; its score, of which higher is better."""

    state: str
    score: float
    epoch: int


class FinishedTrial(Protocol):
    """What is asked of a trial that was trained to its end, of a queue or of a store.

    `Trial` and `ktg.searching.stored_search.StoredTrial` say the same of one training, so that a
    running search and a report on it find the same winner, ensemble and worth of a teacher.
    """

    @property
    def number(self) -> int:
        """Its number in the search."""
        ...

    @property
    def name(self) -> str:
        """What it is called; the trial's own name is the first word."""
        ...

    @property
    def graph(self) -> Graph:
        """What was trained."""
        ...

    @property
    def kind(self) -> Kind | None:
        """What kind of arrangement the graph is: see `ktg.proposing.kinds.classify`."""
        ...

    @property
    def seed(self) -> int:
        """The seed of its training."""
        ...

    @property
    def fold(self) -> int | None:
        """Which fold of the images it was validated on, None for the split of the data."""
        ...

    @property
    def race_of(self) -> int | None:
        """The number of the trial whose graph it trains again with another seed, in the race."""
        ...

    @property
    def baseline(self) -> str | None:
        """Which baseline it is, None for what a sampler chose."""
        ...

    @property
    def arm(self) -> str | None:
        """The part of the space that it was drawn from, None for all of it."""
        ...

    @property
    def score(self) -> float:
        """How good it ended by the metric of the search: higher is better."""
        ...

    @property
    def loss(self) -> float:
        """Its last validation cross-entropy in nats."""
        ...

    @property
    def is_exact(self) -> bool:
        """Whether another seed would change nothing: nothing is trained."""
        ...

    @property
    def train_s(self) -> float:
        """The seconds of its training, all epochs together."""
        ...

    @property
    def repeat_s(self) -> float:
        """The seconds of another training of its graph."""
        ...

    @property
    def said(self) -> bytes:
        """What it said of the validation images, as `ktg.searching.pool` packs it, or nothing."""
        ...


def name_trial(number: int) -> str:
    """Return what a search calls its trials: 7 -> trial-0007."""
    return f"trial-{number:04d}"


@dataclass
class Trial:
    """One graph that is being trained, or was.

    baseline: its name if it is a baseline of the search; finalist: that of the graph it trains in
    a confirmation; race_of: the number of the trial whose graph it trains with another seed.
    fold: which of `folds` it is validated on; None: on the split of the data. The graph itself
    says nothing of it, as it is found for all images.
    arm: the name of the part of the space that it was drawn from, None for all of it.
    values: what fills the holes of that part; sample: the number by which its sampler knows them.
    metric: what trials are compared by; score, metrics: after `epoch` epochs; scores: by epoch.
    epoch_times: the seconds of each epoch that was trained, as far as they are known.
    Of scores higher is better.
    rung: the epoch at which a scheduler has stopped it; None also where its time was over.
    bracket: the ASHA bracket it runs in, None for a trial of an earlier process.
    right: once tested, after a final training: see `ktg.searching.worth.read_right`.
    said: of the validation images at the end: see `ktg.searching.pool`.
    """

    number: int
    graph: Graph
    key: str
    baseline: str | None = None
    values: Values | None = None
    sample: int | None = None
    state: State = "running"
    reason: str | None = None
    epoch: int = 0
    train_s: float = 0.0
    epoch_times: list[float] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)
    bracket: int | None = None
    finalist: str | None = None
    right: str = ""
    said: bytes = field(default=b"", repr=False)
    arm: str | None = None
    race_of: int | None = None
    rung: int | None = None
    folds: int | None = None
    fold: int | None = None
    metric: MetricName = "accuracy"

    @property
    def name(self) -> str:
        """What the trial is called, in the store and on the screen."""
        if self.finalist is not None:
            return f"{self.finalist}, seed {self.graph.train.seed}"
        if self.race_of is not None:
            of = name_trial(self.race_of)
            return f"{name_trial(self.number)} ({of}, seed {self.graph.train.seed})"
        what = self.baseline or self.arm
        return name_trial(self.number) + (f" ({what})" if what else "")

    def record(self, epoch: int, metrics: dict[str, Any], seconds: float) -> bool:
        """Record one epoch; return whether it is new, and not one trained again after a death."""
        self.train_s += seconds
        self.epoch_times.append(seconds)
        right, said = metrics.pop(RIGHT, ""), metrics.pop(SAID, "")
        # A scheduler has judged by the first value.
        self.scores.setdefault(epoch, read_score(self.metric, metrics))
        if self.metrics and epoch <= self.epoch:
            return False
        self.epoch, self.metrics, self.right = epoch, metrics, right
        self.said = base64.b64decode(said)
        return True

    @property
    def seed(self) -> int:
        """The seed of its training."""
        return self.graph.train.seed

    @cached_property
    def kind(self) -> Kind | None:
        """What kind of arrangement the graph is, None where no kind was measured."""
        return classify(self.graph)

    @property
    def trained(self) -> Graph:
        """The graph as a worker trains it, which knows its fold."""
        return with_fold(self.graph, self.folds, self.fold)

    @cached_property
    def teacher_keys(self) -> frozenset[str]:
        """Which teachers it is trained with."""
        return list_teacher_keys(self.trained)

    @cached_property
    def copies(self) -> int:
        """How many copies of its teachers are made: see `count_copies`."""
        return count_copies(self.graph)

    @cached_property
    def seedless_key(self) -> str:
        """The key of its graph apart from the seed: new seeds of equal ones are one training."""
        return seedless_key(self.graph)

    @cached_property
    def seeded_teachers(self) -> frozenset[str]:
        """Which of its teachers each new seed makes anew, which probes of given weights are not.

        Graphs that share a teacher have the same key for it, whatever their own seeds.
        """
        first, second = (list_teacher_keys(with_seed(self.graph, seed)) for seed in (0, 1))
        return first - second

    @property
    def score(self) -> float:
        """How good the last epoch was, by the metric of the search: higher is better."""
        return read_score(self.metric, self.metrics)

    @property
    def accuracy(self) -> float:
        """The accuracy in [0, 1] of the last epoch; 0 before there is one."""
        return self.metrics.get(VAL_ACCURACY, 0.0)

    @property
    def loss(self) -> float:
        """The loss of the last epoch in nats; infinity before there is one."""
        return self.metrics.get(VAL_LOSS, float("inf"))

    @property
    def end_score(self) -> float:
        """The mean score of the last epochs: of one training, less left to chance than the last."""
        ends = [self.scores[one] for one in sorted(self.scores) if one > self.epoch - LAST_EPOCHS]
        return sum(ends) / len(ends) if ends else self.score

    @property
    def outcome(self) -> Outcome:
        """What the sampler learns from it."""
        failed = self.state == "failed"
        score = worst_score(self.metric) if failed else self.end_score
        return Outcome(self.state, score, self.epoch)

    @property
    def epoch_s(self) -> float | None:
        """The seconds of a usual epoch, None before one is over, or where nobody recorded it.

        The first one is longer: it makes what is kept for others, such as teachers. As long as it
        is the only one, its own seconds count, without what came before it.
        """
        if not self.epoch or not self.train_s:
            return None
        if len(self.epoch_times) == 1 and EPOCH_S in self.metrics:
            return self.metrics[EPOCH_S]
        return statistics.median_low(self.epoch_times or [self.train_s / self.epoch])

    @property
    def repeat_s(self) -> float:
        """The seconds of another training of the graph, for which all that is kept is there."""
        return self.train_s if self.epoch_s is None else self.epoch * self.epoch_s

    @property
    def making_s(self) -> float:
        """The seconds that its epochs took more than usual ones, to make what is kept for others.

        0 where it is not known how long each of them was.
        """
        if self.epoch_s is None or not self.epoch_times:
            return 0.0
        return self.train_s - len(self.epoch_times) * self.epoch_s

    @property
    def saved_s(self) -> float:
        """What a scheduler saved by stopping it, in seconds.

        An epoch counts as long as its last one, without what came before the first one of all: its
        teachers may have been trained then.
        """
        epoch_s = self.metrics.get(EPOCH_S, self.epoch_s or 0.0)
        return 0.0 if self.rung is None else (self.graph.train.epochs - self.epoch) * epoch_s

    @property
    def is_guaranteed(self) -> bool:
        """Whether it is never stopped early: a baseline and a trial of the race are compared."""
        return self.baseline is not None or self.race_of is not None

    @property
    def is_exact(self) -> bool:
        """Whether another seed would change nothing: nothing is trained."""
        return self.graph.train.epochs == 0

    @property
    def is_collapsed(self) -> bool:
        """Whether the network ended by saying the same of all images."""
        return is_collapsed(self.metrics)

    @property
    def fault(self) -> str:
        """What is wrong with it once it has ended: see `describe_fault`."""
        is_point = self.baseline is None and self.arm is None
        return describe_fault(collapsed=self.is_collapsed, graph=self.graph if is_point else None)


@dataclass(frozen=True)
class Duplicate:
    """A proposal that was not trained, because the same graph already was (or is being)."""

    values: Values
    of: Trial


def is_collapsed(metrics: Mapping[str, float]) -> bool:
    """Return whether the metrics of an epoch are those of a network that says one class always."""
    return bool(metrics.get("collapsed", 0.0))


def list_teacher_keys(graph: Graph) -> frozenset[str]:
    """Return a key for each teacher of a graph; with equal keys they are trained once for all."""
    return frozenset(canonical_key(independent_graph(graph, one)) for one in teachers(graph))


def count_copies(graph: Graph) -> int:
    """Return how many copies of its teachers a graph has, each of which is made: 0 for no teacher.

    Teachers that differ in more than their `copy` count once: they are made together.
    """
    return len({graph.nodes[name].copy for name in teachers(graph)})


def describe_fault(*, collapsed: bool, graph: Graph | None) -> str:
    """Return in a few words what is wrong with a training that has ended, empty for nothing.

    collapsed: see `is_collapsed`. graph: that of a point of the whole space, whose networks may
    teach each other nothing; None for a baseline or a trial of another arm, of which that is clear.
    """
    if collapsed:
        return f"{COLLAPSED}: it says the same of all images"
    if graph is not None and teaches_nothing(graph):
        return "no network teaches another here"
    return ""


def teaches_nothing(graph: Graph) -> bool:
    """Return whether a graph has several networks, of which none teaches another what counts."""
    return len(graph.nodes) > 1 and len(live_nodes(graph)) == 1
