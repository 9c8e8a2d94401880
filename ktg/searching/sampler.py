"""Chooses the next point of a search space, through Optuna's ask and tell.

Optuna learns from every trial: from a finished one its score at the end (COMPLETE), from one that
was stopped early that at its last epochs (PRUNED, which TPE ranks by epoch first), from a failed
one the worst score there is, so that it avoids that place. Optuna shows its Gaussian process no
pruned trials: until STARTUP have finished it draws at random, which early stopping delays.

A hole that does nothing at a point, such as the rate of a network that teaches nobody there, would
only blur what is learnt of it. So TPE is told of trials without such holes.
"""

import itertools
import math
import random
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
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
from ktg.searching.trial import Outcome as Outcome
from ktg.searching.values import Values, label, option

MOST_POINTS = 100_000  # of a grid
STARTUP = 10  # trials that TPE draws at random before it learns: Optuna's own default


class Sampler:
    """Proposes points of a space: `ask` for one, `tell` what became of it."""

    def __init__(self, holes: Mapping[str, Hole], search: Search) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # holes of some trials only are no fault
        self._holes = holes
        self._distributions = {path: build_distribution(hole) for path, hole in holes.items()}
        self._chosen = build_optuna_sampler(search)
        self._evenly = optuna.samplers.RandomSampler(seed=search.seed)
        self._study = optuna.create_study(direction="maximize", sampler=self._chosen)
        self._asked: dict[int, optuna.Trial] = {}
        self._search = search
        self._random = random.Random(search.seed)  # noqa: S311 - nothing is to be kept secret
        self._grid = build_grid(holes, search.seed) if search.sampler == "grid" else None
        self._met: set[tuple[Any, ...]] = set()

    @property
    def is_grid(self) -> bool:
        """Whether every point is proposed once, and then none."""
        return self._grid is not None

    @property
    def has_met_all(self) -> bool:
        """Whether every point has been proposed, or added; never of a continuum."""
        sizes = [hole.size() for hole in self._holes.values()]
        return None not in sizes and len(self._met) == math.prod(size or 0 for size in sizes)

    def ask(self, *, evenly: bool = False) -> tuple[int, Values] | None:
        """Return a number to `tell` with and a value for every hole, None when no point is left.

        evenly: draw the point at random, whatever is known of others.
        """
        if self._grid is not None:
            new = (point for point in self._grid if self._identify(point) not in self._met)
            if (point := next(new, None)) is None:
                return None
            self._study.enqueue_trial(point)
        else:
            self._enqueue_by_prior()
        self._study.sampler = self._evenly if evenly else self._chosen
        trial = self._study.ask(self._distributions)
        self._asked[trial.number] = trial
        self._meet(trial.params)
        return trial.number, {
            path: option(self._holes[path], value) for path, value in trial.params.items()
        }

    def _enqueue_by_prior(self) -> None:
        """Draw by the priors of affinity what would be drawn evenly: by TPE, its first trials."""
        priors = {
            path: hole
            for path, hole in self._holes.items()
            if isinstance(hole, Affinity) and hole.prior
        }
        trials = self._study.get_trials(deepcopy=False)
        begun = sum(trial.state is not TrialState.FAIL for trial in trials)
        if priors and (self._search.sampler == "random" or begun < STARTUP):
            drawn = {
                path: self._random.choices(hole.options, hole.probabilities())[0]
                for path, hole in priors.items()
            }
            self._study.enqueue_trial(drawn)

    def tell(self, number: int, outcome: Outcome, acting: Collection[str] | None = None) -> None:
        """Record what became of a proposed point.

        acting: the holes that do something there; default: all.
        """
        trial = self._asked.pop(number)
        acting_params = self._keep(trial.params, acting)
        if acting_params != trial.params:
            # Optuna keeps all holes of a trial that it was asked for, so another stands for it.
            self._study.tell(trial, state=TrialState.FAIL)
            self._study.add_trial(self._write_trial(acting_params, outcome))
        elif outcome.state == "stopped":
            trial.report(outcome.score, outcome.epoch)
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, outcome.score)

    def forget(self, number: int) -> None:
        """Let go of a proposed point that is not trained: it says nothing of its place.

        Optuna's samplers learn of no trial that is marked as failed.
        """
        self._study.tell(self._asked.pop(number), state=TrialState.FAIL)

    def add(
        self,
        values: Values,
        outcome: Outcome,
        acting: Collection[str] | None = None,
        *,
        elsewhere: bool = False,
    ) -> None:
        """Record what became of a point of a baseline, of an earlier process or another search.

        The latter may lack holes; the sampler then chooses these by themselves. A point of an
        earlier process whose weights have gone since then says nothing of those that are left.
        acting: as of `tell`. elsewhere: whether it was another search that met it.
        """
        if (params := self._label(values)) is None:
            return
        if not elsewhere:
            self._meet(params)
        self._study.add_trial(self._write_trial(self._keep(params, acting), outcome))

    def meet(self, values: Values) -> None:
        """Note a point that an earlier process has proposed, so that no grid proposes it again."""
        if (params := self._label(values)) is not None:
            self._meet(params)

    def _label(self, values: Values) -> Values | None:
        """Return the labels of values, None where one of them is no option (any more)."""
        if not all(self._holes[path].contains(value) for path, value in values.items()):
            return None
        return {path: label(self._holes[path], value) for path, value in values.items()}

    def _meet(self, params: Values) -> None:
        """Note a point by the labels of its values; what lacks a hole is none."""
        if params.keys() == self._holes.keys():
            self._met.add(self._identify(params))

    def _identify(self, params: Values) -> tuple[Any, ...]:
        return tuple(params[path] for path in self._holes)

    def _keep(self, params: Values, acting: Collection[str] | None) -> Values:
        """Return the values of the holes that act: of such trials only TPE learns."""
        if acting is None or self._search.sampler != "tpe":
            return params
        return {path: value for path, value in params.items() if path in acting}

    def _write_trial(self, params: Values, outcome: Outcome) -> optuna.trial.FrozenTrial:
        """Return a trial as Optuna stores it; params: the labels of values."""
        stopped = outcome.state == "stopped"
        return create_trial(
            params=params,
            distributions={path: self._distributions[path] for path in params},
            value=outcome.score,
            state=TrialState.PRUNED if stopped else TrialState.COMPLETE,
            intermediate_values={outcome.epoch: outcome.score} if stopped else {},
        )


