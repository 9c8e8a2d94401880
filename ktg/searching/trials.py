"""Keeps the queue of trials: which graph is trained next, what became of each one, which is best.

One queue serves every command that trains many graphs. `SearchQueue` proposes the points of a
space that a sampler chooses (`ktg search`); `seed_queue.SeedQueue` proposes given graphs with
several seeds (`ktg confirm`, `ktg train --seeds`). Neither knows Ray or the clock, so that a test
can replay a whole search.
"""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ktg.errors import SpecError
from ktg.graph import Graph, SearchSpace
from ktg.graph.canonical import canonical_key, check_trainable
from ktg.searching.baselines import baselines
from ktg.searching.sampler import Outcome, Sampler
from ktg.searching.values import Values

MOST_REPEATS = 500  # so many useless proposals in a row, and the space counts as exhausted
# So many in a row, and points are drawn evenly: a sure sampler may propose the same one for ever.
STUBBORN = 10
RIGHT = "right"  # the entry of a worker's metrics that is no number: see `Trial.right`
UNTRAINABLE = Outcome("failed", 0.0, 0)
State = Literal["running", "finished", "stopped", "failed"]


@dataclass
class Trial:
    """One graph that is being trained, or was.

    baseline: its name if it is a baseline of the search; finalist: that of the graph it trains in
    a confirmation.
    values: what fills the holes of the space; sample: the number by which the sampler knows them.
    accuracy, loss, metrics: after `epoch` epochs; accuracies: by epoch.
    bracket: the ASHA bracket it runs in, None for a trial of an earlier process.
    right: once tested, a 1 for each image of the test split classified rightly, else a 0.
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
    accuracy: float = 0.0
    loss: float = float("inf")
    train_s: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    accuracies: dict[int, float] = field(default_factory=dict)
    bracket: int | None = None
    finalist: str | None = None
    right: str = ""

    @property
    def name(self) -> str:
        """What the trial is called, in the store and on the screen."""
        if self.finalist is not None:
            return f"{self.finalist}, seed {self.graph.train.seed}"
        return f"trial-{self.number:04d}" + (f" ({self.baseline})" if self.baseline else "")

    @property
    def outcome(self) -> Outcome:
        """What the sampler learns from it."""
        return Outcome(self.state, 0.0 if self.state == "failed" else self.accuracy, self.epoch)


@dataclass(frozen=True)
class Duplicate:
    """A proposal that was not trained, because the same graph already was (or is being)."""

    values: Values
    of: Trial


class TrialQueue:
    """The trials that were proposed, in order.

    planned: how many are proposed at most.
    final: whether graphs train on all data but the test split, and are then tested.
    """

    final = False

    def __init__(self, planned: int) -> None:
        self.planned = planned
        self.trials: list[Trial] = []
        self.duplicates: list[Duplicate] = []

    def propose(self) -> Trial | None:
        """Return the next trial to train, None when there is none."""
        raise NotImplementedError

    def record_epoch(
        self, trial: Trial, epoch: int, metrics: dict[str, Any], seconds: float
    ) -> bool:
        """Record one epoch; return whether it is new, and not one trained again after a death."""
        trial.train_s += seconds
        accuracy = metrics.get("val_accuracy", 0.0)
        trial.accuracies.setdefault(epoch, accuracy)  # ASHA has judged by the first value
        if epoch <= trial.epoch:
            return False
        trial.right = metrics.pop(RIGHT, "")
        trial.epoch, trial.metrics = epoch, metrics
        trial.accuracy, trial.loss = accuracy, metrics.get("val_loss", float("inf"))
        return True

    def close(self, trial: Trial, reason: str | None = None) -> None:
        """End a trial: finished at its last epoch, stopped before it, or failed for a reason."""
        complete = trial.epoch >= trial.graph.train.epochs
        trial.state = "failed" if reason else "finished" if complete else "stopped"
        trial.reason = reason

    def in_state(self, state: State) -> list[Trial]:
        """Return the trials in one state."""
        return [trial for trial in self.trials if trial.state == state]

    @property
    def closed(self) -> list[Trial]:
        """The trials that have ended, in whatever way."""
        return [trial for trial in self.trials if trial.state != "running"]

    @property
    def is_interrupted(self) -> bool:
        """Whether some trials have not been brought to an end."""
        return bool(self.in_state("running"))

    @property
    def best(self) -> Trial | None:
        """The finished trial of highest validation accuracy; of equals, that of lower loss."""
        finished = self.in_state("finished")
        return max(finished, key=lambda trial: (trial.accuracy, -trial.loss), default=None)


class SearchQueue(TrialQueue):
    """The trials of a search: its baselines, then the points of the space that the sampler chooses.

    Nothing is trained twice: a point whose graph has a trial already, by its canonical form, is
    answered with the result of that trial.

    trials, duplicates: those of an earlier process, which this one goes on with; what was running
    then is proposed first.
    """

    def __init__(
        self, space: SearchSpace, trials: Sequence[Trial] = (), duplicates: Sequence[Duplicate] = ()
    ) -> None:
        first = baselines(space) if space.search.baselines else {}
        super().__init__(space.search.trials + len(first))
        self.space = space
        # Another seed when going on, or a sampler would propose again what it did before.
        settings = replace(space.search, seed=space.search.seed + len(trials))
        self.sampler = Sampler(space.holes, settings)
        self.duplicates.extend(duplicates)
        self.exhausted = False
        self.untrainable = 0
        self._by_key: dict[str, Trial] = {}
        self._waiting: dict[str, list[int]] = {}
        self._baselines = iter(first.items())
        self._resumed = deque(trial for trial in trials if trial.state == "running")
        for trial in trials:
            self._add(trial)
            if trial.state != "running":
                self._tell_sampler(trial)

    def propose(self) -> Trial | None:
        """Return the next trial to train, None when there is nothing new to try."""
        if self._resumed:
            trial = self._resumed.popleft()
            # ASHA compares only what this process has seen: what it trained before was judged then.
            trial.accuracies.clear()
            return trial
        for name, graph in self._baselines:
            graph_key = canonical_key(graph)
            if graph_key not in self._by_key:
                values = self.space.locate(graph)
                return self._start(graph, graph_key, baseline=name, values=values)
        if sum(trial.baseline is None for trial in self.trials) >= self.space.search.trials:
            return None
        for sample, values, graph in self._samples():
            graph_key = canonical_key(graph)
            known = self._by_key.get(graph_key)
            if known is None:
                return self._start(graph, graph_key, values=values, sample=sample)
            self.duplicates.append(Duplicate(values, known))
            if known.state == "running":  # the sampler learns of it when that trial ends
                self._waiting.setdefault(known.key, []).append(sample)
            else:
                self.sampler.tell(sample, known.outcome)
        self.exhausted = True
        return None

    def close(self, trial: Trial, reason: str | None = None) -> None:
        """End a trial, and let the sampler learn from it and its duplicates."""
        super().close(trial, reason)
        self._tell_sampler(trial)
        for sample in self._waiting.pop(trial.key, []):
            self.sampler.tell(sample, trial.outcome)

    def _samples(self) -> Iterator[tuple[int, Values, Graph]]:
        """Yield points whose target learns, until too many in a row are of no use."""
        for attempt in itertools.count() if self.sampler.is_grid else range(MOST_REPEATS):
            point = self.sampler.ask(evenly=attempt >= STUBBORN)
            if point is None:
                return
            sample, values = point
            try:
                graph = self.space.bind(values)
                check_trainable(graph)
            except SpecError:  # contradicting fields, or a target that nothing teaches
                self.untrainable += 1
                self.sampler.tell(sample, UNTRAINABLE)
                continue
            yield sample, values, graph

    def _start(self, graph: Graph, graph_key: str, **known: Any) -> Trial:
        number = self.trials[-1].number + 1 if self.trials else 1
        trial = Trial(number, graph.with_needed_weights(), graph_key, **known)
        self._add(trial)
        return trial

    def _add(self, trial: Trial) -> None:
        self.trials.append(trial)
        self._by_key[trial.key] = trial

    def _tell_sampler(self, trial: Trial) -> None:
        """Tell the sampler of a trial; of a baseline only at its full budget, which others lack."""
        if trial.sample is not None:
            self.sampler.tell(trial.sample, trial.outcome)
        elif trial.values is not None and (trial.state == "finished" or trial.baseline is None):
            self.sampler.add(trial.values, trial.outcome)
