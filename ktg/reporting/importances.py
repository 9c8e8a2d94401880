"""Measures how much each hole matters, and how well the rungs of early stopping predict the end.

Early stopping leaves most trials unfinished, so only what they all reached can be compared.
"""

import math
import statistics
from typing import Any

from scipy.stats import spearmanr

from ktg.reporting.curves import read_scores
from ktg.searching.importance import FEWEST, importance
from ktg.searching.stored_search import StoredSearch

FEWEST_ENDED = 8  # finished trials, below which a rank correlation says next to nothing


def measure_importances(search: StoredSearch) -> dict[str, Any]:
    """Return the importance of each hole, at the first rung and at the end.

    At the first rung, the last epoch that every trial was given, no trial is missing, but what
    helps late (a gate that opens slowly) looks unimportant or harmful. At the end it shows, but the
    trials left are those that were good early. A column is None where there are too few trials, or
    where they do not differ. `at_end`: whether the first rung is the end of every trial. `stopped`:
    how many trials were stopped.
    """
    compared = [
        trial for trial in search.trials if trial.values is not None and trial.state != "failed"
    ]
    epoch, holes = first_rung(search), search.space.holes
    early = [
        (trial.values or {}, read_scores(trial)[epoch - 1])
        for trial in compared
        if trial.epoch >= epoch
    ]
    final = [(trial.values or {}, trial.score) for trial in compared if trial.has_result]
    columns = {
        "fanova_early": importance(holes, early, evaluator="fanova"),
        "ped_anova_early": importance(holes, early, evaluator="ped_anova"),
        "fanova_end": importance(holes, final, evaluator="fanova"),
    }
    first = columns["fanova_early"] or columns["fanova_end"]
    paths = sorted(holes, key=lambda path: -(first or {}).get(path, 0.0))
    return {
        "epoch": epoch,
        "trials_early": len(early),
        "trials_end": len(final),
        "at_end": all(trial.epochs == epoch for trial in compared),
        "stopped": sum(trial.state == "stopped" for trial in compared),
        "fewest": dict(FEWEST),
        "known": any(columns.values()),
        "holes": [
            {"hole": path, **{name: found and found[path] for name, found in columns.items()}}
            for path in paths
        ],
    }


def first_rung(search: StoredSearch) -> int:
    """Return the last epoch that early stopping gave to every trial.

    Where it stopped none, that is the shortest budget of a trial.
    """
    # A probe trains nothing.
    shortest = min((trial.epochs for trial in search.trials if trial.epochs), default=1)
    settings = search.space.search
    return shortest if settings.scheduler == "none" else min(settings.grace_epochs, shortest)


def correlate_rungs(search: StoredSearch) -> list[dict[str, Any]]:
    """Return each rung's epoch, and Spearman's correlation of the score there with the end.

    Over the trials of the commonest length that were trained to their end, baselines included. What
    was stopped has no end to compare with, so the trials left are alike and the correlation is
    lower than that of all would be. Empty where nothing is stopped early, and for fewer than
    `FEWEST_ENDED` trials; `spearman` is None where all scores are equal.
    """
    settings = search.space.search
    epochs = statistics.mode(trial.epochs for trial in search.finished)
    ended = [trial for trial in search.finished if trial.epochs == epochs]
    if settings.scheduler == "none" or len(ended) < FEWEST_ENDED:
        return []
    final, curves = [trial.score for trial in ended], [read_scores(trial) for trial in ended]
    found, rung = [], float(settings.grace_epochs)
    while math.ceil(rung) < epochs:
        early = [curve[math.ceil(rung) - 1] for curve in curves]
        # Ranks of equal numbers have no variance, and a correlation would be nan.
        differ = len(set(early)) > 1 and len(set(final)) > 1
        rho = float(spearmanr(early, final).statistic) if differ else None
        found.append({"epoch": math.ceil(rung), "trials": len(ended), "spearman": rho})
        rung *= settings.reduction_factor
    return found
