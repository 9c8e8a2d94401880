"""Replays searches on tables of real results and says how good the chosen graph truly is.

search_efficiency.py counts the best accuracy in the table, which is partly luck: new seeds of its
ten best graphs have 91.0 %, and the table 94.7 %. Here each replay has a world (worlds.py) in which
graphs can be trained again. So the best of a search is known as it is (`true`) and as the search
sees it (`seen`: its one training, or the mean of new seeds after a race). On the table of digits
what is true is drawn under an assumption; on those of photographs it is the accuracy of another
training of the graph on hundreds of images.

The product's own queue, sampler, scheduler and race are played by a simulated clock: an epoch of
the mean graph takes a second in each of two slots, and the budget is that of `search.budget`.

    # Ten minutes a table on a free core; a second start continues the first.
    python benchmarks/search_truth.py
    python benchmarks/search_truth.py --table flowers
    python benchmarks/search_truth.py --show
"""

import dataclasses
import functools
import heapq
import itertools
import json
import random
import statistics
from collections.abc import Mapping
from typing import Any

import measure
from options import make_parser
from photo_tables import EPOCHS as PHOTOS
from photo_tables import VALIDATION
from search_efficiency import Remembering, list_known_baselines, remember
from worlds import DIGITS, REAL, TABLES, Curve, Table, World, open_table

import ktg.searching.search_queue as queues
from ktg.graph.canonical import canonical_key
from ktg.intervals import paired_mean_interval
from ktg.proposing.kinds import Kind, Lead
from ktg.searching import contestants
from ktg.searching.arms import find_alone_space
from ktg.searching.asha import choose_bracket, plan_brackets, should_stop
from ktg.searching.baselines import baselines
from ktg.searching.expectation import expect_scores
from ktg.searching.prior import PastTrial, Prior
from ktg.searching.search_queue import SearchQueue
from ktg.searching.trial import TUNED_ALONE, Trial

SLOTS = 2
# In trainings of the mean graph: 320 and 640 epochs of digits; few on photographs, as in life.
COSTS = {DIGITS: (20, 40), **dict.fromkeys(PHOTOS, (8, 16))}
PLAIN: dict[str, Any] = {
    "trials": None,
    "alone_share": 0,
    "race_share": 0,
    "scheduler": "none",
    "opening": (),
}
REFERENCE = "no stopping, best single run"
BEFORE = "asha, as before version 2"
THIRD = 1 / 3
WAYS: dict[str, dict[str, Any]] = {
    REFERENCE: {},
    BEFORE: {"scheduler": "asha"},
    "auto": {"scheduler": "auto"},
    "race 0.15": {"race_share": 0.15},
    "race 0.25": {"race_share": 0.25},
    "race 0.4": {"race_share": 0.4},
    "random": {"sampler": "random"},
    "random, race 0.25": {"sampler": "random", "race_share": 0.25},
}
# These need what the table of digits lacks: curves of the target by itself, another set's table. By
# `kinds` the winner is chosen by what its kind was worth on other sets, too, the table's left out.
DEFAULT: dict[str, Any] = {
    "opening": True,
    "alone_share": THIRD,
    "race_share": 0.25,
    "kinds": True,
}
MORE: dict[str, dict[str, Any]] = {
    "opening": {"opening": True},
    "tuned alone": {"alone_share": THIRD},
    "kinds": {"kinds": True},
    "prior of the other set": {"prior": True},
    "kinds, race 0.25": {"kinds": True, "race_share": 0.25},
    "default": DEFAULT,
    "default without kinds": {**DEFAULT, "kinds": False},
    "default without race": {**DEFAULT, "race_share": 0},
    "default without opening": {**DEFAULT, "opening": ()},
    "default without tuned alone": {**DEFAULT, "alone_share": 0},
    "default, prior of the other set": {**DEFAULT, "prior": True},
}
PAST = 20  # trials of an earlier search, drawn at random


