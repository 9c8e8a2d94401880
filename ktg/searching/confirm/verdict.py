"""Judges a confirmation: how graphs do on the test split, and their differences from baselines."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ktg.graph.space import MetricName
from ktg.intervals import Interval, paired_interval
from ktg.searching.advice import Advice, Candidate, advise, measure_effort
from ktg.searching.confirm.finalists import BEST, CONTROL, Finalist, Finalists
from ktg.searching.confirm.measure import (
    Labels,
    Measure,
    explain_measure,
    make_measure,
    parse_bits,
)
from ktg.searching.score import WORDS
from ktg.searching.seed_queue import SeedQueue, SeedRun
from ktg.searching.seeds import SeedResults
from ktg.searching.worth import Gap, TeacherWorth, divide_sizes, find_teachers
from ktg.wording import format_percent

Verdict = Literal["better", "not proven", "worse"]
Results = dict[str, list[SeedRun]]


@dataclass(frozen=True)
class FinalistRow:
    """One graph: accuracies in [0, 1]; mean and deviation over seeds, None if too few trained.

    scores: of its runs, by the metric of the verdict, and likewise in [0, 1].
    """

    what: str
    trial: str
    baseline: str | None
    val_accuracy: float | None
    mean: float | None
    std: float | None
    runs: tuple[SeedRun, ...]
    failures: dict[int, str]
    scores: tuple[float, ...]

    @property
    def score(self) -> float | None:
        """The mean score, None if nothing trained."""
        return statistics.fmean(self.scores) if self.scores else None

    @property
    def score_std(self) -> float | None:
        """The deviation of the score between seeds (n - 1), None for fewer than two."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else None

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain data; which images were right is with the trainings' own runs."""
        failures = [{"seed": seed, "reason": reason} for seed, reason in self.failures.items()]
        return {
            "what": self.what,
            "trial": self.trial,
            "baseline": self.baseline,
            "val_accuracy": self.val_accuracy,
            "test_accuracy": self.mean,
            "test_std": self.std,
            "test_score": self.score,
            "score_std": self.score_std,
            "n": len(self.runs),
            "runs": [
                run.to_json() | {"score": score}
                for run, score in zip(self.runs, self.scores, strict=True)
            ],
            "failures": failures,
        }


@dataclass(frozen=True)
class Difference:
    """A graph's score minus a baseline's, in [-1, 1]; no interval if a training failed."""

    of: str
    against: str
    difference: float | None
    interval: Interval | None

    @property
    def verdict(self) -> Verdict:
        """Whether the graph is better than the baseline: proven only by an interval without 0."""
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return "not proven"
        return "better" if self.interval[0] > 0 else "worse"

    def to_json(self) -> dict[str, Any]:
        """Return the difference as plain data."""
        interval = None if self.interval is None else list(self.interval)
        return {**vars(self), "interval": interval, "verdict": self.verdict}


