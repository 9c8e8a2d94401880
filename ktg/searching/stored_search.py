"""A stored search and its trials: how they ended, their one order, and what can be read of them.

There is one order of the trials, `StoredSearch.ranked`. A search that its driver left "running"
when it died reads as interrupted, and so do its trials. Nothing here writes, and artifacts and
curves are read when they are asked for, so that `ktg status` stays cheap.
"""

import dataclasses
import itertools
import math
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ktg.errors import KtgError, UserError
from ktg.graph import Data, Graph, SearchSpace, parse, parse_space
from ktg.graph.canonical import seedless_key
from ktg.graph.space import MetricName
from ktg.graph.yaml_files import loads
from ktg.proposing.kinds import Kind, read_kind
from ktg.searching.baselines import ALONE
from ktg.searching.contestants import Contestant, gather, rank
from ktg.searching.driver_lock import find_state
from ktg.searching.expectation import JUDGED, JUDGES
from ktg.searching.pool import Pooled, pool_trainings
from ktg.searching.score import KEYS, VAL_ACCURACY, VAL_LOSS, read_score
from ktg.searching.trial import TUNED_ALONE, describe_fault, is_collapsed
from ktg.searching.values import Values, parse_values
from ktg.tracking import Experiment, RunRecord
from ktg.version import __version__
from ktg.wording import format_utc


# Compared by identity: two readings of one trial need not agree, as it may still be running.
@dataclass(frozen=True, eq=False)
class StoredTrial:
    """A trial of a stored search; `run` is its run in the store. Duplicates are no trials."""

    search: "StoredSearch" = field(repr=False)
    run: RunRecord

    @property
    def name(self) -> str:
        """The trial's name without what kind of baseline it is: trial-0007."""
        return self.run.name.partition(" ")[0]

    @property
    def number(self) -> int:
        """The number in the name, 0 where a name of another make has none."""
        found = re.match(r"trial-(\d+)\b", self.run.name)
        return int(found[1]) if found else 0

    @property
    def state(self) -> str:
        """One of running, finished, stopped, failed, interrupted."""
        return find_state(self.run, self.search.run)

    @property
    def baseline(self) -> str | None:
        """Which baseline it is, None for what the sampler chose."""
        return self.run.tags.get("baseline")

    @property
    def arm(self) -> str | None:
        """The part of the space that it was drawn from, None for all of it."""
        return self.run.tags.get("arm")

    @property
    def race_of(self) -> int | None:
        """The number of the trial whose graph it trains again with another seed, in the race."""
        found = self.run.tags.get("race_of")
        return None if found is None else int(found)

    @property
    def seed(self) -> int:
        """The seed of its training; 0 where an old version did not record it."""
        return int(self.run.tags.get("seed", 0))

    @property
    def fold(self) -> int | None:
        """Which fold of the images it was validated on, None for the split of the data."""
        found = self.run.tags.get("fold")
        return None if found is None else int(found)

    @property
    def kind(self) -> Kind | None:
        """What kind of arrangement it is, None where that is not known or not measured."""
        return read_kind(self.run.tags.get("arrangement"))

    @property
    def is_exact(self) -> bool:
        """Whether another seed would change nothing: nothing is trained."""
        return self.run.tags.get("epochs") == "0"

    @property
    def score(self) -> float:
        """How good its last epoch was, by the metric of the search: higher is better."""
        return read_score(self.search.metric, self.run.metrics)

    @property
    def is_collapsed(self) -> bool:
        """Whether the network ended by saying the same of all images."""
        return is_collapsed(self.run.metrics)

    @property
    def fault(self) -> str:
        """What is wrong with it once it has ended: see `describe_fault`."""
        graph = None
        if self.baseline is None and not self.is_collapsed:
            with suppress(KtgError):  # a space that this version cannot read
                graph = None if self.values is None else self.search.space.bind(self.values)
        return describe_fault(collapsed=self.is_collapsed, graph=graph)

    @cached_property
    def said(self) -> bytes:
        """What it said of the validation images, as `ktg.searching.pool` keeps it, or nothing."""
        if self.state != "finished" or "said" not in self.run.tags:
            return b""
        try:
            return self.search.experiment.read_bytes(self.run, self.run.tags["said"])
        except UserError:  # somebody has removed the file
            return b""

    @property
    def has_result(self) -> bool:
        """Whether it was trained to its end and has an accuracy."""
        return self.state == "finished" and VAL_ACCURACY in self.run.metrics

    @property
    def accuracy(self) -> float:
        """The last validation accuracy of what is scored, in [0, 1]; 0 when there was none."""
        return self.run.metrics.get(VAL_ACCURACY, 0.0)

    @property
    def loss(self) -> float:
        """The last validation cross-entropy, in nats; infinity when there was none."""
        return self.run.metrics.get(VAL_LOSS, math.inf)

    @cached_property
    def plain_graph(self) -> dict[str, Any]:
        """The trial's own graph as plain data. Raises UserError where its file cannot be read."""
        text = self.search.experiment.read_artifact(self.run, "graph.yaml")
        return dict(loads(text, f"graph.yaml of {self.run.name}"))

    @cached_property
    def graph(self) -> Graph:
        """The trial's own graph."""
        return parse(self.plain_graph)

    @cached_property
    def values(self) -> Values | None:
        """What filled the holes of the space; None where the whole space does not hold it.

        That may be so of a baseline, and is of a trial of another arm.
        """
        if self.arm is not None:
            return None
        holes = self.search.space.holes
        found = parse_values(holes, self.run.params)
        return found if found.keys() == holes.keys() else None

    @cached_property
    def epochs(self) -> int:
        """The full budget, in epochs."""
        if "epochs" in self.run.tags:
            return int(self.run.tags["epochs"])
        space = self.search.space
        filled = space.bind(space.default() if self.values is None else self.values)
        return filled.train.epochs

    @cached_property
    def curve(self) -> tuple[float, ...]:
        """The validation accuracy after each epoch, as far as no epoch is missing.

        Where nothing is trained it is that of the network as it begins.
        """
        # A resumed trial logs some epochs twice; as it resumes bit for bit, either value will do.
        known = dict(self.search.experiment.history(self.run, VAL_ACCURACY))
        first = 0 if self.is_exact else 1
        epochs = itertools.takewhile(known.__contains__, itertools.count(first))
        return tuple(known[epoch] for epoch in epochs)

    @property
    def epoch(self) -> int:
        """How many epochs it was trained."""
        return 0 if self.is_exact else len(self.curve)

    @cached_property
    def train_s(self) -> float:
        """The time of training in seconds, all epochs together."""
        tag = self.run.tags.get("train_s")
        if tag is not None:
            return float(tag)
        # A trial that still runs, and one of an old version, has only the times of its epochs.
        return sum(dict(self.search.experiment.history(self.run, "epoch_s")).values())

    @property
    def repeat_s(self) -> float:
        """The seconds of another training of its graph, as far as they are known: of this one."""
        return self.train_s


