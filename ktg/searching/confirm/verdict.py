"""What a confirmation says: the graphs on the test split, their differences to the baselines, and one sentence."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ktg.intervals import Interval, paired_interval
from ktg.searching.confirm.candidates import BEST, CONTROL, Candidate
from ktg.searching.confirm.queue import Scored, SeedQueue
from ktg.searching.seeds import Confirmed

Verdict = Literal["better", "not proven", "worse"]
Found = dict[str, list[Scored]]


@dataclass(frozen=True)
class Row:
    """One graph. Accuracies in [0, 1]; mean and deviation are over seeds, None where too few trainings ended."""

    what: str
    trial: str
    baseline: str | None
    val_accuracy: float | None
    mean: float | None
    std: float | None
    runs: tuple[Scored, ...]
    failures: dict[int, str]

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain data; which images were right is with the trainings' own runs."""
        runs = [
            {name: value for name, value in vars(run).items() if name != "right"}
            for run in self.runs
        ]
        failures = [{"seed": seed, "reason": reason} for seed, reason in self.failures.items()]
        test = {"test_accuracy": self.mean, "test_std": self.std, "n": len(runs)}
        about = {
            "what": self.what,
            "trial": self.trial,
            "baseline": self.baseline,
            "val_accuracy": self.val_accuracy,
        }
        return {**about, **test, "runs": runs, "failures": failures}


@dataclass(frozen=True)
class Difference:
    """A graph minus a baseline, in shares of one; there is no interval where not all trainings of both ended."""

    of: str
    against: str
    difference: float | None
    interval: Interval | None

    @property
    def verdict(self) -> Verdict:
        """Whether the graph is better than the baseline: only what an interval without 0 says is proven."""
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return "not proven"
        return "better" if self.interval[0] > 0 else "worse"

    def to_json(self) -> dict[str, Any]:
        """Return the difference as plain data."""
        interval = None if self.interval is None else list(self.interval)
        return {**vars(self), "interval": interval, "verdict": self.verdict}


@dataclass(frozen=True)
class Confirmation:
    """The end of a confirmation: a row for each graph, the best first, and every difference of a best to a baseline."""

    experiment: str
    search: str
    top: int
    seeds: tuple[int, ...]
    test_images: int
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]

    @property
    def sentence(self) -> str:
        """Whether the best graph is better than each baseline, in words."""
        best = self.rows[0]
        name = (
            f"The best graph, {best.trial}" + (f" ({best.baseline})" if best.baseline else "") + ","
        )
        if best.mean is None:
            return f"{name} cannot be judged: none of its trainings ended ({next(iter(best.failures.values()))})."
        own = [each for each in self.differences if each.of == BEST]
        if not own:
            return f"{name} has {percent(best.mean)} right; there is no other baseline to compare it with."
        unproven = [each.against for each in own if each.verdict == "not proven"]
        parts = [_proven(own, verdict) for verdict in ("better", "worse")]
        parts += [f"is not proven to be better than {in_words(unproven, 'or')}"] if unproven else []
        return f"{name} {'; it '.join(part for part in parts if part)}."

    @property
    def basis(self) -> str:
        """What the sentence rests on, in words."""
        count, many = len(self.differences), len(self.differences) > 1
        grounds = f"{len(self.seeds)} seeds that the search has not used, {self.test_images:,} test images"
        held = f"All {count} intervals hold at once with" if many else "The interval holds with"
        parts = [f"{grounds}."] + (
            [f"{held} 95 %, for other seeds and other images."] if count else []
        )
        if any(row.baseline == CONTROL for row in self.rows):
            parts.append(
                f"{CONTROL.capitalize()}: the target by itself, with all the settings of the best graph."
            )
        return " ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        plain = dataclasses.asdict(self) | {
            "rows": [row.to_json() for row in self.rows],
            "seeds": list(self.seeds),
        }
        plain["differences"] = [each.to_json() for each in self.differences]
        return {"version": 1, **plain, "sentence": self.sentence, "basis": self.basis}


def judge(experiment: str, search: str, agenda: SeedQueue, images: int) -> Confirmation:
    """Return what an agenda that is done comes to. search: the id of its run; images: how many were tested on."""
    found = {candidate.what: agenda.tested(candidate) for candidate in agenda.graphs}
    rows = [
        _row(candidate, found[candidate.what], agenda.failures(candidate))
        for candidate in agenda.graphs
    ]
    bests = [candidate for candidate in agenda.graphs if candidate.rank is not None]
    baselines = sorted((each for each in agenda.graphs if each.baseline is not None), key=_place)
    pairs = [
        (best, other)
        for best in bests
        for other in baselines
        if other is not best and _is_for(other, best)
    ]
    differences = [
        _difference(best, other, found, len(agenda.seeds), len(pairs)) for best, other in pairs
    ]
    return Confirmation(
        experiment, search, len(bests), tuple(agenda.seeds), images, tuple(rows), tuple(differences)
    )


def _place(baseline: Candidate) -> tuple[bool, str]:
    return baseline.baseline == CONTROL, baseline.trial


def _is_for(other: Candidate, best: Candidate) -> bool:
    """Return whether a baseline says something of a graph: a control has the settings of the best one alone."""
    return other.baseline != CONTROL or best.what == BEST


def _row(candidate: Candidate, runs: Sequence[Scored], failures: dict[int, str]) -> Row:
    confirmed = Confirmed(tuple(runs)) if runs else None
    return Row(
        what=candidate.what,
        trial=candidate.trial,
        baseline=candidate.baseline,
        val_accuracy=candidate.val_accuracy,
        mean=confirmed.mean if confirmed else None,
        std=confirmed.std if confirmed else None,
        runs=tuple(runs),
        failures=failures,
    )


def _difference(
    of: Candidate, against: Candidate, found: Found, seeds: int, comparisons: int
) -> Difference:
    """Return the difference by the seeds that both were trained with.

    An interval needs all of them: a graph of which some trainings fail would be judged by its lucky
    ones.
    """
    own, others = ({run.seed: run for run in found[each.what]} for each in (of, against))
    shared = sorted(own.keys() & others.keys())
    name = against.baseline or against.what
    if not shared:
        return Difference(of.what, name, None, None)
    table = np.stack([_bits(own[seed]) - _bits(others[seed]) for seed in shared])
    complete = len(shared) == seeds > 1
    return Difference(
        of.what, name, float(table.mean()), paired_interval(table, comparisons) if complete else None
    )


def _bits(run: Scored) -> np.ndarray:
    return np.frombuffer(run.right.encode(), np.uint8) - np.float64(ord("0"))


def _proven(differences: Sequence[Difference], verdict: Verdict) -> str:
    """Return "is better than a by 1.00 and b by 2.00 points", nothing where there is no such difference."""
    parts = [
        f"{each.against} by {100 * abs(each.difference):.2f}"
        for each in differences
        if each.verdict == verdict and each.difference is not None
    ]
    return f"is {verdict} than {in_words(parts, 'and')} points" if parts else ""


def in_words(words: Sequence[str], joint: str) -> str:
    """Return words as a sentence lists them."""
    return f" {joint} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def percent(share: float) -> str:
    """Return a share of one as a percentage."""
    return f"{100 * share:.2f} %"
