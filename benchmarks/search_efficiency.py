"""Replays searches on a table of real results and counts the epochs that each way needs.

A table holds the validation accuracy after every epoch of every different graph of a space (see
table.py and photo_tables.py). A replay uses ktg's own queue, sampler and scheduler; a simulation of
slots takes the place of Ray and of training. The quality of a way is the accuracy of the best of
its finished trials, averaged over seeds: on digits as the table has it, on photographs as another
training of it has it on hundreds of images (see worlds.py). `epochs` is the epoch at which
a way first reaches the final quality of the original (random sampling, ASHA with r = 1 and eta = 2,
duplicates trained again), and `ratio` is that number divided by the budget. Epochs of stopped
trials and of baselines count, too. Several runs with different ways may write to the result at the
same time.

    # A quarter of an hour on a free core; a second start continues the first.
    python benchmarks/search_efficiency.py
    python benchmarks/search_efficiency.py --table flowers --budget 384
"""

import bisect
import dataclasses
import functools
import heapq
import itertools
import json
import random
import statistics
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import measure
import optuna
from options import make_parser
from worlds import DIGITS, TABLES, Table, open_table

import ktg.searching.search_queue as queues
from ktg.errors import SpecError
from ktg.graph import Graph, SearchSpace
from ktg.graph.canonical import canonical_key, check_trainable
from ktg.searching.asha import choose_bracket, plan_brackets, should_stop
from ktg.searching.baselines import baselines
from ktg.searching.folds import FoldEffects
from ktg.searching.sampler import STARTUP
from ktg.searching.search_queue import SearchQueue
from ktg.searching.trial import Outcome, Trial

ORIGINAL = "original"
Curve = list[float]
Curves = Callable[[Trial], Curve]

# What was the default when results/search_efficiency.json was made; what came later is replayed by
# search_truth.py.
FIRST: dict[str, Any] = {"scheduler": "asha", "alone_share": 0, "race_share": 0, "opening": ()}
GRACE_8: dict[str, Any] = {"baselines": False, "grace_epochs": 8}
WAYS: dict[str, dict[str, Any]] = {
    ORIGINAL: {"sampler": "random", "baselines": False, "forgets": True},
    "ktg's default": {},
    "tpe": {"baselines": False},
    "tpe, no stopping": {"baselines": False, "scheduler": "none"},
    "random, no stopping": {"sampler": "random", "baselines": False, "scheduler": "none"},
    "tpe, grace 8": GRACE_8,
    "original, nothing twice": {"sampler": "random", "baselines": False},
    "random, baselines": {"sampler": "random"},
    "ktg's default, grace 8": {"grace_epochs": 8},
    "ktg's default, no stopping": {"scheduler": "none"},
    "tpe, grace 4": {"baselines": False, "grace_epochs": 4},
    "tpe, hyperband": {"baselines": False, "scheduler": "hyperband"},
    "tpe, eta 4": {"baselines": False, "reduction_factor": 4},
    "tpe univariate, grace 8": {**GRACE_8, "tpe": {"multivariate": False}},
    "tpe grouped, grace 8": {**GRACE_8, "tpe": {"group": True}},
    "tpe canonical, grace 8": {**GRACE_8, "teller": "canonical"},
    "tpe 5 at random, grace 8": {**GRACE_8, "tpe": {"n_startup_trials": 5}},
    "tpe not told of stopped, grace 8": {**GRACE_8, "teller": "silent"},
    "tpe not told of stopped": {"baselines": False, "teller": "silent"},
}


