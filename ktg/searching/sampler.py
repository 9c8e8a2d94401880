"""Chooses the next point of a search space, through Optuna's ask and tell.

What a trial tells the sampler is the same in every case: a finished trial its final accuracy (COMPLETE), a trial that
was stopped early the accuracy it had reached, at the epoch it had reached (PRUNED, which TPE ranks by epoch first), a
failed one an accuracy of 0, so that it keeps away from there.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from ktg.space import Choice, Hole, Int, Log
from ktg.spec import Search

Values = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: `state` is finished, stopped or failed, `accuracy` in [0, 1] as of `epoch`."""

    state: str
    accuracy: float
    epoch: int


class Sampler:
    """Points of a space: `ask` for one, `tell` what became of it."""

    def __init__(self, holes: Mapping[str, Hole], search: Search) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._holes = holes
        self._distributions = {path: distribution(hole) for path, hole in holes.items()}
        self._study = optuna.create_study(direction="maximize", sampler=optuna_sampler(search))
        self._asked: dict[int, optuna.Trial] = {}

    def ask(self) -> tuple[int, Values]:
        """Return a number to `tell` with, and a value for every hole."""
        trial = self._study.ask(self._distributions)
        self._asked[trial.number] = trial
        return trial.number, {path: option(self._holes[path], value) for path, value in trial.params.items()}

    def tell(self, number: int, outcome: Outcome) -> None:
        """Say what became of a point that was asked for."""
        trial = self._asked.pop(number)
        if outcome.state == "stopped":
            trial.report(outcome.accuracy, outcome.epoch)
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, outcome.accuracy)

    def add(self, values: Values, outcome: Outcome) -> None:
        """Say what became of a point that the sampler did not choose itself, such as a baseline."""
        params = {path: label(self._holes[path], value) for path, value in values.items()}
        told = create_trial(params=params, distributions=self._distributions, value=outcome.accuracy)
        self._study.add_trial(told)


def optuna_sampler(search: Search) -> optuna.samplers.BaseSampler:
    """Return the sampler a search asks for."""
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=search.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # constant_liar: trials still running count as poor ones, or parallel workers would all be sent to one place
        return optuna.samplers.TPESampler(seed=search.seed, multivariate=True, constant_liar=True)


def distribution(hole: Hole) -> BaseDistribution:
    """Return what Optuna calls a hole."""
    if isinstance(hole, Choice):
        return CategoricalDistribution([label(hole, value) for value in hole.options])
    if isinstance(hole, Int):
        return IntDistribution(hole.low, hole.high)
    return FloatDistribution(hole.low, hole.high, log=isinstance(hole, Log))


def label(hole: Hole, value: Any) -> Any:
    """Return an option as Optuna and MLflow can hold it: lists and mappings become JSON."""
    if isinstance(hole, Choice) and not isinstance(value, str | int | float | bool | None):
        return json.dumps(value)
    return value


def option(hole: Hole, labelled: Any) -> Any:
    """Return the option that `label` wrote."""
    if not isinstance(hole, Choice):
        return labelled
    return next(value for value in hole.options if label(hole, value) == labelled)
