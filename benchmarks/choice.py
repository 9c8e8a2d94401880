"""Measures how well a search chooses by few validation images, and what it should know beforehand.

From what was measured on real sets (results/teachers_study.jsonl, recipes.jsonl, unlabelled.json,
choice_runs.jsonl) it computes what each kind of arrangement is worth over the target alone (the
prior of `ktg.proposing.kinds`) and how far images and seeds mislead (`ktg.searching.expectation`).
Then it replays choices: a set with the accuracies that its kinds have there, some graphs of each,
validation images, a race of three new seeds; and compares what is chosen by its true accuracy. The
prior is computed without the set in question.

- best mean: of the new seeds, without a prior
- posterior: by the prior and the images
- opening: the first of `search.opening` unless the race proves another one better

Whether a training is right about an image is drawn from a normal model: a part that all graphs
share, one that a graph's trainings share, and one of its own, correlated as measured.

    python benchmarks/choice.py            # two minutes; writes results/choice.json
    python benchmarks/choice.py --leads    # the figures of kinds.py and expectation.py, as Python
"""

import itertools
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import measure
import numpy as np
from choice_replay import TRIED, World, play
from lines import Line, read_lines
from options import make_parser

from ktg.intervals import paired_mean_interval
from ktg.proposing.kinds import Kind, Lead

KINDS: dict[str, Kind] = {
    "probe": "probe",
    "alone, 100 steps": "alone",
    "alone, 300 steps": "alone",
    "alone, 1000 steps": "alone",
    "kl, T 2": "taught, unlabelled",
    "kl, T 2, labelled images only": "taught",
    "mutual": "mutual",
}
RECIPE = ("probe, then 0.0002", "probe, then 0.0003")
# Of which lines kinds are judged: one network from ImageNet, with ten labels a class.
TARGET = {"model": "mobilenetv2_035", "per_class": 10, "source": "imagenet"}
TEACHER = {"teacher_model": "mobilenetv2_100", "teacher_size": 96, "teacher_steps": 100, "views": 8}
STUDY = {**TARGET, **TEACHER, "size": 64}
TUNED = {**TARGET, "size": 96, "epochs": 0}
IMAGES = (20, 50, 100, 300, 1000)
Table = dict[str, dict[str, dict[Any, float]]]  # set, arm, seed: test accuracy
Runs = dict[str, dict[str, list[np.ndarray]]]  # set, arm: by training, which images were right


# What was measured.


def read_runs() -> Runs:
    """Return, by set and arm, which images each training of the first split got right: 0, 1."""
    found: Runs = defaultdict(lambda: defaultdict(list))
    for line in select_lines("choice_runs.jsonl", {"split": 0}):
        parts = [
            np.unpackbits(np.frombuffer(bytes.fromhex(line[f"{split}_right"]), np.uint8))
            for split in ("val", "test")
        ]
        sizes = (line["val"], line["test"])
        bits = [part[:size] for part, size in zip(parts, sizes, strict=True)]
        found[line["set"]][line["arm"]].append(np.concatenate(bits))
    return found


def select_lines(file: str, settings: Line) -> list[Line]:
    """Return the lines of a file with these settings; one that is older than a setting had it."""
    lines = read_lines(measure.RESULTS / file)
    return [
        line
        for line in lines
        if all(line.get(key, value) == value for key, value in settings.items())
    ]


def read_tables(runs: Runs) -> list[Table]:
    """Return the test accuracies of each file by set, arm and seed."""
    study: Table = defaultdict(lambda: defaultdict(dict))
    for line in select_lines("teachers_study.jsonl", STUDY):
        study[line["set"]][line["arm"]][line["seed"]] = line["test_accuracy"]
    recipes: Table = defaultdict(lambda: defaultdict(dict))
    arm = {RECIPE[0]: "alone, 100 steps", RECIPE[1]: "alone, 300 steps"}
    for line in select_lines("recipes.jsonl", TUNED):
        name = arm.get(line["arm"], line["arm"])
        recipes[line["set"]][name][line["seed"]] = line["accuracy"]
    flowers = json.loads((measure.RESULTS / "unlabelled.json").read_text())["result"]
    each = {arm: own["each"] for arm, own in flowers["test accuracy"].items()}
    names = {"alone, 300 steps": "alone", "mutual": "mutual learning"}
    mutual = {"flowers": {arm: dict(enumerate(each[name])) for arm, name in names.items()}}
    own = {
        name: {
            arm: {seed: float(bits.mean()) for seed, bits in enumerate(all_bits)}
            for arm, all_bits in arms.items()
        }
        for name, arms in runs.items()
    }
    for arms in own.values():  # a probe has no seed
        arms["probe"] = dict.fromkeys(range(2), arms["probe"][0])
    return [study, recipes, mutual, own]