@dataclass(frozen=True)
class Confirmation:
    """The end of a confirmation: a row for each graph, the best first, and all differences.

    Each of the best graphs is compared with each baseline. teacher: what the best one's teacher was
    good for, None where nothing teaches its target. metric: what scores and differences are of;
    searched_by: that of the search.
    """

    experiment: str
    search: str
    top: int
    seeds: tuple[int, ...]
    test_images: int
    rows: tuple[FinalistRow, ...]
    differences: tuple[Difference, ...]
    ship: Advice | None = None
    teacher: TeacherWorth | None = None
    metric: MetricName = "accuracy"
    searched_by: MetricName = "accuracy"

    @property
    def sentence(self) -> str:
        """Whether the best graph is better than each baseline, in words."""
        best = self.rows[0]
        baseline = f" ({best.baseline})" if best.baseline else ""
        name = f"The best graph, {best.trial}{baseline},"
        if best.score is None:
            why = next(iter(best.failures.values()))
            return f"{name} cannot be judged: none of its trainings ended ({why})."
        own = [each for each in self.differences if each.of == BEST]
        if not own:
            alone = "there is no other baseline to compare it with"
            score = format_percent(best.score)
            told = f"{score} right" if self.metric == "accuracy" else f"{score} {self.measure}"
            return f"{name} has {told}; {alone}."
        unproven = [each.against for each in own if each.verdict == "not proven"]
        of = f" of {self.measure}" if explain_measure(self.searched_by, self.metric) else ""
        parts = [_format_proven(own, verdict, of) for verdict in ("better", "worse")]
        if unproven:
            parts.append(f"is not proven to be better than {join_words(unproven, 'or')}")
        return f"{name} {'; it '.join(part for part in parts if part)}."

    @property
    def measure(self) -> str:
        """What scores and differences are of, in words."""
        return WORDS[self.metric]

    @property
    def basis(self) -> str:
        """What the sentence rests on, in words."""
        count, seeds = len(self.differences), len(self.seeds)
        unused = f"{seeds} seeds that the search has not used"
        parts = [f"{unused}, {self.test_images:,} test images."]
        if count:
            holds = f"All {count} intervals hold at once" if count > 1 else "The interval holds"
            parts.append(f"{holds} with 95 %, for other seeds and other images.")
        if said := explain_measure(self.searched_by, self.metric):
            parts.append(said)
        if any(row.baseline == CONTROL for row in self.rows):
            parts.append(f"{CONTROL.capitalize()}: {_describe_control(self.rows)}.")
        return " ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "version": 1,
            "experiment": self.experiment,
            "search": self.search,
            "top": self.top,
            "metric": self.metric,
            "searched_by": self.searched_by,
            "seeds": list(self.seeds),
            "test_images": self.test_images,
            "rows": [row.to_json() for row in self.rows],
            "differences": [each.to_json() for each in self.differences],
            "sentence": self.sentence,
            "basis": self.basis,
            "ship": self.ship and self.ship.to_json(),
            "teacher": self.teacher and self.teacher.to_json(),
        }


def judge(experiment: str, chosen: Finalists, queue: SeedQueue, labels: Labels) -> Confirmation:
    """Return the verdict on a queue that is done. labels: (N,), of the images of the test split."""
    searched_by = chosen.search.metric
    measure = make_measure(searched_by, labels)
    results = {finalist.what: queue.results(finalist.what) for finalist in chosen.graphs}
    rows = [
        _build_row(finalist, results[finalist.what], queue.failures(finalist.what), measure)
        for finalist in chosen.graphs
    ]
    bests = [finalist for finalist in chosen.graphs if finalist.rank is not None]
    baselines = [finalist for finalist in chosen.graphs if finalist.baseline is not None]
    pairs = [
        (best, other)
        for best in bests
        for other in sorted(baselines, key=lambda each: (each.baseline == CONTROL, each.trial))
        # A control that has the settings of the best graph is a baseline for that one only.
        if other is not best and (other.val_accuracy is not None or best.what == BEST)
    ]
    return Confirmation(
        experiment=experiment,
        search=chosen.search.run.id,
        top=len(bests),
        seeds=tuple(queue.seeds),
        test_images=len(labels),
        rows=tuple(rows),
        differences=tuple(
            _compare(best, other, results, len(queue.seeds), len(pairs), measure)
            for best, other in pairs
        ),
        ship=_advise(chosen, results, len(queue.seeds), measure),
        teacher=_judge_teacher(chosen, results[BEST], len(queue.seeds)),
        metric=measure.metric,
        searched_by=searched_by,
    )


