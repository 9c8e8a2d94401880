"""Replays searches on a table of real results and says how good the chosen graph truly is.

search_efficiency.py counts the best accuracy in the table, which is partly luck: new seeds of its
ten best graphs have 91.0 %, and the table 94.7 %. Here each replay draws a world in which every
graph has a true quality, of which its curve in results/table.jsonl is one noisy training, and in
which new seeds can be trained. Among graphs of one learning rate a quarter of the variance of
single trainings is real (that is what trainings with new seeds say); the rest is luck, drawn from
the deviations that the table has at that rate. So the best of a search is known as it is (`true`)
and as the search sees it (`seen`: its one training, or the mean of new seeds after a race).

The product's own queue, sampler, scheduler and race are played by a simulated clock: an epoch takes
a second in each of two slots, and the budget is that of `search.budget`.

    # Ten minutes on a free core; a second start continues the first.
    python benchmarks/search_truth.py
"""

import argparse
import dataclasses
import heapq
import itertools
import json
import random
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import measure
from search_efficiency import SPACE, Remembering, remember

import ktg.searching.trials as queues
from ktg.graph import load_space
from ktg.intervals import paired_mean_interval
from ktg.searching.asha import choose_bracket, plan_brackets, should_stop
from ktg.searching.trial import Trial
from ktg.searching.trials import SearchQueue

HERE = Path(__file__).parent
REAL = 0.25  # share of the variance between trainings of one learning rate that a new seed repeats
EPOCHS = 16
SLOTS = 2
# The arm of the target by itself needs curves that the table lacks.
PLAIN: dict[str, Any] = {"trials": None, "alone_share": 0, "race_share": 0, "scheduler": "none"}
BEFORE = "asha, as before version 2"
REFERENCE = "no stopping, best single run"
WAYS: dict[str, dict[str, Any]] = {
    REFERENCE: {},
    BEFORE: {"scheduler": "asha"},
    "auto": {"scheduler": "auto"},
    "race 0.15": {"race_share": 0.15},
    "race 0.25": {"race_share": 0.25},
    "race 0.4": {"race_share": 0.4},
    "auto, race 0.25": {"scheduler": "auto", "race_share": 0.25},
    "random, race 0.25": {"sampler": "random", "race_share": 0.25},
}


class World:
    """A draw of what each graph is truly worth, in which new seeds of it can be trained."""

    def __init__(self, rows: list[dict[str, Any]], seed: int) -> None:
        self._random = random.Random(seed)
        self.curves = {row["key"]: row["accuracy"] for row in rows}
        ends: dict[float, list[float]] = {}
        for row in rows:
            ends.setdefault(row["values"][0], []).append(row["accuracy"][-1])
        means = {rate: statistics.fmean(own) for rate, own in ends.items()}
        stds = {rate: statistics.pstdev(own) for rate, own in ends.items()}
        self._luck = {
            rate: [(1 - REAL) ** 0.5 * (end - means[rate]) for end in own]
            for rate, own in ends.items()
        }
        self.truth: dict[str, float] = {}
        for row in rows:
            rate, end = row["values"][0], row["accuracy"][-1]
            centre = means[rate] + REAL * (end - means[rate])
            drawn = self._random.gauss(centre, (REAL * (1 - REAL)) ** 0.5 * stds[rate])
            self.truth[row["key"]] = min(1.0, drawn)

    def train(self, trial: Trial, originals: Mapping[int, Trial]) -> list[float]:
        """Return the accuracies after each epoch: of the table, or of another seed."""
        if trial.race_of is None:
            return self.curves[trial.key]
        original = originals[trial.race_of]
        luck = self._random.choice(self._luck[original.graph.train.lr])
        return [min(1.0, self.truth[original.key] + luck)] * EPOCHS


