"""Chooses the next point of a search space, through Optuna's ask and tell.

What a trial tells the sampler is the same in every case: a finished trial its final accuracy
(COMPLETE), a trial that was stopped early the accuracy it had reached, at the epoch it had reached
(PRUNED, which TPE ranks by epoch first), a failed one an accuracy of 0, so that it keeps away from
there. Optuna shows its Gaussian process no pruned trials: until STARTUP have finished it draws at
random, which early stopping puts off.
"""

import itertools
import json
import math
import random
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from ktg.errors import SpecError
from ktg.graph import Affinity, Choice, Hole, Int, Log, Search

MOST_POINTS = 100_000  # of a grid
STARTUP = (
    10  # trials that TPE draws at random before it has anything to learn from: Optuna's own default
)
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
        self._chosen, self._evenly = (
            optuna_sampler(search),
            optuna.samplers.RandomSampler(seed=search.seed),
        )
        self._study = optuna.create_study(direction="maximize", sampler=self._chosen)
        self._asked: dict[int, optuna.Trial] = {}
        self._search = search
        self._random = random.Random(search.seed)  # noqa: S311 - nothing is to be kept secret

        self._grid = grid(holes, search.seed) if search.sampler == "grid" else None
        self._known: list[Values] = []

    @property
    def is_grid(self) -> bool:
        """Whether every point is asked once, and then none."""
        return self._grid is not None

    def ask(self, *, evenly: bool = False) -> tuple[int, Values] | None:
        """Return a number to `tell` with, and a value for every hole; None when there is no point left.

        evenly: draw the point at random, whatever is known of others.
        """
        if self._grid is not None:
            point = next((point for point in self._grid if point not in self._known), None)
            if point is None:
                return None
            self._study.enqueue_trial(point)
        else:
            self._favour()
        self._study.sampler = self._evenly if evenly else self._chosen
        trial = self._study.ask(self._distributions)
        self._asked[trial.number] = trial
        return trial.number, {
            path: option(self._holes[path], value) for path, value in trial.params.items()
        }

    def _favour(self) -> None:
        """Draw from the priors of affinity what would be drawn evenly: by TPE, that is in its first trials."""
        holes = {
            path: hole
            for path, hole in self._holes.items()
            if isinstance(hole, Affinity) and hole.prior
        }
        evenly = (
            self._search.sampler == "random"
            or len(self._study.get_trials(deepcopy=False)) < STARTUP
        )
        if holes and evenly:
            drawn = {
                path: self._random.choices(hole.options, hole.chances())[0]
                for path, hole in holes.items()
            }
            self._study.enqueue_trial(drawn)

    def tell(self, number: int, outcome: Outcome) -> None:
        """Say what became of a point that was asked for."""
        trial = self._asked.pop(number)
        if outcome.state == "stopped":
            trial.report(outcome.accuracy, outcome.epoch)
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, outcome.accuracy)

    def add(self, values: Values, outcome: Outcome) -> None:
        """Say what became of a point that the sampler did not choose itself: a baseline, or an earlier process."""
        params = {path: label(self._holes[path], value) for path, value in values.items()}
        self._known.append(params)
        stopped = outcome.state == "stopped"
        told = create_trial(
            params=params,
            distributions=self._distributions,
            value=outcome.accuracy,
            state=TrialState.PRUNED if stopped else TrialState.COMPLETE,
            intermediate_values={outcome.epoch: outcome.accuracy} if stopped else {},
        )
        self._study.add_trial(told)


def optuna_sampler(search: Search) -> optuna.samplers.BaseSampler:
    """Return the sampler a search asks for."""
    if search.sampler in ("random", "grid"):
        return optuna.samplers.RandomSampler(seed=search.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if search.sampler == "gp":
            return optuna.samplers.GPSampler(
                seed=search.seed, n_startup_trials=STARTUP, deterministic_objective=True
            )
        # constant_liar: trials still running count as poor ones, or parallel workers would all be
        # sent to one place
        return optuna.samplers.TPESampler(
            seed=search.seed, n_startup_trials=STARTUP, multivariate=True, constant_liar=True
        )


def grid(holes: Mapping[str, Hole], seed: int) -> Iterator[Values]:
    """Yield every point of a space once, as labels, in a random order; raise SpecError for a space without end."""
    for path, hole in holes.items():
        if hole.size() is None:
            raise SpecError(
                "search.sampler",
                f"grid tries every value, and {path} is a continuum; allowed: random, tpe, gp",
            )
    size = math.prod(hole.size() or 0 for hole in holes.values())
    if size > MOST_POINTS:
        raise SpecError(
            "search.sampler",
            f"grid would try all {size:,} graphs; allowed: at most {MOST_POINTS:,}, or random, tpe, gp",
        )
    options = [[label(hole, value) for value in every_value(hole)] for hole in holes.values()]
    points = [dict(zip(holes, values, strict=True)) for values in itertools.product(*options)]
    random.Random(seed).shuffle(points)  # noqa: S311 - nothing is to be kept secret
    return iter(points)


def every_value(hole: Hole) -> Iterable[Any]:
    """Return all values of a hole that is no continuum."""
    return range(hole.low, hole.high + 1) if isinstance(hole, Int) else hole.options_to_check()


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
