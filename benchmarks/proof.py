"""Compares ktg's default search with every arrangement a user would try, in the same wall time.

On eleven sets, with the same budget on the same cores: the search of the space that `ktg init`
writes, and its best graph trained again with every seed. Against it: a search of the target alone
(the same space without helpers, the whole budget), the probe of the target's weights, a head first
and then fine-tuning, and distillation by hand from a fine-tuned larger network, on the unlabelled
images too where there are some. The last three are plain timm and torch.

    python benchmarks/proof.py SHARED                      # all that is missing; many hours
    python benchmarks/proof.py SHARED --sets wbc4 --budget 2m --seeds 2
    python benchmarks/proof.py SHARED --size 0 --arms search "tuned alone"    # init's own size
    python benchmarks/proof.py SHARED --table              # what is in the file, as a table

One line is appended for each training, so the script may be interrupted and goes on where it was.
SHARED holds data/ and weights/.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import folder
import rivals
import torch
from lines import Line
from rivals import TARGET, WEIGHTS, RealSet

from ktg.graph import dump
from ktg.graph.yaml_files import load, load_graph, save

BALANCED = "balanced_accuracy"
CIFAR = "cifar10_small/cifar10_small.npz"
SETS = {
    "cats_dogs": RealSet("cats_dogs"),
    "flowers_10": RealSet("flowers", per_class=10, unlabelled=True),
    "flowers": RealSet("flowers"),
    "rsscn7": RealSet("rsscn7"),
    "wbc4": RealSet("wbc4", metric=BALANCED),
    "magtile": RealSet("magtile", metric=BALANCED),
    "fsdd_spec": RealSet("fsdd_spec/fsdd_spec.npz"),
    "cifar10_100": RealSet(CIFAR, per_class=100),
    # Ten labels a class, and all other training images without labels: where a teacher pays.
    "cats_dogs_10": RealSet("cats_dogs", per_class=10, unlabelled=True),
    "rsscn7_10": RealSet("rsscn7", per_class=10, unlabelled=True),
    "cifar10_10": RealSet(CIFAR, per_class=10, unlabelled=True),
}
OURS, ALONE, HEAD_FIRST, BY_HAND = "search", "tuned alone", "head, then all", "distillation"
RIVALS = (ALONE, "probe", HEAD_FIRST, BY_HAND)
HEAD_SHARE = 0.25


def main() -> None:
    """Measure what is missing, or show the table."""
    args = folder.read_arguments(__doc__, SETS, (OURS, *RIVALS), "proof.jsonl", "20m")
    if args.table:
        print("\n".join(rivals.compare(folder.read_budget(args), SETS, OURS, RIVALS)))
        return
    torch.set_num_threads(args.threads)
    for name in args.sets:
        for arm in args.arms:
            found = folder.find_missing(args, name, arm)
            find = partial(search, args, name, arm) if arm in (OURS, ALONE) else None
            measure = partial(measure_rival, args, arm)
            folder.measure_arm(args, name, SETS[name], found, find, measure)


def measure_rival(
    args: argparse.Namespace, arm: str, task: rivals.Task, of: rivals.Pretrained, seed: int
) -> Line:
    """Return the figures of one training without ktg."""
    given = task, args.shared, of
    if arm == "probe":
        return rivals.score(task.truth, rivals.probe(*given)[0])
    if arm == BY_HAND:
        network, epochs = rivals.distil(*given, seed, args.seconds)
    else:
        network, epochs = rivals.fine_tune(*given, seed, args.seconds, HEAD_SHARE)
    return rivals.score(task.truth, rivals.predict(network, task.test)) | {"epochs": epochs}


def search(args: argparse.Namespace, name: str, arm: str, place: Path) -> Line:
    """Search the space that ktg proposes, whole or of its target alone; return the best graph."""
    options = ["--target", WEIGHTS[TARGET].model, "--budget", args.budget, "-o", "space.yaml"]
    options += ["--size", str(args.size)] if args.size else []
    folder.run_ktg("init", rivals.LABELLED, *options, place=place)
    space = load(place / "space.yaml")
    space["search"] = {**space.get("search", {}), "metric": SETS[name].metric}
    save(place / "space.yaml", keep_target(space) if arm == ALONE else space)
    started = time.perf_counter()
    options = ["--budget", args.budget, "--name", name, "--out", "out"]
    folder.run_ktg("search", "space.yaml", *options, place=place)
    seconds = round(time.perf_counter() - started, 1)
    graph = dump(load_graph(place / "out" / "best.yaml"))
    text = json.dumps(graph).replace(str(place), folder.PLACE)
    return {"seconds": seconds, "graph": json.loads(text)}


def keep_target(space: dict[str, Any]) -> dict[str, Any]:
    """Return a space without helpers: its first node, which the labels teach.

    What only helpers could use goes too: what is tried first, images without labels, and views that
    are drawn once, so that a teacher answers once (the lines of 28 November 2026 had these).
    """
    target = next(iter(space["nodes"]))
    nodes = {target: space["nodes"][target]}
    found = {**space, "nodes": nodes, "edges": {f"label -> {target}": {}}}
    found["search"] = {key: value for key, value in space["search"].items() if key != "opening"}
    useless = ("views", "unlabelled", "unlabelled_share")
    kept = {key: value for key, value in space["data"].items() if key not in useless}
    return {**found, "data": kept}


if __name__ == "__main__":
    main()