def main() -> None:
    """Replay every way with all seeds and budgets; write the result after each way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, default=HERE / "results" / "table.jsonl")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--budgets", type=int, nargs="+", default=[320, 640], help="epochs")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.table.read_text().splitlines()]
    space = Remembering(**vars(load_space(SPACE)))
    queues.canonical_key = remember(queues.canonical_key)
    config = {"seeds": args.seeds, "slots": SLOTS, "real": REAL, "graphs": len(rows)}
    for budget, name in itertools.product(args.budgets, dict.fromkeys([REFERENCE, *args.ways])):
        known = read_earlier(config)
        if name in known.get(str(budget), {}):
            continue
        runs = [
            play_search(space, World(rows, seed), WAYS[name], seed, budget)
            for seed in range(args.seeds)
        ]
        ways = known.setdefault(str(budget), {})
        ways[name] = summarise(runs, ways)
        measure.write("search_truth", config, known)


def read_earlier(config: dict[str, Any]) -> dict[str, Any]:
    """Return the results of earlier runs with the same configuration."""
    written = measure.RESULTS / "search_truth.json"
    earlier = json.loads(written.read_text()) if written.exists() else {}
    return dict(earlier["result"]) if earlier.get("config") == config else {}


def summarise(runs: list[dict[str, float]], others: Mapping[str, Any]) -> dict[str, Any]:
    """Return the means over seeds, and the difference to the reference, paired by seed.

    seen_minus_true: how much the search promises too much.
    """
    true, seen = [run["true"] for run in runs], [run["seen"] for run in runs]
    found: dict[str, Any] = {
        "true": round(statistics.fmean(true), 5),
        "seen": round(statistics.fmean(seen), 5),
        "seen_minus_true": round(statistics.fmean(seen) - statistics.fmean(true), 5),
        "finished": statistics.fmean(run["finished"] for run in runs),
        "epochs": statistics.fmean(run["epochs"] for run in runs),
        "by_seed": [round(each, 5) for each in true],
    }
    if REFERENCE in others:
        pairs = zip(found["by_seed"], others[REFERENCE]["by_seed"], strict=True)
        differences = [own - other for own, other in pairs]
        found["minus_reference"] = round(statistics.fmean(differences), 5)
        found["interval"] = [round(end, 5) for end in paired_mean_interval(differences)]
    return found


def play_search(
    space: Remembering, world: World, way: Mapping[str, Any], seed: int, budget: int
) -> dict[str, float]:
    """Return what is chosen after `budget` epochs in all slots: its true quality, and as seen."""
    settings = {**PLAIN, **way, "seed": seed, "budget": f"{budget // SLOTS}s"}
    queue = SearchQueue(
        dataclasses.replace(space, search=dataclasses.replace(space.search, **settings))
    )
    queue.at_once = SLOTS
    run_clock(queue, world)
    best = queue.best
    if best is None:
        return {"true": 0.0, "seen": 0.0, "finished": 0, "epochs": 0}
    chosen = next(one for one in queue.contestants if one.number == best.number)
    return {
        "true": world.truth[best.key],
        "seen": chosen.mean,
        "finished": len(queue.in_state("finished")),
        "epochs": sum(trial.epoch for trial in queue.trials),
    }


def run_clock(queue: SearchQueue, world: World) -> None:
    """Play a search to its end, as Ray would."""
    brackets = plan_brackets(queue.space.search, EPOCHS)
    order, waiting = itertools.count(), []
    curves: dict[int, list[float]] = {}

    def fill(now: int) -> None:
        queue.advance(now)
        while len(waiting) < SLOTS and (trial := queue.propose()):
            trial.bracket = choose_bracket(brackets, queue.trials) if brackets else None
            curves[trial.number] = world.train(trial, {one.number: one for one in queue.trials})
            heapq.heappush(waiting, (now + 1, next(order), trial))

    fill(0)
    while waiting:
        now, _, trial = heapq.heappop(waiting)
        queue.advance(now)
        epoch, accuracy = trial.epoch + 1, curves[trial.number][trial.epoch]
        stop = brackets and should_stop(brackets, queue.trials, trial, epoch, accuracy)
        stop = stop or queue.is_out_of_time(trial)
        queue.record_epoch(trial, epoch, {"val_accuracy": accuracy, "val_loss": 1.0}, 1.0)
        if stop or epoch == EPOCHS:
            queue.close(trial)
            fill(now)
        else:
            heapq.heappush(waiting, (now + 1, next(order), trial))


if __name__ == "__main__":
    main()
