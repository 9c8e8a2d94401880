"""The book of a search: which graphs were proposed, what became of them, and which one is best.

Knows neither Ray nor the clock of any process, so a whole search can be replayed in a test. It
trains nothing twice: a graph whose canonical form is already in the book is answered from it.
"""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ktg.errors import SpecError
from ktg.graph import Graph, SearchSpace
from ktg.graph.canonical import check_taught, key
from ktg.searching.baselines import baselines
from ktg.searching.sampler import Outcome, Sampler, Values

MOST_REPEATS = 500  # so many known or untaught graphs in a row, and the space counts as exhausted
# So many in a row, and points are drawn evenly: a sure sampler may ask the same one for ever.
STUBBORN = 10
EntryState = Literal["running", "finished", "stopped", "failed"]
UNTAUGHT = Outcome("failed", 0.0, 0)


@dataclass
class Entry:
    """One trained graph, or one being trained."""

    number: int
    graph: Graph
    key: str
    baseline: str | None = None
    values: Values | None = None
    asked: int | None = None
    state: EntryState = "running"
    reason: str | None = None
    epoch: int = 0
    accuracy: float = 0.0
    loss: float = float("inf")
    train_s: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    accuracies: dict[int, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The trial's name."""
        return f"trial-{self.number:04d}" + (f" ({self.baseline})" if self.baseline else "")

    @property
    def outcome(self) -> Outcome:
        """What the sampler is told."""
        return Outcome(self.state, 0.0 if self.state == "failed" else self.accuracy, self.epoch)


@dataclass(frozen=True)
class Duplicate:
    """A proposal that was not trained, because the same graph already was (or is being)."""

    values: Values
    of: Entry


class Ledger:
    """Proposes graphs and keeps their results. `planned` is the most it will propose, the baselines included.

    entries, duplicates: of an earlier process, by which this one goes on; what was running then is
    proposed first.
    """

    def __init__(
        self,
        space: SearchSpace,
        entries: Sequence[Entry] = (),
        duplicates: Sequence[Duplicate] = (),
    ) -> None:
        self.space = space
        # Another seed when going on, or a sampler would propose again what it did before.
        self.sampler = Sampler(
            space.holes, replace(space.search, seed=space.search.seed + len(entries))
        )
        self.entries: list[Entry] = []
        self.duplicates: list[Duplicate] = list(duplicates)
        self.untaught = 0
        self.exhausted = False
        self._by_key: dict[str, Entry] = {}
        self._waiting: dict[str, list[int]] = {}
        first = baselines(space) if space.search.baselines else {}
        self.planned = space.search.trials + len(first)
        self._baselines = iter(first.items())
        self._again = deque(entry for entry in entries if entry.state == "running")
        for entry in entries:
            self._keep(entry)
            if entry.state != "running":
                self._tell(entry)

    def propose(self) -> Entry | None:
        """Return the next graph to train, or None when there is nothing new to try."""
        if self._again:
            return self._again.popleft()
        for name, graph in self._baselines:
            graph_key = key(graph)
            if graph_key not in self._by_key:
                return self._enter(graph, graph_key, baseline=name, values=self.space.locate(graph))
        if sum(entry.baseline is None for entry in self.entries) >= self.space.search.trials:
            return None
        for asked, values, graph in self._asked():
            graph_key = key(graph)
            known = self._by_key.get(graph_key)
            if known is None:
                return self._enter(graph, graph_key, values=values, asked=asked)
            self.duplicates.append(Duplicate(values, known))
            if known.state == "running":
                self._waiting.setdefault(known.key, []).append(asked)
            else:
                self.sampler.tell(asked, known.outcome)
        self.exhausted = True
        return None

    def report(self, entry: Entry, epoch: int, metrics: dict[str, float], seconds: float) -> bool:
        """Take down one epoch of a trial; return whether it is news, and no epoch that was trained again."""
        entry.train_s += seconds
        if epoch <= entry.epoch:
            return False
        entry.epoch, entry.metrics = epoch, metrics
        entry.accuracy, entry.loss = metrics["val_accuracy"], metrics["val_loss"]
        entry.accuracies[epoch] = entry.accuracy
        return True

    def close(self, entry: Entry, reason: str | None = None) -> None:
        """Take down the end of a trial: finished at the last epoch, stopped before it, or failed for a reason."""
        complete = entry.epoch >= entry.graph.train.epochs
        entry.state = "failed" if reason else "finished" if complete else "stopped"
        entry.reason = reason
        self._tell(entry)
        for asked in self._waiting.pop(entry.key, []):
            self.sampler.tell(asked, entry.outcome)

    @property
    def best(self) -> Entry | None:
        """The most accurate finished trial on the validation split; of equals, that of lower loss."""
        finished = self.in_state("finished")
        return max(finished, key=lambda entry: (entry.accuracy, -entry.loss), default=None)

    def in_state(self, state: str) -> list[Entry]:
        """Return the trials in one state."""
        return [entry for entry in self.entries if entry.state == state]

    def _asked(self) -> Iterator[tuple[int, Values, Graph]]:
        """Yield points of the space whose target is taught, until too many in a row led nowhere."""
        for attempt in itertools.count() if self.sampler.is_grid else range(MOST_REPEATS):
            point = self.sampler.ask(evenly=attempt >= STUBBORN)
            if point is None:
                return
            asked, values = point
            try:
                graph = self.space.bind(values)
                check_taught(graph)
            except SpecError:  # fields that contradict each other, or a target that nothing teaches
                self.untaught += 1
                self.sampler.tell(asked, UNTAUGHT)
                continue
            yield asked, values, graph

    def _enter(self, graph: Graph, graph_key: str, **known: Any) -> Entry:
        number = self.entries[-1].number + 1 if self.entries else 1
        entry = Entry(number, graph.with_needed_weights(), graph_key, **known)
        self._keep(entry)
        return entry

    def _keep(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._by_key[entry.key] = entry

    def _tell(self, entry: Entry) -> None:
        """Tell the sampler what became of a trial; of a baseline only if it had its full budget, as others have not."""
        if entry.asked is not None:
            self.sampler.tell(entry.asked, entry.outcome)
        elif entry.values is not None and (entry.state == "finished" or entry.baseline is None):
            self.sampler.add(entry.values, entry.outcome)
