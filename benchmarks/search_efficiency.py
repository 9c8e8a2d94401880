"""Replays searches on a table of real results: how many epochs the original's way needs, and ours.

results/table.jsonl holds the validation accuracy after every epoch of every different graph of
spaces/table.yaml (see table.py). A replay is the product's own queue, sampler and scheduler, with
an event simulation of some slots in place of Ray and of training. Quality is the best accuracy of a
trial that ran to its end, averaged over seeds; `epochs` is where a way first reaches the quality
that the original (random, ASHA with r = 1 and eta = 2, nothing known of duplicates) has when its
budget is spent, and `ratio` that number over the budget. Epochs count every epoch trained, those of
stopped trials and of baselines too. Several runs with ways of their own may write to the result at
once.

    # A quarter of an hour on a free core; started again, it goes on.
    python benchmarks/search_efficiency.py
"""

import argparse
import bisect
import dataclasses
import functools
import heapq
import itertools
import json
import random
import statistics
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import measure
import optuna
from optuna.trial import TrialState

import ktg.searching.trials as queues
from ktg.errors import SpecError
from ktg.graph import Graph, SearchSpace, load_space
from ktg.graph.canonical import canonical_key, check_trainable
from ktg.searching.asha import choose_bracket, plan_brackets, should_stop
from ktg.searching.sampler import STARTUP, Outcome
from ktg.searching.trials import SearchQueue, Trial

HERE = Path(__file__).parent
SPACE = HERE / "spaces" / "table.yaml"
ORIGINAL = "original"
Curve = list[float]
Curves = Callable[[Trial], Curve]

WAYS: dict[str, dict[str, Any]] = {
    ORIGINAL: {"sampler": "random", "baselines": False, "forgets": True},
    "ktg's default": {},
    "tpe": {"baselines": False},
    "tpe, no stopping": {"baselines": False, "scheduler": "none"},
    "random, no stopping": {"sampler": "random", "baselines": False, "scheduler": "none"},
    "tpe, grace 8": {"baselines": False, "grace_epochs": 8},
    "original, nothing twice": {"sampler": "random", "baselines": False},
    "random, baselines": {"sampler": "random"},
    "ktg's default, grace 8": {"grace_epochs": 8},
    "ktg's default, no stopping": {"scheduler": "none"},
    "tpe, grace 4": {"baselines": False, "grace_epochs": 4},
    "tpe, hyperband": {"baselines": False, "scheduler": "hyperband"},
    "tpe, eta 4": {"baselines": False, "reduction_factor": 4},
    "tpe univariate, grace 8": {
        "baselines": False,
        "grace_epochs": 8,
        "tpe": {"multivariate": False},
    },
    "tpe grouped, grace 8": {"baselines": False, "grace_epochs": 8, "tpe": {"group": True}},
    "tpe canonical, grace 8": {"baselines": False, "grace_epochs": 8, "teller": "canonical"},
    "tpe 5 at random, grace 8": {
        "baselines": False,
        "grace_epochs": 8,
        "tpe": {"n_startup_trials": 5},
    },
    "tpe not told of stopped, grace 8": {"baselines": False, "grace_epochs": 8, "teller": "silent"},
    "tpe not told of stopped": {"baselines": False, "teller": "silent"},
}


class Forgetful(SearchQueue):
    """A queue that trains again what it has trained before, as the original does."""

    def propose(self) -> Trial | None:
        """Return the next graph, whatever was before."""
        while (point := self.sampler.ask()) is not None:
            sample, values = point
            graph = self.space.bind(values)
            try:
                check_trainable(graph)
            except SpecError:
                continue
            return self._start(graph, queues.canonical_key(graph), values=values, sample=sample)
        return None


