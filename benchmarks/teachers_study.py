"""Measures what a strong teacher and images without labels are worth to a small network.

Five sets, ten labelled images a class, all other training images without labels; or all labels,
and then no others. The seed also draws the labelled images. Compared on the test images: the target
alone (recipe, several lengths, the longest with at least the device time of distillation), the
probe of its frozen features, the teacher, and the target taught by it: label edge cut, images
without labels, fixed views. One line is appended for each training, so the script may be
interrupted and goes on where it stopped.

    python benchmarks/teachers_study.py SHARED            # 5 sets x 5 seeds; hours on one core
    python benchmarks/teachers_study.py SHARED --sets flowers --seeds 1
    python benchmarks/teachers_study.py SHARED --per-class 0 --arms ...   # all labels
    python benchmarks/teachers_study.py SHARED --source none --model resnet20 --teacher resnet56 \
        --size 32 --teacher-size 32 --teacher-steps 3000 ...              # both from nothing
    python benchmarks/teachers_study.py SHARED --teacher-steps 0 -o FILE ...  # the teacher's probe
    python benchmarks/teachers_study.py SHARED --table    # what is in the file, as tables
    python benchmarks/teachers_study.py SHARED --table --lengths 3000   # over alone as long

SHARED holds data/ and weights/. One training takes 5 to 120 s on one core, most of it the target's
own; the teacher is trained once for each set and seed. Lengths are in steps, so all arms of equal
length have seen equally many labelled images.
"""

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lines import Line, append_line, read_lines
from options import make_parser
from sklearn.metrics import balanced_accuracy_score
from torch import nn

from ktg.data import Dataset, Images
from ktg.data.open import open_data, open_test
from ktg.graph import Graph, parse
from ktg.intervals import paired_mean_interval
from ktg.models.network import Ensemble
from ktg.training import Training
from ktg.training.scoring import Split, compute_logits

SETS = {
    "flowers": ("flowers", 5),
    "rsscn7": ("rsscn7", 7),
    "cats_dogs": ("cats_dogs", 2),
    "cifar10_small": ("cifar10_small/cifar10_small.npz", 10),
    "wbc4": ("wbc4", 4),
}
WEIGHTS = {
    "mobilenetv2_035": "mobilenetv2_035.imagenet.pth",
    "mobilenetv2_100": "mobilenetv2_100.imagenet.pth",
    "tf_efficientnet_lite0": "tf_efficientnet_lite0.imagenet.pth",
}
BATCH = 32
TEACHER_SIZE = 96
EPOCHS = 10  # of every training, whatever its steps: the warm-up is one of them
ALONE_STEPS = (100, 300, 1000, 3000)
TAUGHT_STEPS = 400
TEACHER_STEPS = 100
TEACHER_EPOCHS = 6  # where all labels are there
VIEWS = 8
UNLABELLED = {"unlabelled": "auto"}


@dataclass(frozen=True)
class Taught:
    """How the target is taught: an edge from each teacher, the label's gate, data and length.

    copies: whether each teacher is trained with a seed of its own; else they are one.
    """

    edges: Sequence[dict[str, Any]] = ({"temperature": 2.0},)
    label: str = "cutoff"
    data: Mapping[str, Any] = field(default_factory=lambda: UNLABELLED)
    steps: int = TAUGHT_STEPS
    copies: bool = False