def list_leads(tables: Sequence[Table]) -> dict[Kind, dict[str, float]]:
    """Return by kind and set the mean of what it has over the recipe alone, seed by seed."""
    found: dict[Kind, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for name, arms in ((name, arms) for table in tables for name, arms in table.items()):
        lengths = [own for arm, own in arms.items() if KINDS.get(arm) == "alone"]
        for arm, own in arms.items():
            kind = KINDS.get(arm)
            for seed, accuracy in own.items() if kind not in (None, "alone") else ():
                alone = [each[seed] for each in lengths if seed in each]
                if alone:
                    found[kind][name].append(accuracy - statistics.fmean(alone))
    return {
        kind: {name: statistics.fmean(own) for name, own in by_set.items()}
        for kind, by_set in found.items()
    }


def measure_leads(tables: Sequence[Table], without: str | None = None) -> dict[Kind, Lead]:
    """Return what each kind has over the recipe alone, from all sets but one.

    The spread is that of one more set: the standard deviation of Student's t that predicts it.
    Between sets all kinds are taken to vary alike, as there are few sets of each.
    """
    leads = list_leads(tables).items()
    means = {
        kind: [lead for name, lead in by_set.items() if name != without] for kind, by_set in leads
    }
    several = [own for own in means.values() if len(own) > 1]
    freedom = sum(len(own) - 1 for own in several)
    pooled = sum(statistics.variance(own) * (len(own) - 1) for own in several) / (freedom - 2)
    found: dict[Kind, Lead] = {"alone": Lead(0.0, 0.0, len(tables[0]))}
    for kind, own in means.items():
        if own:
            spread = math.sqrt(pooled * (1 + 1 / len(own)))
            found[kind] = Lead(statistics.fmean(own), spread, len(own))
    unknown = Lead(0.0, 2 * max(lead.spread for lead in found.values()), 0)
    return dict.fromkeys([*means, "other"], unknown) | found


def measure_settings(recipes: Table, without: str | None = None) -> float:
    """Return the standard deviation between ways to fine-tune: the median set's, less chance."""
    parts = []
    for name, arms in recipes.items():
        tuned = [own for arm, own in arms.items() if arm not in ("probe",) and "head" not in arm]
        tuned = [own for own in tuned if len(own) > 2]
        if name != without:
            seeds = sorted(set.intersection(*(set(own) for own in tuned)))
            values = np.array([[own[seed] for seed in seeds] for own in tuned])
            rest = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
            chance = (rest**2).sum() / ((len(tuned) - 1) * (len(seeds) - 1)) / len(seeds)
            parts.append(values.mean(1).var(ddof=1) - chance)
    return math.sqrt(max(0.0, statistics.median(parts)))


def measure_noise(runs: Runs) -> dict[str, float]:
    """Return how being right on an image correlates, and what a new seed changes.

    between_kinds: from how the difference of two graphs of two kinds changes from the validation to
    the test images of teachers_study.jsonl. within_kind: likewise of one kind, which here are
    lengths, and of two seeds of a graph, image by image. seed_std: of the true accuracy between
    trainings of one graph, without what the images by which they differ make of it.
    """
    lines: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for line in select_lines("teachers_study.jsonl", STUDY):
        if line["arm"] in KINDS:
            lines[line["set"], line["seed"]].append(line)
    shares: dict[bool, list[float]] = {True: [], False: []}
    for (name, _), own in lines.items():
        val = len(next(iter(runs[name].values()))[0]) - own[0]["test"]
        for one, other in itertools.combinations(own, 2):
            ends = [each["val_accuracy"] - each["test_accuracy"] for each in (one, other)]
            level = (one["test_accuracy"] + other["test_accuracy"]) / 2
            most = 2 * level * (1 - level) * (1 / val + 1 / one["test"])
            same = KINDS[one["arm"]] == KINDS[other["arm"]]
            shares[same].append((ends[0] - ends[1]) ** 2 / most)
    seeds, squares = [], []
    for arms in runs.values():
        for both in (own for own in arms.values() if len(own) > 1):
            seeds.append(float(np.corrcoef(*both)[0, 1]))
            difference = both[0].astype(float) - both[1]
            squares.append((difference.mean() ** 2 - difference.var() / len(difference)) / 2)
    return {
        "between_kinds": 1 - statistics.fmean(shares[False]),
        "within_kind": statistics.fmean([*(1 - share for share in shares[True]), *seeds]),
        "seed_std": math.sqrt(max(0.0, float(np.mean(squares)))),
        "pairs_of_graphs": len(shares[True]) + len(shares[False]),
        "pairs_of_seeds": len(seeds),
    }


# What is chosen.


def find_levels(
    study: Table,
    by_set: Mapping[Kind, Mapping[str, float]],
    name: str,
    draw: np.random.Generator,
    leads: Mapping[Kind, Lead],
) -> dict[Kind, float]:
    """Return the accuracy of each kind on a set: alone's of a study, and what each has over it.

    One that was not measured there is drawn as the prior of the other sets has it.
    """
    lengths = [own for arm, own in study[name].items() if KINDS.get(arm) == "alone"]
    alone = statistics.fmean(value for own in lengths for value in own.values())
    measured = {kind: own[name] for kind, own in by_set.items() if name in own}
    return {
        kind: alone
        + (
            0.0
            if kind == "alone"
            else measured[kind]
            if kind in measured
            else draw.normal(leads[kind].mean, leads[kind].spread)
        )
        for kind in TRIED
    }


POOR = "images without labels, a poor teacher"
SPACES = {
    "images without labels": lambda levels: levels,
    "all images labelled": lambda levels: _without(levels, "taught, unlabelled"),
    # The prior errs: here the teacher is no better than the target.
    POOR: lambda levels: (
        levels | dict.fromkeys(("taught", "taught, unlabelled"), levels["alone"] - 0.03)
    ),
}
ONE_SPLIT = "one split, 3 seeds"
WAYS = {
    ONE_SPLIT: {"folds": False, "rounds": 3},
    "folds, 3 seeds": {"folds": True, "rounds": 3},
    "folds, 2 seeds": {"folds": True, "rounds": 2},
}


def _without(levels: Mapping[Kind, float], kind: Kind) -> dict[Kind, float]:
    return {name: level for name, level in levels.items() if name != kind}


def main() -> None:
    """Replay choices with every number of images, and write what they are worth."""
    parser = make_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=50, help="of each set")
    parser.add_argument("--leads", action="store_true")
    args = parser.parse_args()
    runs = read_runs()
    tables, noise = read_tables(runs), measure_noise(runs)
    leads = measure_leads(tables)
    if args.leads:
        for kind, lead in leads.items():
            print(f'    "{kind}": Lead({lead.mean:.3f}, {lead.spread:.3f}, {lead.sets}),')
        print(json.dumps(noise | {"settings_std": measure_settings(tables[1])}, indent=1))
        return
    result: dict[str, Any] = {
        "leads": {kind: vars(lead) for kind, lead in leads.items()},
        "by_set": list_leads(tables),
        "noise": noise,
        "settings_std": measure_settings(tables[1]),
        "choices": {},
    }
    known = {name: measure_leads(tables, name) for name in tables[0]}
    settings = {name: measure_settings(tables[1], name) for name in known}
    for space, way in itertools.product(SPACES, WAYS):
        if way != ONE_SPLIT and space == POOR:  # what folds are worth does not depend on the prior
            continue
        table = result["choices"][f"{space}; {way}"] = {}
        for images in IMAGES:
            played = []
            for name, seed in itertools.product(known, range(args.repeats)):
                draw = np.random.default_rng([seed, images])
                own = find_levels(tables[0], result["by_set"], name, draw, known[name])
                levels = SPACES[space](own)
                world = World(noise, draw)
                graphs = world.list_graphs(levels, settings[name])
                played.append(play(world, graphs, images, WAYS[way], known[name], settings[name]))
            table[images] = summarize(played)
            print(space, way, images, json.dumps(table[images]), flush=True)
    measure.write("choice", vars(args), result)


def summarize(played: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return, in points, the mean of each rule, and the difference to the best mean, paired."""
    found: dict[str, Any] = {"searches": len(played)}
    plain = [100 * one["best mean"]["true"] for one in played]
    for rule in played[0]:
        true, seen = ([100 * one[rule][what] for one in played] for what in ("true", "seen"))
        found[rule] = {"true": round(statistics.fmean(true), 2)}
        if rule == "best":
            continue
        promised = statistics.fmean(seen) - statistics.fmean(true)
        found[rule]["seen_minus_true"] = round(promised, 2)
        if rule != "best mean":
            pairs = [own - other for own, other in zip(true, plain, strict=True)]
            found[rule]["minus_best_mean"] = round(statistics.fmean(pairs), 2)
            found[rule]["interval"] = [round(end, 2) for end in paired_mean_interval(pairs)]
    return found


if __name__ == "__main__":
    main()