def main() -> None:
    """Replay every way with all seeds and costs; write the result after each way."""
    parser = make_parser(__doc__, seeds=50)
    parser.add_argument("--table", default=DIGITS, choices=TABLES)
    parser.add_argument("--ways", nargs="+", default=[*WAYS, *MORE], choices=[*WAYS, *MORE])
    parser.add_argument("--show", action="store_true", help="what is known of all tables")
    args = parser.parse_args()
    if args.show:
        print("\n".join(line for name in TABLES for line in show(name)))
        return
    table = open_table(args.table)
    other = next((open_table(one) for one in PHOTOS if one != args.table), None)
    replay = Replay(table, None if args.table == DIGITS else other)
    ways = [one for one in args.ways if replay.other or one not in MORE]
    config = {"seeds": args.seeds, "slots": SLOTS, "graphs": len(table.rows)}
    config |= {"real": REAL} if args.table == DIGITS else {"trainings": table.count()}
    for cost, name in itertools.product(COSTS[table.name], dict.fromkeys([REFERENCE, *ways])):
        epochs = str(cost * table.epochs)
        if name in read_earlier(table.name, config).get(epochs, {}):
            continue
        runs = [replay.play(name, seed, cost * table.epochs) for seed in range(args.seeds)]
        # Read again: another run may have added its ways in the meantime.
        known = read_earlier(table.name, config)
        ways_of_cost = known.setdefault(epochs, {})
        ways_of_cost[name] = summarise(runs, ways_of_cost)
        measure.write(name_result(table.name), config, known)


def name_result(table: str) -> str:
    """Return the name of the file of a table's results."""
    return "search_truth" if table == DIGITS else f"search_truth_{table}"


