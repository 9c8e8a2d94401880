"""How well the accuracy at the rungs of early stopping foretold the accuracy at the end."""

import math
from typing import Any

from scipy.stats import spearmanr

from ktg.reporting.record import SearchRecord

FEWEST = 8  # trials trained to their end, below which a rank correlation says next to nothing


def foretelling(record: SearchRecord) -> list[dict[str, Any]]:
    """Return for each rung its epoch, and Spearman's correlation of the accuracy there with that at the end.

    Over the trials that were trained to their end, baselines included: what was stopped has no end
    to compare with, so that the trials left are alike and the correlation is lower than that of all
    would be. Empty where nothing is stopped early, or for too few trials; `spearman` is None where
    all accuracies are equal.
    """
    ended = [trial for trial in record.finished if trial.epochs == record.best.epochs]
    search, epochs = record.space.search, record.best.epochs
    if search.scheduler == "none" or len(ended) < FEWEST:
        return []
    final = [trial.accuracy for trial in ended]
    found, rung = [], float(search.grace_epochs)
    while math.ceil(rung) < epochs:
        early = [trial.curve[math.ceil(rung) - 1] for trial in ended]
        differ = len(set(early)) > 1 and len(set(final)) > 1
        rho = float(spearmanr(early, final).statistic) if differ else None
        found.append({"epoch": math.ceil(rung), "trials": len(ended), "spearman": rho})
        rung *= search.reduction_factor
    return found