@dataclass(frozen=True, eq=False)
class StoredSearch:
    """The `number`-th (from 1) of an experiment's `of` searches; newer ones have no `lacking`."""

    experiment: Experiment
    run: RunRecord
    number: int = 1
    of: int = 1
    lacking: str = ""

    @property
    def state(self) -> str:
        """One of running, finished, failed, interrupted."""
        return find_state(self.run)

    @property
    def sentence(self) -> str:
        """Which search this is, for a reader who must not take it for another one."""
        newer = self.of - self.number
        which = "the newer one has" if newer == 1 else f"the {newer} newer ones have"
        later = f"; {which} no {self.lacking}" if newer and self.lacking else ""
        began = f"search {self.number} of {self.of}, begun {format_utc(self.run.start_s)}"
        return f"{self.experiment.name}: {began} (run {self.run.id}){later}"

    def to_json(self) -> dict[str, Any]:
        """Return which search this is, as plain data."""
        which = {"run": self.run.id, "number": self.number, "of": self.of}
        return {**which, "started": format_utc(self.run.start_s)}

    @cached_property
    def space(self) -> SearchSpace:
        """The space that was searched. Raises UserError when this version cannot read it."""
        text = self.experiment.read_artifact(self.run, "space.yaml")
        try:
            # Versions of ktg that wrote no version read the format 1.
            return parse_space({"version": 1, **loads(text, "space.yaml")})
        except KtgError as error:
            raise self._unreadable(str(error)) from error

    @property
    def data(self) -> Data:
        """The images whose fingerprint it recorded: its default graph's, of the first fold."""
        own = self.space.fill(self.space.default()).data
        return dataclasses.replace(own, folds=self.space.search.folds or own.folds)

    def has_same_images(self) -> bool:
        """Return whether the images at hand are those that it saw, as far as it recorded that."""
        from ktg.data.open import open_data

        recorded = self.run.tags.get("data.fingerprint")
        return recorded is None or recorded == open_data(self.data).fingerprint

    def check_same_images(self) -> None:
        """Raise UserError where the images are not those that it saw."""
        if not self.has_same_images():
            problem = "the data are not those of the search any more (their fingerprint differs)"
            raise UserError(problem)

    @cached_property
    def children(self) -> list[RunRecord]:
        """The runs of trials and duplicates, in the order of their start."""
        return self.experiment.trials(self.run)

    @property
    def metric(self) -> MetricName:
        """What its trials are compared by."""
        named = self.run.params.get("search.metric", "accuracy")
        return next((metric for metric in KEYS if metric == named), "accuracy")

    @cached_property
    def _all_trials(self) -> list[StoredTrial]:
        return [StoredTrial(self, run) for run in self.children if not _is_duplicate(run)]

    @cached_property
    def trials(self) -> list[StoredTrial]:
        """All trials but those of the race, in the order of their start."""
        return [trial for trial in self._all_trials if trial.race_of is None]

    @cached_property
    def repeats(self) -> list[StoredTrial]:
        """The trials of the race: graphs of others with new seeds, in the order of their start."""
        return [trial for trial in self._all_trials if trial.race_of is not None]

    @property
    def raced(self) -> list[StoredTrial]:
        """The trials of the race that were trained to their end."""
        return [trial for trial in self.repeats if trial.has_result]

    @cached_property
    def duplicates(self) -> list[RunRecord]:
        """The runs of proposals that were not trained, because the same graph already was."""
        return [run for run in self.children if _is_duplicate(run)]

    @property
    def finished(self) -> list[StoredTrial]:
        """The trials that were trained to their end, in the order of their start."""
        return [trial for trial in self.trials if trial.has_result]

    @cached_property
    def ranked(self) -> list[StoredTrial]:
        """The finished trials, the best first: see `ktg.searching.contestants.rank`.

        Without a race the best has the highest score on the validation split; of equals, the lowest
        loss (one that is missing counts as infinite); of equals again, the lowest number.
        """
        # Not by their numbers: names of another make have none.
        pairs = zip(self.contestants, self.finished, strict=True)
        trials = {id(one): trial for one, trial in pairs}
        return [trials[id(one)] for one in rank(self.contestants)]

    @cached_property
    def contestants(self) -> list[Contestant]:
        """The finished trials, each with the scores of its graph in the race."""
        failed = {trial.race_of for trial in self.repeats if trial.state == "failed"}
        return gather([*self.finished, *self.raced], self.images, failed)

    def find_contestant(self, trial: StoredTrial) -> Contestant | None:
        """Return what is known of a trial's graph; None for one that has not finished."""
        pairs = zip(self.finished, self.contestants, strict=True)
        return next((one for stored, one in pairs if stored is trial), None)

    @property
    def images(self) -> float | None:
        """How many images judge one training, None where they do not, or it was not recorded."""
        found = self.run.tags.get(JUDGES)
        # An old version recorded it for all metrics but the loss.
        return None if found is None or self.metric not in JUDGED else float(found)

    @cached_property
    def pooled(self) -> list[Pooled]:
        """The best trainings, those of the race too, with what they said of the images."""
        return pool_trainings([*self.finished, *self.raced], self.best)

    @property
    def alone(self) -> StoredTrial | None:
        """The last baseline of the target by itself that was trained to its end, None for none."""
        return next((one for one in reversed(self.finished) if one.baseline == ALONE), None)

    @property
    def tuned_alone(self) -> StoredTrial | None:
        """The best of the target by itself with settings of its own, None without any."""
        return next((trial for trial in self.ranked if trial.arm == TUNED_ALONE), None)

    @property
    def best(self) -> StoredTrial:
        """The best finished trial, of a search that has one."""
        return self.ranked[0]

    @property
    def sampled(self) -> list[StoredTrial]:
        """The trials that the sampler chose and that did not fail; no baselines."""
        own = [trial for trial in self.trials if trial.baseline is None and trial.state != "failed"]
        return [trial for trial in own if trial.values is not None]

    def distinct(self) -> Iterator[StoredTrial]:
        """Yield the ranked trials, but of graphs that differ in their seed alone only the best."""
        seen: set[str] = set()
        for trial in self.ranked:
            graph = seedless_key(trial.graph)
            if graph not in seen:
                seen.add(graph)
                yield trial

    @property
    def wall_s(self) -> float:
        """How long it took, or has taken until now, in seconds."""
        if self.run.end_s is not None:
            return self.run.end_s - self.run.start_s
        if self.state == "running":
            return time.time() - self.run.start_s
        # Nobody wrote down when its driver died: the last that is known of a trial must do.
        known = (run.end_s or run.start_s for run in self.children)
        return max(known, default=self.run.start_s) - self.run.start_s

    def check_readable(self) -> None:
        """Raise UserError for a search whose space or trials this version does not understand."""
        _ = self.space
        if self.finished and all(one.run.tags.get("kind") != "trial" for one in self.finished):
            raise self._unreadable("its trials are not marked as such")

    def _unreadable(self, why: str) -> UserError:
        made_by = self.run.tags.get("version.ktg-automl", "another version")
        name = self.run.name
        return UserError(
            f"search {name!r} was made by ktg {made_by} and cannot be read by {__version__}: {why}"
        )


def _is_duplicate(run: RunRecord) -> bool:
    return run.tags.get("kind") == "duplicate"