def main() -> None:
    """Replay every way over all seeds; the result is written after each of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, default=HERE / "results" / "table.jsonl")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--budget", type=int, default=640, help="epochs; a full training has 16")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    args = parser.parse_args()
    table = {
        row["key"]: row["accuracy"] for row in map(json.loads, args.table.read_text().splitlines())
    }
    space = Remembering(**vars(load_space(SPACE)))
    queues.canonical_key = remembered(queues.canonical_key)
    best = max(row[-1] for row in table.values())
    config = {
        "seeds": args.seeds,
        "budget": args.budget,
        "slots": args.slots,
        "graphs": len(table),
        "best": best,
    }
    for name in dict.fromkeys([ORIGINAL, *args.ways]):
        result = known(config)
        if name not in result:
            runs = [
                quality(space, table, WAYS[name], seed, args.budget, args.slots)
                for seed in range(args.seeds)
            ]
            goal = (
                result[ORIGINAL]["quality"]
                if name != ORIGINAL
                else statistics.mean(run[-1] for run in runs)
            )
            measure.write(
                "search_efficiency",
                config,
                {**known(config), name: summed_up(runs, goal, args.budget)},
            )


def known(config: dict[str, Any]) -> dict[str, Any]:
    """Return the ways that an earlier run of the same configuration has played."""
    written = measure.RESULTS / "search_efficiency.json"
    earlier = json.loads(written.read_text()) if written.exists() else {}
    return dict(earlier["result"]) if earlier.get("config") == config else {}


def summed_up(runs: list[Curve], goal: float, budget: int) -> dict[str, Any]:
    """Return the quality at quarters of the budget, its error at the end, when it meets the goal.

    The interval of the ratio is the middle 90 % of what other draws of as many seeds would give
    (bootstrap).
    """
    final = [run[-1] for run in runs]
    chance = random.Random(0)
    draws = sorted(reached(chance.choices(runs, k=len(runs)), goal) / budget for _ in range(200))
    return {
        "quality": statistics.mean(final),
        "standard_error": statistics.stdev(final) / len(final) ** 0.5,
        "by_quarters": [round(mean_at(runs, budget * i // 4), 4) for i in range(1, 5)],
        "epochs": reached(runs, goal),
        "ratio": reached(runs, goal) / budget,
        "ratio_90": [draws[10], draws[-11]],
    }


def reached(runs: list[Curve], goal: float) -> int:
    """Return the epoch at which the mean of all runs meets the goal, budget + 1 if never."""
    return bisect.bisect_left(range(len(runs[0])), goal, key=lambda epoch: mean_at(runs, epoch))


def mean_at(runs: list[Curve], epoch: int) -> float:
    """Return the mean quality after an epoch."""
    return statistics.mean(run[epoch] for run in runs)


def quality(
    space: SearchSpace,
    table: Mapping[str, Curve],
    way: Mapping[str, Any],
    seed: int,
    budget: int,
    slots: int,
) -> Curve:
    """Return the best finished accuracy after 0, 1, ... `budget` epochs of one search."""
    fields = {
        name: value for name, value in way.items() if name not in ("forgets", "tpe", "teller")
    }
    settings = dataclasses.replace(space.search, seed=seed, trials=100_000, **fields)
    searched = dataclasses.replace(space, search=settings)
    queue = Forgetful(searched) if way.get("forgets") else SearchQueue(searched)
    if "tpe" in way:
        options = {
            "n_startup_trials": STARTUP,
            "multivariate": True,
            "constant_liar": True,
            **way["tpe"],
        }
        queue.sampler._chosen = optuna.samplers.TPESampler(seed=seed, **options)
    if "teller" in way:
        TELLERS[way["teller"]](queue)
    curve, best = [0.0], 0.0
    for trial in replay(queue, lambda trial: table[trial.key], slots):
        if trial.state == "finished":
            best = max(best, trial.accuracy)
            curve[-1] = best
        else:
            curve.append(best)
        if len(curve) > budget:
            break
    return (curve + [best] * budget)[: budget + 1]


def canonical(queue: SearchQueue) -> None:
    """Tell the sampler of canonical values too: equal graphs then look equal to it."""
    by_key, told = values_by_key(), queue._tell_sampler

    def tell(trial: Trial) -> None:
        told(trial)
        if trial.values is not None and trial.values != by_key[trial.key]:
            queue.sampler.add(by_key[trial.key], trial.outcome)

    queue._tell_sampler = tell  # type: ignore[method-assign]


def silent(queue: SearchQueue) -> None:
    """Tell the sampler nothing of a stopped trial, but that it has ended."""
    sampler, told = queue.sampler, queue.sampler.tell

    def tell(number: int, outcome: Outcome) -> None:
        if outcome.state == "stopped":
            sampler._study.tell(sampler._asked.pop(number), state=TrialState.FAIL)
        else:
            told(number, outcome)

    sampler.tell = tell  # type: ignore[method-assign]


TELLERS: dict[str, Callable[[SearchQueue], None]] = {"canonical": canonical, "silent": silent}


class Remembering(SearchSpace):
    """A space that binds the same values once in all replays, which saves most of their time."""

    def bind(self, values: Mapping[str, Any]) -> Graph:
        """Return the graph with every hole filled, from memory where it is known."""
        name = tuple(values.values())
        if name not in BOUND:
            BOUND[name] = super().bind(values)
        return BOUND[name]


def remembered(function: Callable[[Graph], Any]) -> Callable[[Graph], Any]:
    """Return the function with a memory by identity; it holds the graphs, so their ids stay."""
    known: dict[int, tuple[Graph, Any]] = {}

    def answer(graph: Graph) -> Any:
        if id(graph) not in known:
            known[id(graph)] = graph, function(graph)
        return known[id(graph)][1]

    return answer


BOUND: dict[tuple[Any, ...], Graph] = {}


@functools.cache
def values_by_key() -> dict[str, Any]:
    """Return, for every graph of the space, the first values that make it."""
    space = load_space(SPACE)
    found: dict[str, Any] = {}
    for options in itertools.product(*(hole.options_to_check() for hole in space.holes.values())):
        values = dict(zip(space.holes, options, strict=True))
        found.setdefault(canonical_key(space.bind(values)), values)
    return found


def replay(queue: SearchQueue, curve: Curves, slots: int) -> Iterator[Trial]:
    """Play a search; yield a trial after each of its epochs, and once more when it has ended.

    An epoch takes one unit of time in each of the `slots`.
    """
    search = queue.space.search
    epochs = queue.space.bind(queue.space.default()).train.epochs
    brackets = plan_brackets(search, epochs)
    order, waiting = itertools.count(), []

    def begin(now: int) -> None:
        trial = queue.propose()
        if trial is not None:
            trial.bracket = choose_bracket(brackets, queue.trials) if brackets else None
            heapq.heappush(waiting, (now + 1, next(order), trial))

    for _ in range(slots):
        begin(0)
    while waiting:
        now, _, trial = heapq.heappop(waiting)
        epoch = trial.epoch + 1
        accuracy = curve(trial)[epoch - 1]
        stop = brackets and should_stop(brackets, queue.trials, trial, epoch, accuracy)
        queue.record_epoch(trial, epoch, {"val_accuracy": accuracy, "val_loss": 1.0}, 1.0)
        yield trial
        if stop or epoch == epochs:
            queue.close(trial)
            yield trial
            begin(now)
        else:
            heapq.heappush(waiting, (now + 1, next(order), trial))


if __name__ == "__main__":
    main()