KL = {"temperature": 2.0}
MIXED = {"views": None, "augment": "cutmix_or_mixup"}
TAUGHT = {
    "kl, T 2": Taught(),
    "kl, T 1": Taught([{}]),
    "kl, T 4": Taught([{"temperature": 4.0}]),
    "dist": Taught([{"loss": "dist"}]),
    "dist, T 2": Taught([{"loss": "dist", **KL}]),
    # One edge leads from node to node, so the teacher is there twice; it is trained once.
    "embedding and kl, T 2": Taught([KL, {"loss": "embedding"}]),
    "kl, T 2, and label": Taught(label="through"),
    "kl, T 2, and label, 2000 steps": Taught(label="through", steps=2000),
    "kl, T 2, labelled images only": Taught(data={}),
    "kl, T 2, from three": Taught([KL] * 3, copies=True),
    "kl, T 2, new views": Taught(data={**UNLABELLED, "views": None}),
    "kl, T 2, 1000 steps": Taught(steps=1000),
    "kl, T 2, 2000 steps": Taught(steps=2000),
    "kl, T 2, 2000 steps, 32 views": Taught(data={**UNLABELLED, "views": 32}, steps=2000),
    "kl, T 2, 2000 steps, mixed": Taught(data={**UNLABELLED, **MIXED}, steps=2000),
    "kl, T 2, and label, 2000 steps, mixed": Taught(
        label="through", data={**UNLABELLED, **MIXED}, steps=2000
    ),
}
THREE = "three teachers"  # the mean of their probabilities
ALONE = {steps: f"alone, {steps} steps" for steps in ALONE_STEPS}
ARMS = ["probe", *ALONE.values(), "teacher", THREE, *TAUGHT]
SHORT = [ALONE[steps] for steps in ALONE_STEPS[:3]]
USUAL = ["probe", *SHORT, "teacher", "kl, T 2", "dist", "kl, T 2, labelled images only"]
KEYS = ("set", "model", "teacher_model", "size", "per_class", "teacher_size", "teacher_steps")
KEYS += ("views", "source", "seed", "arm")
OF_ALONE = ("set", "model", "size", "per_class", "source")
# What lines have that do not say it: of networks from ImageNet, and of those from nothing.
BEFORE = {"teacher_size": TEACHER_SIZE, "teacher_steps": TEACHER_STEPS, "source": "imagenet"}
FROM_NOTHING = {"teacher_size": 32, "teacher_steps": 3000, "source": "none"}


