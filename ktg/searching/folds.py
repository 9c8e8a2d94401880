"""Compares trainings that were validated on different folds, as each trial of a search can be.

Some folds are easier than others, for all graphs. Scores are compared with that taken out: it is
estimated from the graphs that were trained on several folds. One of these is the first baseline,
which is trained on every fold; the others are those of the race.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ktg.searching.trial import Outcome, Trial

FoldEffects = Mapping[int | None, float]
NO_EFFECTS: FoldEffects = MappingProxyType({})
PENALTY = 0.25  # as if folds differed twice as much as trainings of one graph on one fold do


def estimate_fold_effects(runs: Iterable[tuple[int, int | None, float]]) -> FoldEffects:
    """Return by fold how much higher scores are there than on the mean fold.

    runs: (graph, fold, score) of each training. A score is taken to be a graph's, plus a fold's,
    plus chance. The folds' are estimated by ridge regression, which is the best linear prediction
    in the model of random effects (Henderson, "Best linear unbiased estimation and prediction under
    a selection model", Biometrics, 1975). They sum to zero; one that is not there counts as 0.

    Of one graph alone, 80 % of its differences between folds are believed:

    >>> {fold: round(each, 3) for fold, each in
    ...  estimate_fold_effects([(1, 0, 0.9), (1, 1, 0.7), (2, 1, 0.8)]).items()}
    {0: 0.08, 1: -0.08}
    """
    known = list(runs)
    seen: dict[int, set[int | None]] = {}
    for graph, fold, _ in known:
        seen.setdefault(graph, set()).add(fold)
    graphs = [graph for graph, own in seen.items() if len(own) > 1]
    used = [run for run in known if run[0] in graphs]
    folds = list(dict.fromkeys(fold for _, fold, _ in used))
    if not used:
        return NO_EFFECTS
    design = np.zeros((len(used) + len(folds), len(graphs) + len(folds)))
    for row, (graph, fold, _) in enumerate(used):
        design[row, graphs.index(graph)] = design[row, len(graphs) + folds.index(fold)] = 1.0
    design[len(used) :, len(graphs) :] = np.sqrt(PENALTY) * np.eye(len(folds))
    scores = np.array([score for *_, score in used] + [0.0] * len(folds))
    solved = np.linalg.lstsq(design, scores, rcond=None)[0]
    return dict(zip(folds, solved[len(graphs) :].tolist(), strict=True))


def count_fold_runs(trials: Sequence[Trial]) -> tuple[Trial | None, int, int]:
    """Return the first baseline, and how many more trainings of it have begun, and have ended."""
    first = next((trial for trial in trials if trial.baseline is not None), None)
    more = [trial for trial in trials if first and trial.race_of == first.number]
    return first, len(more), sum(trial.state != "running" for trial in more)


def to_mean_fold(score: float, fold: int | None, effects: FoldEffects) -> float:
    """Return what a score would be on the mean fold; one without a fold stays as it is."""
    return score - effects.get(fold, 0.0)


def judge_on_mean_fold(trial: Trial, effects: FoldEffects) -> Outcome:
    """Return what a sampler learns of a trial: what it would be on the mean fold."""
    outcome = trial.outcome
    if trial.fold is None or trial.state == "failed":
        return outcome
    return replace(outcome, score=to_mean_fold(outcome.score, trial.fold, effects))