class Forgetful(SearchQueue):
    """Trains again what it has trained before, as the original does."""

    def propose(self) -> Trial | None:
        """Return the next graph, even if it has been trained."""
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
    """Replay every way with all seeds; write the result after each way."""
    parser = make_parser(__doc__, seeds=50)
    parser.add_argument("--table", default=DIGITS, choices=TABLES)
    parser.add_argument(
        "--budget", type=int, default=640, help="epochs; see worlds.py for those of a training"
    )
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    args = parser.parse_args()
    table = open_table(args.table)
    space = Remembering(**vars(table.space))
    queues.canonical_key = remember(canonical_key)
    queues.baselines = functools.partial(list_known_baselines, table)
    config = {"seeds": args.seeds, "budget": args.budget, "slots": args.slots}
    config |= {"graphs": len(table.rows), "best": find_best(table)}
    for name in dict.fromkeys([ORIGINAL, *args.ways]):
        result = read_earlier(table.name, config)
        if name not in result:
            runs = [
                play_search(space, table, WAYS[name], seed, args.budget, args.slots)
                for seed in range(args.seeds)
            ]
            # The original is played first, and its final quality is the goal of all others.
            own = name == ORIGINAL
            goal = statistics.mean(run[-1] for run in runs) if own else result[ORIGINAL]["quality"]
            # Read again: another run may have added its ways in the meantime.
            ways = {**read_earlier(table.name, config), name: summarise(runs, goal, args.budget)}
            measure.write(name_result(table.name), config, ways)


def list_known_baselines(table: Table, space: SearchSpace) -> dict[str, Graph]:
    """Return the baselines that a table has."""
    found = baselines(space)
    return {name: graph for name, graph in found.items() if canonical_key(graph) in table.rows}


def find_best(table: Table) -> float:
    """Return the quality of the best graph: on photographs the mean over the seeds."""
    if table.name == DIGITS:
        return max(own[0]["accuracy"][-1] for own in table.rows.values())
    return max(statistics.fmean(row["test"] for row in own) for own in table.rows.values())


def name_result(table: str) -> str:
    """Return the name of the file of a table's results."""
    return "search_efficiency" if table == DIGITS else f"search_efficiency_{table}"


