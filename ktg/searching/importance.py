"""Estimates with Optuna how much of the differences between trials each hole explains."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

import optuna
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator
from optuna.trial import create_trial

from ktg.graph import Hole
from ktg.searching.sampler import build_distribution
from ktg.searching.values import Values, label

Evaluator = Literal["fanova", "ped_anova"]
# Points below which an importance is noise; PED-ANOVA looks at the best tenth, in which there
# should be five.
FEWEST: Mapping[Evaluator, int] = {"fanova": 10, "ped_anova": 50}


def importance(
    holes: Mapping[str, Hole],
    points: Sequence[tuple[Values, float]],
    *,
    evaluator: Evaluator,
    seed: int = 0,
) -> dict[str, float] | None:
    """Return each hole's share (they sum to 1) of the differences in accuracy between `points`.

    points: values of all holes, and the accuracy they led to; they must be comparable, that is of
    one epoch.
    evaluator: `fanova` (Hutter, Hoos, Leyton-Brown, ICML 2014: share of variance of a random forest
    over the whole space) or `ped_anova` (Watanabe, Bansal, Hutter, IJCAI 2023: what sets the best
    tenth apart from all). They answer different questions and may disagree.

    Returns None for fewer than `FEWEST[evaluator]` points, and where all have the same accuracy.
    """
    finite = [(values, accuracy) for values, accuracy in points if math.isfinite(accuracy)]
    if (
        not holes
        or len(finite) < FEWEST[evaluator]
        or len({accuracy for _, accuracy in finite}) < 2
    ):
        return None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    distributions = {path: build_distribution(hole) for path, hole in holes.items()}
    for values, accuracy in finite:
        params = {path: label(holes[path], value) for path, value in values.items()}
        study.add_trial(create_trial(params=params, distributions=distributions, value=accuracy))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        judge = (
            FanovaImportanceEvaluator(seed=seed)
            if evaluator == "fanova"
            else PedAnovaImportanceEvaluator()
        )
        found = optuna.importance.get_param_importances(study, evaluator=judge, normalize=True)
    return {path: float(found.get(path, 0.0)) for path in holes}