def read_earlier(table: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results of earlier runs with the same configuration."""
    written = measure.RESULTS / f"{name_result(table)}.json"
    earlier = json.loads(written.read_text()) if written.exists() else {}
    return dict(earlier["result"]) if earlier.get("config") == config else {}


def show(table: str) -> list[str]:
    """Return what is known of a table as lines: each way and what it has over the reference."""
    written = measure.RESULTS / f"{name_result(table)}.json"
    if not written.exists():
        return []
    lines = []
    for epochs, ways in json.loads(written.read_text())["result"].items():
        lines.append(f"{table}, {epochs} epochs")
        for name, found in ways.items():
            low, high = found.get("interval", (0, 0))
            lead = found.get("minus_reference", 0)
            more = f"{100 * lead:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
            told = f"{100 * found['true']:.1f} %, {more}"
            for what in ("seen", "expected"):
                if f"{what}_minus_true" in found:
                    told += f", {what} {100 * found[f'{what}_minus_true']:+.1f}"
            lines.append(f"  {name:34} {told}, {found['finished']:.0f} finished")
    return lines


def summarise(runs: list[dict[str, float]], others: Mapping[str, Any]) -> dict[str, Any]:
    """Return the means over seeds, and the difference to the reference, paired by seed.

    seen_minus_true: how much the search promises too much; expected_minus_true: the same of the
    score that is expected by kinds (of the mean seen without them).
    """
    true, seen = [run["true"] for run in runs], [run["seen"] for run in runs]
    found: dict[str, Any] = {
        "true": round(statistics.fmean(true), 5),
        "seen": round(statistics.fmean(seen), 5),
        "seen_minus_true": round(statistics.fmean(seen) - statistics.fmean(true), 5),
        "expected_minus_true": round(
            statistics.fmean(run["expected"] - run["true"] for run in runs), 5
        ),
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


class Replay:
    """Replays searches on one table; `other` is that of another set, for priors."""

    def __init__(self, table: Table, other: Table | None) -> None:
        self.table, self.other = table, other
        self.space = Remembering(**vars(table.space))
        queues.canonical_key = remember(canonical_key)
        queues.baselines = functools.partial(list_known_baselines, table)
        if other is not None:
            contestants.expect_scores = functools.partial(expect_scores, leads=find_leads(table))

    def play(self, way: str, seed: int, budget: int) -> dict[str, float]:
        """Return what is chosen after `budget` epochs in all slots: true quality, and as seen."""
        settings = {**PLAIN, **(WAYS | MORE)[way], "seed": seed, "budget": f"{budget // SLOTS}s"}
        if settings["opening"]:
            settings["opening"] = self.space.search.opening
        kinds = settings.pop("kinds", False)
        prior = (
            gather_past(self.other, seed) if self.other and settings.pop("prior", False) else None
        )
        search = dataclasses.replace(self.space.search, **settings)
        queue = SearchQueue(
            dataclasses.replace(self.space, search=search),
            prior=prior,
            images=VALIDATION[self.table.name] if kinds else None,
        )
        queue.time.at_once = SLOTS
        world = self.table.draw(seed)
        run_clock(queue, world)
        best = queue.best
        if best is None:
            return dict.fromkeys(("true", "seen", "expected", "finished", "epochs"), 0.0)
        chosen = next(one for one in queue.contestants if one.number == best.number)
        return {
            "true": world.truth[best.key],
            "seen": chosen.mean,
            "expected": chosen.worth,
            "finished": len(queue.in_state("finished")),
            "epochs": sum(trial.epoch for trial in queue.trials),
        }


def find_leads(table: Table) -> Mapping[Kind, Lead]:
    """Return what kinds of graphs are worth on all sets that were measured but the table's."""
    import choice

    return choice.measure_leads(choice.read_tables(choice.read_runs()), without=table.name)


def gather_past(table: Table, seed: int) -> Prior:
    """Return a prior of PAST trainings of a table, drawn at random, with their lead over alone.

    A part of them as large as in a search is of the target by itself; their epochs, which differ
    from set to set, are left out.
    """
    world, chance = table.draw(seed), random.Random(seed)
    base = world.first[canonical_key(baselines(table.space)["alone"])]["accuracy"][-1]
    holes = {None: table.space.holes, TUNED_ALONE: find_alone_space(table.space).holes}
    by_arm = {}
    for arm, of_arm in holes.items():
        rows = [row for row in world.first.values() if row["arm"] == arm]
        share = THIRD if arm else 1 - THIRD
        by_arm[arm] = [
            PastTrial(
                {
                    path: value
                    for path, value in zip(of_arm, row["values"], strict=True)
                    if path != "train.epochs"
                },
                row["accuracy"][-1] - base,
            )
            for row in chance.sample(rows, min(len(rows), round(PAST * share)))
        ]
    return Prior(by_arm, "")


def run_clock(queue: SearchQueue, world: World) -> None:
    """Play a search to its end, as Ray would."""
    brackets = plan_brackets(queue.space.search, queue.most_epochs)
    order, waiting = itertools.count(), []
    curves: dict[int, Curve] = {}
    first: dict[int, Trial] = {}
    units: dict[int, float] = {}

    def push(now: float, trial: Trial) -> None:
        heapq.heappush(waiting, (now + units[trial.number], next(order), trial))

    def fill(now: float) -> None:
        queue.advance(now)
        while len(waiting) < SLOTS and (trial := queue.propose()):
            trial.bracket = choose_bracket(brackets, queue.trials) if brackets else None
            own = first[trial.number] = first[trial.race_of] if trial.race_of else trial
            curves[trial.number], units[trial.number] = (
                world.train(trial, own),
                world.epoch_units(own),
            )
            push(now, trial)

    fill(0)
    while waiting:
        now, _, trial = heapq.heappop(waiting)
        queue.advance(now)
        epoch, curve = trial.epoch + 1, curves[trial.number]
        accuracy, ends = curve[epoch - 1], epoch == len(curve)
        stop = brackets and should_stop(brackets, queue.trials, trial, epoch, accuracy)
        stop = stop or queue.is_out_of_time(trial)
        metrics = {"val_accuracy": accuracy, "val_loss": 1.0}
        queue.record_epoch(trial, epoch, metrics, units[trial.number])
        if stop or ends:
            queue.close(trial)
            fill(now)
        else:
            push(now, trial)


if __name__ == "__main__":
    main()