def read_earlier(table: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return the results of earlier runs with the same configuration."""
    written = measure.RESULTS / f"{name_result(table)}.json"
    earlier = json.loads(written.read_text()) if written.exists() else {}
    return dict(earlier["result"]) if earlier.get("config") == config else {}


def summarise(runs: list[Curve], goal: float, budget: int) -> dict[str, Any]:
    """Return quality by quarters of the budget, its final error, and when it meets the goal.

    The interval of the ratio is the middle 90 % of 200 bootstrap draws of the seeds.
    """
    final = [run[-1] for run in runs]
    chance = random.Random(0)
    samples = [chance.choices(runs, k=len(runs)) for _ in range(200)]
    draws = sorted(find_epoch(sample, goal) / budget for sample in samples)
    return {
        "quality": statistics.mean(final),
        "standard_error": statistics.stdev(final) / len(final) ** 0.5,
        "by_quarters": [round(mean_at(runs, budget * i // 4), 4) for i in range(1, 5)],
        "epochs": find_epoch(runs, goal),
        "ratio": find_epoch(runs, goal) / budget,
        "ratio_90": [draws[10], draws[-11]],
    }


def find_epoch(runs: list[Curve], goal: float) -> int:
    """Return the epoch at which the mean of all runs meets the goal, or budget + 1 if none does."""
    return bisect.bisect_left(range(len(runs[0])), goal, key=lambda epoch: mean_at(runs, epoch))


def mean_at(runs: list[Curve], epoch: int) -> float:
    """Return the mean quality after an epoch."""
    return statistics.mean(run[epoch] for run in runs)


def play_search(
    space: SearchSpace,
    table: Table,
    way: Mapping[str, Any],
    seed: int,
    budget: int,
    slots: int,
) -> Curve:
    """Return the quality of the best so far after 0, 1, ... `budget` epochs of one search."""
    other = ("forgets", "tpe", "teller")
    fields = {name: value for name, value in way.items() if name not in other}
    fields = {**FIRST, **fields}
    settings = dataclasses.replace(space.search, seed=seed, trials=100_000, **fields)
    searched = dataclasses.replace(space, search=settings)
    queue = Forgetful(searched) if way.get("forgets") else SearchQueue(searched)
    if "tpe" in way:
        options = {"n_startup_trials": STARTUP, "multivariate": True, "constant_liar": True}
        options |= way["tpe"]
        queue.sampler._chosen = optuna.samplers.TPESampler(seed=seed, **options)
    if "teller" in way:
        TELLERS[way["teller"]](queue, table)
    world = table.draw(seed)
    curve, best = [0.0], 0.0
    for trial in replay(queue, lambda trial: world.curves[trial.key], slots):
        if trial.state == "finished" and trial.accuracy > best:
            best = trial.accuracy
            curve[-1] = best if table.name == DIGITS else world.truth[trial.key]
        elif trial.state == "running":
            curve.append(curve[-1])
        if len(curve) > budget:
            break
    return (curve + curve[-1:] * budget)[: budget + 1]


def tell_canonical(queue: SearchQueue, table: Table) -> None:
    """Tell the sampler the canonical values, too, so that equal graphs look equal to it."""
    by_key, tell_drawn = list_values(table), queue.arms.learn

    def learn(trial: Trial, trials: Sequence[Trial], effects: FoldEffects) -> None:
        tell_drawn(trial, trials, effects)
        if trial.values is not None and trial.values != by_key[trial.key]:
            queue.sampler.add(by_key[trial.key], trial.outcome)

    queue.arms.learn = learn  # type: ignore[method-assign]


def tell_no_stopped(queue: SearchQueue, table: Table) -> None:
    """Tell the sampler nothing about a stopped trial except that it has ended."""
    sampler, tell_all = queue.sampler, queue.sampler.tell

    def tell(number: int, outcome: Outcome, acting: Collection[str] | None = None) -> None:
        if outcome.state == "stopped":
            sampler.forget(number)
        else:
            tell_all(number, outcome, acting)

    sampler.tell = tell  # type: ignore[method-assign]


TELLERS: dict[str, Callable[[SearchQueue, Table], None]] = {
    "canonical": tell_canonical,
    "silent": tell_no_stopped,
}


class Remembering(SearchSpace):
    """Binds the same values once in all replays, which saves most of their time."""

    def bind(self, values: Mapping[str, Any]) -> Graph:
        """Return the graph with every hole filled, from memory if it was bound before."""
        name = (self.name, *values.items())
        if name not in BOUND:
            BOUND[name] = super().bind(values)
        return BOUND[name]


def remember(function: Callable[[Graph], Any]) -> Callable[[Graph], Any]:
    """Return the function with a cache by identity; the cache holds the graphs, so ids stay."""
    known: dict[int, tuple[Graph, Any]] = {}

    def answer(graph: Graph) -> Any:
        if id(graph) not in known:
            known[id(graph)] = graph, function(graph)
        return known[id(graph)][1]

    return answer


BOUND: dict[tuple[Any, ...], Graph] = {}


def list_values(table: Table) -> dict[str, dict[str, Any]]:
    """Return, for every graph of a table's space, the first values that make it."""
    return {
        key: dict(zip(table.space.holes, rows[0]["values"], strict=True))
        for key, rows in table.rows.items()
        if rows[0].get("arm") is None
    }


def replay(queue: SearchQueue, curve: Curves, slots: int) -> Iterator[Trial]:
    """Play a search; yield a trial after each of its epochs, and again when it has ended.

    An epoch takes one unit of time in each of the `slots`.
    """
    brackets = plan_brackets(queue.space.search, queue.most_epochs)
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
        accuracy, ends = curve(trial)[epoch - 1], epoch == len(curve(trial))
        stop = brackets and should_stop(brackets, queue.trials, trial, epoch, accuracy)
        queue.record_epoch(trial, epoch, {"val_accuracy": accuracy, "val_loss": 1.0}, 1.0)
        yield trial
        if stop or ends:
            queue.close(trial)
            yield trial
            begin(now)
        else:
            heapq.heappush(waiting, (now + 1, next(order), trial))


if __name__ == "__main__":
    main()