def build_optuna_sampler(search: Search) -> optuna.samplers.BaseSampler:
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


def build_grid(holes: Mapping[str, Hole], seed: int) -> Iterator[Values]:
    """Yield every point of a space once, as labels, in a random order.

    Raises SpecError for a space without end, or one too large.
    """
    for path, hole in holes.items():
        if hole.size() is None:
            problem = f"grid tries every value, and {path} is a continuum"
            raise SpecError("search.sampler", f"{problem}; allowed: random, tpe, gp")
    size = math.prod(hole.size() or 0 for hole in holes.values())
    if size > MOST_POINTS:
        allowed = f"at most {MOST_POINTS:,}, or random, tpe, gp"
        problem = f"grid would try all {size:,} graphs; allowed: {allowed}"
        raise SpecError("search.sampler", problem)
    options = [[label(hole, value) for value in list_values(hole)] for hole in holes.values()]
    points = [dict(zip(holes, values, strict=True)) for values in itertools.product(*options)]
    random.Random(seed).shuffle(points)  # noqa: S311 - nothing is to be kept secret
    return iter(points)


def list_values(hole: Hole) -> Iterable[Any]:
    """Return all values of a hole that is no continuum."""
    return range(hole.low, hole.high + 1) if isinstance(hole, Int) else hole.options_to_check()


def build_distribution(hole: Hole) -> BaseDistribution:
    """Return a hole as a distribution of Optuna."""
    if isinstance(hole, Choice):
        return CategoricalDistribution([label(hole, value) for value in hole.options])
    if isinstance(hole, Int):
        return IntDistribution(hole.low, hole.high)
    return FloatDistribution(hole.low, hole.high, log=isinstance(hole, Log))
