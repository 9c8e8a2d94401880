"""Queues given graphs with several seeds each, for `ktg confirm` and `ktg train --seeds`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ktg.graph import Graph
from ktg.graph.canonical import canonical_key, with_seed
from ktg.searching.score import TEST_ACCURACY, TEST_LOSS
from ktg.searching.trial import Trial
from ktg.searching.trials import TrialQueue
from ktg.searching.worth import read_right


@dataclass(frozen=True)
class SeedRun:
    """One training: the target's accuracy in [0, 1] and cross-entropy in nats on the test split.

    loss: None for a classical head, as not all of them give probabilities.
    right: in a confirmation, a 1 for each test image that was classified rightly, else a 0.
    taught_by: the same of each network that teaches the target, by node.
    """

    seed: int
    accuracy: float
    loss: float | None
    train_s: float
    right: str = ""
    taught_by: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the run as plain data, without the single images."""
        plain = dict(vars(self))
        del plain["right"], plain["taught_by"]
        return plain


class SeedQueue(TrialQueue):
    """The trials of given graphs, each with every seed; a trial is tested after its last epoch.

    Graph by graph and not seed by seed: graphs with one seed share the teachers that are trained
    before, and would wait for them at the same time.

    graphs: by name.
    done: what an earlier process has finished, by the key of the trial; that is not trained again.
    """

    final = True

    def __init__(
        self,
        graphs: Mapping[str, Graph],
        seeds: Sequence[int],
        done: Mapping[str, SeedRun] = MappingProxyType({}),
    ) -> None:
        self.seeds, self._done = seeds, done
        self._keys: dict[str, list[str]] = {name: [] for name in graphs}
        trials: dict[str, Trial] = {}  # two names may stand for one graph, which is trained once
        for name, graph in graphs.items():
            for seed in seeds:
                seeded = with_seed(graph, seed)
                trial = Trial(len(trials) + 1, seeded, canonical_key(seeded), finalist=name)
                self._keys[name].append(trial.key)
                trials.setdefault(trial.key, trial)
        self._missing = [trial for trial in trials.values() if trial.key not in done]
        self.total = len(trials)
        super().__init__(len(self._missing))
        self.left = len(self._missing)

    def propose(self) -> Trial | None:
        """Return the next trial that is not done, None when all have been proposed."""
        if len(self.trials) == self.left:
            return None
        self.trials.append(self._missing[len(self.trials)])
        return self.trials[-1]

    @property
    def is_interrupted(self) -> bool:
        """Whether some trials have not been brought to an end, or not begun."""
        return len(self.trials) < self.left or super().is_interrupted

    def results(self, name: str) -> list[SeedRun]:
        """Return what is known of a graph by now, in the order of the seeds."""
        tested = (trial for trial in self.trials if TEST_ACCURACY in trial.metrics)
        known = {**self._done, **{trial.key: _result(trial) for trial in tested}}
        return [known[trial_key] for trial_key in self._keys[name] if trial_key in known]

    def failures(self, name: str) -> dict[int, str]:
        """Return, by seed, why trials of a graph failed."""
        own = [trial for trial in self.in_state("failed") if trial.key in self._keys[name]]
        return {trial.graph.train.seed: trial.reason or "" for trial in own}


def _result(trial: Trial) -> SeedRun:
    return SeedRun(
        seed=trial.graph.train.seed,
        accuracy=trial.metrics[TEST_ACCURACY],
        loss=trial.metrics[TEST_LOSS],
        train_s=round(trial.train_s, 3),  # as it is stored: what is read back later is the same
        **read_right(trial.right),
    )
