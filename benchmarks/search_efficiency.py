"""How many epochs a search needs, replayed on a table of real results: the original's way against ours.

results/table.jsonl holds the validation accuracy after every epoch of every different graph of spaces/table.yaml (see
table.py). A replay is the product's own ledger, sampler and scheduler, with an event simulation of some slots in place
of Ray and of training. Quality is the best accuracy of a trial that ran to its end, averaged over seeds; `epochs` is
where a way first reaches the quality that the original (random, ASHA with r = 1 and eta = 2, nothing known of
duplicates) has when its budget is spent, and `ratio` that number over the budget. Epochs count every epoch trained,
those of stopped trials and of baselines too.

    python benchmarks/search_efficiency.py             # about ten minutes on one core
"""

import argparse
import dataclasses
import heapq
import itertools
import json
import statistics
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna

from ktg.canonical import check_taught, key
from ktg.errors import SpecError
from ktg.searching.ledger import Entry, Ledger
from ktg.searching.raytune import scheduler
from ktg.space import SearchSpace, load_space

HERE = Path(__file__).parent
Curve = list[float]
Curves = Callable[[Entry], Curve]
ASHA_STOP = "STOP"

WAYS: dict[str, dict[str, Any]] = {
    "original": {"sampler": "random", "baselines": False, "forgets": True},
    "original, nothing twice": {"sampler": "random", "baselines": False},
    "random, grace 4": {"sampler": "random", "baselines": False, "grace_epochs": 4},
    "tpe": {"sampler": "tpe", "baselines": False},
    "tpe, baselines": {"sampler": "tpe"},
    "tpe, grace 2": {"sampler": "tpe", "baselines": False, "grace_epochs": 2},
    "tpe, grace 4": {"sampler": "tpe", "baselines": False, "grace_epochs": 4},
    "tpe, grace 4, eta 4": {"sampler": "tpe", "baselines": False, "grace_epochs": 4, "reduction_factor": 4},
    "tpe, grace 8": {"sampler": "tpe", "baselines": False, "grace_epochs": 8},
    "tpe, eta 4": {"sampler": "tpe", "baselines": False, "reduction_factor": 4},
    "tpe, hyperband": {"sampler": "tpe", "baselines": False, "scheduler": "hyperband"},
    "tpe, no stopping": {"sampler": "tpe", "baselines": False, "scheduler": "none"},
    "tpe univariate, grace 4": {
        "sampler": "tpe",
        "baselines": False,
        "grace_epochs": 4,
        "tpe": {"multivariate": False},
    },
    "tpe grouped, grace 4": {"sampler": "tpe", "baselines": False, "grace_epochs": 4, "tpe": {"group": True}},
    "tpe, canonical, grace 4": {"sampler": "tpe", "baselines": False, "grace_epochs": 4, "canonical": True},
    "tpe, 24 candidates less random, grace 4": {
        "sampler": "tpe",
        "baselines": False,
        "grace_epochs": 4,
        "tpe": {"n_startup_trials": 5, "n_ei_candidates": 100},
    },
    "gp, grace 4": {"sampler": "gp", "baselines": False, "grace_epochs": 4},
}


class Forgetful(Ledger):
    """A ledger that trains again what it has trained before, as the original does."""

    def propose(self) -> Entry | None:
        """Return the next graph, whatever was before."""
        while (point := self.sampler.ask()) is not None:
            asked, values = point
            graph = self.space.bind(values)
            try:
                check_taught(graph)
            except SpecError:
                continue
            return self._enter(graph, key(graph), values=values, asked=asked)
        return None


