"""Which trainings a confirmation consists of, which of them are done already, and what came of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ktg.graph.canonical import canonical_key, with_seed
from ktg.searching.confirm.candidates import Candidate
from ktg.searching.confirm.store import RIGHT_FILE, confirmations
from ktg.searching.confirm.worker import RIGHT
from ktg.searching.seeds import SeedRun
from ktg.searching.trials import Trial
from ktg.tracking import Experiment, RunRecord
from ktg.version import __version__


@dataclass(frozen=True)
class Scored(SeedRun):
    """One training, with a 1 in `right` for every image of the test split that it classified rightly, else a 0."""

    right: str


@dataclass(kw_only=True)
class Job(Trial):
    """One training that is to be done: a candidate with one of the seeds."""

    candidate: Candidate
    tested: Scored | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.candidate.what}, seed {self.graph.train.seed}"


class SeedQueue:
    """Proposes, graph by graph, the trainings that are not done; a `Book` for Ray, with what `Progress` shows of one.

    Not seed by seed: graphs with the same seed share teachers, and would wait for them at the same
    time.
    """

    def __init__(
        self, graphs: Sequence[Candidate], seeds: Sequence[int], done: Mapping[str, Scored]
    ) -> None:
        self.graphs, self.seeds, self._done = graphs, seeds, done
        self.jobs: dict[str, Job] = {}
        self._keys: dict[str, list[str]] = {}
        for candidate in graphs:
            seeded = [with_seed(candidate.graph, seed) for seed in seeds]
            self._keys[candidate.what] = [canonical_key(graph) for graph in seeded]
            for name, graph in zip(self._keys[candidate.what], seeded, strict=True):
                self.jobs.setdefault(
                    name, Job(len(self.jobs) + 1, graph, name, candidate=candidate)
                )
        self.missing = [job for name, job in self.jobs.items() if name not in done]
        self.planned = len(self.missing)
        self.entries: list[Job] = []

    def propose(self) -> Job | None:
        """Return the next training, None when all are under way."""
        if len(self.entries) == self.planned:
            return None
        self.entries.append(self.missing[len(self.entries)])
        return self.entries[-1]

    def report(self, entry: Trial, epoch: int, metrics: dict[str, Any], seconds: float) -> bool:
        """Take down an epoch, and with the last one the test."""
        entry.train_s += seconds
        if epoch <= entry.epoch:
            return False
        right = metrics.pop(RIGHT, None)
        entry.epoch, entry.metrics = epoch, metrics
        if right is not None:
            accuracy, loss = metrics["test_accuracy"], metrics["test_loss"]
            train_s = round(
                entry.train_s, 3
            )  # as it is stored: what is read back later is the same
            self.jobs[entry.key].tested = Scored(
                entry.graph.train.seed, accuracy, loss, train_s, right
            )
        return True

    def close(self, entry: Trial, reason: str | None = None) -> None:
        """Take down the end of a training."""
        entry.state, entry.reason = "failed" if reason else "finished", reason

    def in_state(self, state: str) -> list[Job]:
        """Return the trainings in one state."""
        return [job for job in self.entries if job.state == state]

    @property
    def interrupted(self) -> bool:
        """Whether some trainings were not brought to an end."""
        return len(self.entries) < self.planned or bool(self.in_state("running"))

    def tested(self, candidate: Candidate) -> list[Scored]:
        """Return what is known of a candidate by now, in the order of the seeds."""
        new = {job.key: job.tested for job in self.entries if job.tested is not None}
        known = {**self._done, **new}
        return [known[name] for name in self._keys[candidate.what] if name in known]

    def failures(self, candidate: Candidate) -> dict[int, str]:
        """Return by seed why trainings of a candidate failed."""
        failed, own = self.in_state("failed"), self._keys[candidate.what]
        return {job.graph.train.seed: job.reason or "" for job in failed if job.key in own}


def read_done(
    experiment: Experiment, fingerprints: Iterable[str], images: int
) -> dict[str, Scored]:
    """Return by key all trainings that earlier confirmations of an experiment have finished on data of these prints.

    images: how many the test split has; it is no part of a print. Trainings of another version of
    ktg do not count: it may train otherwise.
    """
    known = set(fingerprints)
    done: dict[str, Scored] = {}
    for parent in confirmations(experiment):
        for run in experiment.trials(parent):
            tags = run.tags
            same = (
                tags.get("data.fingerprint") in known
                and tags.get("version.ktg-automl") == __version__
            )
            if (
                same
                and run.state == "finished"
                and tags["key"] not in done
                and "test_accuracy" in run.metrics
            ):
                done[tags["key"]] = read_tested(experiment, run)
    return {name: tested for name, tested in done.items() if len(tested.right) == images}


def read_tested(experiment: Experiment, run: RunRecord) -> Scored:
    """Return what a training came to."""
    return Scored(
        seed=int(run.params["seed"]),
        accuracy=run.metrics["test_accuracy"],
        loss=run.metrics["test_loss"],
        train_s=float(run.tags["train_s"]),
        right=experiment.read_artifact(run, RIGHT_FILE).strip(),
    )
