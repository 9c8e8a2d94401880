"""How much each hole matters, from trials that can be compared: early stopping leaves most of them unfinished."""

from typing import Any

from ktg.reporting.record import SearchRecord
from ktg.searching.importance import FEWEST, importance


def importances(record: SearchRecord) -> dict[str, Any]:
    """Return the importance of each hole, at the first rung and at the end.

    At the first rung, the last epoch that every trial was given, no trial is missing, but what
    helps late (a gate that opens slowly) looks unimportant or harmful. At the end it shows, but the
    trials left are those that were good early. A column is None where there are too few trials, or
    where they do not differ.
    """
    compared = [
        trial for trial in record.trials if trial.values is not None and trial.state != "failed"
    ]
    epoch = first_rung(record)
    early = [
        (trial.values or {}, trial.curve[epoch - 1]) for trial in compared if trial.epoch >= epoch
    ]
    ended = [trial for trial in compared if trial.state == "finished"]
    final = [(trial.values or {}, trial.accuracy) for trial in ended]
    columns = {
        "fanova_early": importance(record.space.holes, early, evaluator="fanova"),
        "ped_anova_early": importance(record.space.holes, early, evaluator="ped_anova"),
        "fanova_end": importance(record.space.holes, final, evaluator="fanova"),
    }
    first = columns["fanova_early"] or columns["fanova_end"]
    paths = sorted(record.space.holes, key=lambda path: -(first or {}).get(path, 0.0))
    return {
        "epoch": epoch,
        "trials_early": len(early),
        "trials_end": len(final),
        "fewest": dict(FEWEST),
        "known": any(columns.values()),
        "holes": [
            {"hole": path, **{name: found and found[path] for name, found in columns.items()}}
            for path in paths
        ],
    }


def first_rung(record: SearchRecord) -> int:
    """Return the last epoch that early stopping gave to every trial, or the shortest budget when it stopped none."""
    shortest = min(trial.epochs for trial in record.trials)
    search = record.space.search
    return shortest if search.scheduler == "none" else min(search.grace_epochs, shortest)