def main() -> None:
    """Replay every way over all seeds and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=HERE / "results" / "table.jsonl")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--budget", type=int, default=640, help="epochs; a full training has 16")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    args = parser.parse_args()
    table = {row["key"]: row["accuracy"] for row in map(json.loads, args.table.read_text().splitlines())}
    space = load_space(HERE / "spaces" / "table.yaml")
    curves = {}
    for name in dict.fromkeys(["original", *args.ways]):
        runs = [quality(space, table, WAYS[name], seed, args.budget, args.slots) for seed in range(args.seeds)]
        curves[name] = runs
        print(f"{name}: {statistics.mean(run[-1] for run in runs):.4f}", flush=True)
    goal = statistics.mean(run[-1] for run in curves["original"])
    best = max(row[-1] for row in table.values())
    result = {name: summed_up(runs, goal, args.budget) for name, runs in curves.items()}
    import measure

    config = {key: value for key, value in vars(args).items() if key not in ("table", "ways")}
    measure.write(f"search_efficiency_{args.slots}", {**config, "graphs": len(table), "best": best}, result)


def summed_up(runs: list[Curve], goal: float, budget: int) -> dict[str, Any]:
    """Return the final quality, its standard error, and where the mean over seeds reaches the goal."""
    final = [run[-1] for run in runs]
    mean = [statistics.mean(values) for values in zip(*runs, strict=True)]
    reached = next((epochs for epochs, value in enumerate(mean) if value >= goal), None)
    error = statistics.stdev(final) / len(final) ** 0.5
    return {
        "quality": statistics.mean(final),
        "standard_error": error,
        "epochs": reached,
        "ratio": None if reached is None else reached / budget,
    }


def quality(
    space: SearchSpace, table: Mapping[str, Curve], way: Mapping[str, Any], seed: int, budget: int, slots: int
) -> Curve:
    """Return the best finished accuracy after 0, 1, ... `budget` epochs of one search."""
    fields = {name: value for name, value in way.items() if name not in ("forgets", "tpe", "canonical")}
    settings = dataclasses.replace(space.search, seed=seed, trials=100_000, **fields)
    searched = dataclasses.replace(space, search=settings)
    ledger = Forgetful(searched) if way.get("forgets") else Ledger(searched)
    if "tpe" in way:
        options = {"n_startup_trials": 10, "multivariate": True, "constant_liar": True, **way["tpe"]}
        ledger.sampler._chosen = optuna.samplers.TPESampler(seed=seed, **options)
    if way.get("canonical"):
        by_key = values_by_key(space)
        told = ledger._tell

        def tell(entry: Entry) -> None:
            """Tell of the canonical values beside the ones asked for: equal graphs then look equal to the sampler."""
            told(entry)
            if entry.values is not None and entry.values != by_key[entry.key]:
                ledger.sampler.add(by_key[entry.key], entry.outcome)

        ledger._tell = tell  # type: ignore[method-assign]
    curve, best = [0.0], 0.0
    for entry in replay(ledger, lambda entry: table[entry.key], slots):
        if entry.state == "finished":
            best = max(best, entry.accuracy)
            curve[-1] = best
        else:
            curve.append(best)
        if len(curve) > budget:
            break
    return (curve + [best] * budget)[: budget + 1]


_BY_KEY: dict[str, Any] = {}


def values_by_key(space: SearchSpace) -> dict[str, Any]:
    """Return, for every graph of a space, the first values that make it."""
    if not _BY_KEY:
        for options in itertools.product(*(hole.options_to_check() for hole in space.holes.values())):
            values = dict(zip(space.holes, options, strict=True))
            _BY_KEY.setdefault(key(space.bind(values)), values)
    return _BY_KEY


def replay(ledger: Ledger, curve: Curves, slots: int) -> Iterator[Entry]:
    """Play a search; yield a trial after each of its epochs, and once more when it has ended.

    An epoch takes one unit of time in each of the `slots`.
    """
    search = ledger.space.search
    epochs = ledger.space.bind(ledger.space.default()).train.epochs
    judge = scheduler(search, epochs)
    order, waiting = itertools.count(), []

    def begin(now: int) -> None:
        entry = ledger.propose()
        if entry is not None:
            trial = SimpleNamespace(trial_id=f"{entry.name} {next(order)}", config={"baseline": entry.baseline or ""})
            judge.on_trial_add(None, trial)
            heapq.heappush(waiting, (now + 1, next(order), entry, trial))

    for _ in range(slots):
        begin(0)
    while waiting:
        now, _, entry, trial = heapq.heappop(waiting)
        epoch = entry.epoch + 1
        accuracy, done = curve(entry)[epoch - 1], epoch == epochs
        ledger.report(entry, epoch, {"val_accuracy": accuracy, "val_loss": 1.0}, 1.0)
        yield entry
        result = {"epoch": epoch, "val_accuracy": accuracy, "training_iteration": epoch, "done": done}
        if done or judge.on_trial_result(None, trial, result) == ASHA_STOP:
            judge.on_trial_complete(None, trial, result)
            ledger.close(entry)
            yield entry
            begin(now)
        else:
            heapq.heappush(waiting, (now + 1, next(order), entry, trial))


if __name__ == "__main__":
    main()