def make_graph(args: argparse.Namespace, name: str, seed: int, arm: str) -> Graph:
    """Return the graph of an arm; of the teacher's own it is one that the teacher is a part of."""
    place, classes = SETS[name]
    few = classes * args.per_class  # 0: all labels
    batch = min(BATCH, few or BATCH)
    data = {
        "path": str(args.shared / "data" / place),
        "size": max(args.size, args.teacher_size),
        "per_class": args.per_class or None,
        "batch_size": batch,
        "split_seed": seed,
    }
    steps, edges, node, aggregate = TAUGHT_STEPS, {"label -> n0": {}}, {}, "sum"
    nodes = {"n0": {"model": args.model, "input_size": args.size}}
    if arm.startswith("alone"):
        steps = int(arm.split()[1])
    elif arm == "probe":
        node = {"head": "probe"}
    else:
        taught = TAUGHT.get("kl, T 2, from three" if arm == THREE else arm, Taught())
        data |= {"views": args.views, **taught.data}
        if not few:
            data.pop("unlabelled", None)
        elif "unlabelled" in data:
            data["unlabelled_share"] = BATCH / (BATCH + batch)
        edges = {"label -> n0": {"gate": taught.label}}
        own = {"epochs": args.teacher_steps * batch // few if few else TEACHER_EPOCHS}
        own |= {"input_size": args.teacher_size}
        for number, edge in enumerate(taught.edges, start=1):
            copy = {"copy": number - 1} if taught.copies else {}
            nodes[f"n{number}"] = {"model": args.teacher, **own, **copy}
            edges[f"n{number} -> n0"] = edge
        steps, aggregate = taught.steps, "mean" if taught.copies else "sum"
    train: dict[str, Any] = {"epochs": 0} if arm == "probe" else {"epochs": EPOCHS, "steps": steps}
    nodes["n0"] |= node
    train |= {"seed": seed, "aggregate": aggregate}
    return assemble(args, data, train, nodes, edges, args.source)


def assemble(
    args: argparse.Namespace,
    data: dict[str, Any],
    train: dict[str, Any],
    nodes: dict[str, dict[str, Any]],
    edges: dict[str, Any],
    source: str = "imagenet",
) -> Graph:
    """Return a graph of these parts, in which all nodes begin from the same source."""
    if source == "none":
        return parse({"data": data, "train": train, "nodes": nodes, "edges": edges})
    started = {
        name: {**node, "source": source, "model_args": find_arguments(node["model"])}
        for name, node in nodes.items()
    }
    weights = {node["model"]: find_weights(args, node["model"]) for node in nodes.values()}
    return parse(
        {"data": data, "train": train, "weights": weights, "nodes": started, "edges": edges}
    )


def find_arguments(model: str) -> dict[str, Any]:
    """Return what the network of these weights is built with."""
    return {} if model.startswith("tf_") else {"pad_type": "same"}


def find_weights(args: argparse.Namespace, model: str) -> dict[str, Any]:
    """Return the file of a model's ImageNet weights, and what it expects of images."""
    path = args.shared / "weights" / WEIGHTS[model]
    return {"path": str(path), "mean": [0.5], "std": [0.5]}


def measure_arm(
    args: argparse.Namespace, name: str, seed: int, arm: str, test: Images
) -> dict[str, Any]:
    """Train one arm and return its figures on validation and test images."""
    graph = make_graph(args, name, seed, arm)
    dataset = open_data(graph.data)
    started = time.process_time()
    # Of few labels none are validation images; of all some are, and say how long alone is trained.
    training = Training(graph, dataset, final=args.per_class > 0, device="cpu")
    begun = time.process_time()
    network: Any = training.target
    if arm in ("teacher", THREE):
        network = Ensemble(training.teachers)
    else:
        for _ in training:
            pass
    ended = time.process_time()
    figures = {"cpu_s": ended - (started if arm in ("teacher", THREE, "probe") else begun)}
    found: dict[str, Any] = {key: round(value, 2) for key, value in figures.items()}
    for split, images in (("val", dataset.val), ("test", test)):
        found |= score(network, images, split)
    return found | count(dataset, test, network)


def score(network: nn.Module, images: Images, split: str) -> dict[str, float]:
    """Return accuracy and balanced accuracy on a split."""
    logits = compute_logits(network, Split(images, torch.device("cpu"), 64), torch.float32)
    guesses, truth = logits.argmax(1).numpy(), np.asarray(images.labels)
    accuracy = float((guesses == truth).mean())
    balanced = float(balanced_accuracy_score(truth, guesses))
    return {f"{split}_accuracy": accuracy, f"{split}_balanced_accuracy": balanced}


def count(dataset: Dataset, test: Images, network: nn.Module) -> dict[str, int]:
    """Return how many images there are of each kind, and the parameters of the network."""
    return {
        "labelled": len(dataset.train),
        "unlabelled": len(dataset.unlabelled) if dataset.unlabelled else 0,
        "test": len(test),
        "parameters": sum(each.numel() for each in network.parameters()),
    }


def show(path: Path, score: str, lengths: Sequence[int]) -> None:
    """Print, for each set, the mean of every arm, and what it has over the tuned alone.

    And what it has in all sets, where it was trained on several. lengths: in steps, those that
    alone is tuned over.
    """
    rows = [complete(row) for row in read_lines(path)]
    pooled: dict[tuple[Any, ...], dict[str, list[float]]] = defaultdict(dict)
    groups: dict[Any, dict[str, dict[int, dict[str, Any]]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        groups[find_key(row)[:-2]][row["arm"]][row["seed"]] = row
    for group, arms in sorted(groups.items()):
        print(*group)
        known = dict(zip(KEYS, group, strict=False))
        for row in rows:  # who has no teacher is compared with all of them
            same = all(row[key] == known[key] for key in OF_ALONE)
            if same and row["arm"].startswith(("alone", "probe")):
                arms[row["arm"]].setdefault(row["seed"], row)
        tuned = tune_alone(arms, score, lengths)
        for arm in ["alone, tuned", *ARMS]:
            runs = tuned if arm == "alone, tuned" else arms.get(arm, {})
            if not runs:
                continue
            values = [100 * run[f"test_{score}"] for run in runs.values()]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            seconds = statistics.fmean(run["cpu_s"] for run in runs.values())
            line = f"  {arm:32} {statistics.fmean(values):5.1f} +- {spread:4.1f} {seconds:6.0f} s"
            differences = subtract(runs, tuned, score)
            pooled[group[1:], arm][group[0]] = differences
            print(line + f" n={len(values)}{tell_mean(differences)}")
    for (study, arm), by_set in pooled.items():
        differences = [each for own in by_set.values() for each in own]
        if len(by_set) > 1 and arm != "alone, tuned" and len(differences) > 1:
            where = f"{len(differences)} pairs of {sum(map(bool, by_set.values()))} sets"
            print("all", *study, f"{arm:38} {where}{tell_mean(differences)}")


def complete(row: Line) -> Line:
    """Return a line with all settings; older ones had two views where images are large."""
    before = BEFORE if row["model"] in WEIGHTS else FROM_NOTHING
    return {"views": VIEWS if row["size"] <= 64 else 2, **before, **row}


def find_key(row: Line) -> tuple[Any, ...]:
    """Return what tells a line from all others."""
    whole = complete(row)
    return tuple(whole[key] for key in KEYS)


def tune_alone(
    arms: Mapping[str, Mapping[int, dict[str, Any]]], score: str, lengths: Sequence[int]
) -> dict[int, dict[str, Any]]:
    """Return, by seed, the run alone of the length that is best on the validation images."""
    runs: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for steps in lengths:
        for seed, run in arms.get(ALONE[steps], {}).items():
            runs[seed].append(run)
    return {seed: max(own, key=lambda run: run[f"val_{score}"]) for seed, own in runs.items()}


def subtract(
    runs: Mapping[int, dict[str, Any]], tuned: Mapping[int, dict[str, Any]], score: str
) -> list[float]:
    """Return what an arm has over the tuned alone, in points, seed by seed."""
    key = f"test_{score}"
    return [100 * (runs[seed][key] - tuned[seed][key]) for seed in sorted(runs.keys() & tuned)]


def tell_mean(differences: Sequence[float]) -> str:
    """Return the mean of differences with a 95 % interval; nothing of less than two."""
    if len(differences) < 2:
        return ""
    low, high = paired_mean_interval(differences)
    return f"  {statistics.fmean(differences):+.1f} ({low:+.1f} to {high:+.1f})"


def main() -> None:
    """Append what is missing."""
    parser = make_parser(__doc__, "teachers_study.jsonl", seeds=5, table=True)
    parser.add_argument("--source", default="imagenet", choices=["imagenet", "none"])
    parser.add_argument("--model", default="mobilenetv2_035", help=f"from ImageNet: {[*WEIGHTS]}")
    parser.add_argument("--teacher", default="mobilenetv2_100")
    parser.add_argument("--teacher-size", type=int, default=TEACHER_SIZE)
    parser.add_argument("--teacher-steps", type=int, default=TEACHER_STEPS, help="of few labels")
    parser.add_argument("--size", type=int, default=64, help="side at which the target sees images")
    parser.add_argument("--per-class", type=int, default=10, help="labelled images; 0: all")
    parser.add_argument("--views", type=int, default=VIEWS)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--arms", nargs="+", default=USUAL, choices=ARMS)
    parser.add_argument(
        "--lengths", nargs="+", type=int, default=ALONE_STEPS, choices=ALONE_STEPS, help="of alone"
    )
    parser.add_argument(
        "--score", default="balanced_accuracy", choices=["accuracy", "balanced_accuracy"]
    )
    args = parser.parse_args()
    if args.table:
        show(args.output, args.score, args.lengths)
        return
    torch.set_num_threads(1)
    settings = {"model": args.model, "teacher_model": args.teacher}
    settings |= {key: getattr(args, key) for key in KEYS[3:-2]}
    done = {find_key(line) for line in read_lines(args.output)}
    for seed in range(args.seeds):
        for name in args.sets:
            test = None
            for arm in args.arms:
                line = {"set": name, **settings, "seed": seed, "arm": arm}
                if find_key(line) not in done:
                    if test is None:
                        test = open_test(make_graph(args, name, seed, "probe").data)
                    figures = measure_arm(args, name, seed, arm, test)
                    append_line(args.output, line | figures)


if __name__ == "__main__":
    main()