def _judge_teacher(chosen: Finalists, runs: Sequence[SeedRun], seeds: int) -> TeacherWorth | None:
    """Return what the best graph's teacher was good for, where all its trainings tell of it.

    That is by accuracy, whatever the metric, and its sentence says so.
    """
    graph = next((one.graph for one in chosen.graphs if one.what == BEST), None)
    if graph is None or len(runs) < max(2, seeds):
        return None
    names = [name for name in find_teachers(graph) if all(name in one.taught_by for one in runs)]
    if not names:
        return None
    own = np.stack([parse_bits(run.right) for run in runs])
    taught = {name: np.stack([parse_bits(run.taught_by[name]) for run in runs]) for name in names}
    best = max(names, key=lambda name: float(taught[name].mean()))
    table = own - taught[best]
    return TeacherWorth(
        teacher=best,
        model=graph.nodes[best].model,
        basis=f"{table.shape[1]:,} test images, {seeds} trainings each",
        minus_teacher=Gap(float(table.mean()), paired_interval(table)),
        minus_alone=None,
        times_parameters=divide_sizes(
            graph, best, int(chosen.search.run.tags.get("data.classes", 10))
        ),
    )


def _advise(chosen: Finalists, results: Results, seeds: int, measure: Measure) -> Advice | None:
    """Return which graph to ship, of those all of whose trainings ended."""
    whole = [one for one in chosen.graphs if len(results[one.what]) == seeds]
    graphs = {one.what: one for one in whole}
    candidates = []
    for name, one in graphs.items():
        train_s = float(np.mean([run.train_s for run in results[name]]))
        score = statistics.fmean(map(measure.score, results[name]))
        trial = "" if one.val_accuracy is None else one.trial  # no trial of the search is it
        candidates.append(Candidate(name, trial, score, measure_effort(one.graph, train_s)))

    def compare(best: Candidate, other: Candidate) -> Interval | None:
        pair = graphs[best.what], graphs[other.what]
        return _compare(*pair, results, seeds, len(candidates) - 1, measure).interval

    return advise(candidates, compare, "test")


def _build_row(
    finalist: Finalist, runs: Sequence[SeedRun], failures: dict[int, str], measure: Measure
) -> FinalistRow:
    results = SeedResults(tuple(runs)) if runs else None
    return FinalistRow(
        what=finalist.what,
        trial=finalist.trial,
        baseline=finalist.baseline,
        val_accuracy=finalist.val_accuracy,
        mean=results.mean if results else None,
        std=results.std if results else None,
        runs=tuple(runs),
        failures=failures,
        scores=tuple(map(measure.score, runs)),
    )


def _compare(
    of: Finalist,
    against: Finalist,
    results: Results,
    seeds: int,
    comparisons: int,
    measure: Measure,
) -> Difference:
    """Return the difference by the seeds that both were trained with.

    An interval needs all seeds: a graph some of whose trainings fail would otherwise be judged by
    the lucky ones.
    """
    own, others = ({run.seed: run for run in results[each.what]} for each in (of, against))
    shared = sorted(own.keys() & others.keys())
    name = against.baseline or against.what
    if not shared:
        return Difference(of.what, name, None, None)
    # (seeds, images): what the image counts where only the graph was right, minus that where only
    # the baseline was.
    table = np.stack(
        [measure.mark(own[seed].right) - measure.mark(others[seed].right) for seed in shared]
    )
    complete = len(shared) == seeds > 1
    interval = paired_interval(table, comparisons) if complete else None
    return Difference(of.what, name, float(table.mean()), interval)


def _format_proven(differences: Sequence[Difference], verdict: Verdict, of: str) -> str:
    """Return "is better than a by 1.00 and b by 2.00 points", empty without such a difference.

    of: what the points are of, where that must be said.
    """
    parts = [
        f"{each.against} by {100 * abs(each.difference):.2f}"
        for each in differences
        if each.verdict == verdict and each.difference is not None
    ]
    return f"is {verdict} than {join_words(parts, 'and')} points{of}" if parts else ""


def _describe_control(rows: Sequence[FinalistRow]) -> str:
    searched = any(row.baseline == CONTROL and row.val_accuracy is not None for row in rows)
    if searched:
        return "the target by itself, with the best settings that the search has found for it"
    return "the target by itself, with all the settings of the best graph"


def join_words(words: Sequence[str], joint: str) -> str:
    """Return words as a sentence lists them: a, b and c."""
    return f" {joint} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
