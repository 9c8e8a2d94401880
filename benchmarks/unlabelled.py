"""Measures whether it helps to show the nodes of a graph images without labels.

Networks pretrained on ImageNet learn flowers at 64 x 64 pixels from five labelled images of each
class. The other images of the folder, except those for validation and test, are shown without
labels. Five arms are compared on the same test images: one network alone, distillation and mutual
learning from the labelled images, and both with unlabelled images on their edges between nodes. The
seed also chooses the labelled images and the test images, so differences are taken seed by seed.

    # 5 arms x 3 seeds; 19 minutes on a busy machine.
    python benchmarks/unlabelled.py DATA WEIGHTS
    python benchmarks/unlabelled.py photos/flowers mobilenetv2_035.imagenet.pth
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import measure
import torch
from options import make_parser

from ktg.data.open import open_data, open_test
from ktg.graph import Graph, parse
from ktg.training import Training

ALONE = {"label -> n0": {}}
DISTILLATION = {"label -> n0": {}, "n1 -> n0": {"temperature": 2.0}}
MUTUAL = {"label -> any": {}, "any -> any": {"temperature": 2.0}}
# What trains what, and whether images without labels are shown.
ARMS: dict[str, tuple[dict[str, dict[str, Any]], bool]] = {
    "alone": (ALONE, False),
    "distillation": (DISTILLATION, False),
    "distillation, unlabelled": (DISTILLATION, True),
    "mutual learning": (MUTUAL, False),
    "mutual learning, unlabelled": (MUTUAL, True),
}
ADAMW = {"optimizer": "adamw", "lr": 0.001, "weight_decay": 0.01}
PAIRS = [(f"{name}, unlabelled", name) for name in ("distillation", "mutual learning")]


def main() -> None:
    """Train every arm with every seed and write the result."""
    parser = make_parser(__doc__, seeds=3)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--model", default="mobilenetv2_035")
    parser.add_argument("--per-class", type=int, default=5)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    accuracies: dict[str, list[float]] = {arm: [] for arm in ARMS}
    started, unlabelled = time.perf_counter(), 0
    for seed in range(args.seeds):
        for arm, (edges, more) in ARMS.items():
            graph = make_graph(args, edges, more, seed)
            dataset, test = open_data(graph.data), open_test(graph.data)
            training = Training(graph, dataset, final=True, device="cpu")
            for _ in training:
                pass
            unlabelled = len(dataset.unlabelled or ()) or unlabelled
            accuracies[arm].append(training.test(test).accuracy)
            seconds = round(time.perf_counter() - started)
            print(f"seed {seed}, {arm}: {accuracies[arm][-1]:.3f} ({seconds} s)", flush=True)
    edges_of = {arm: edges for arm, (edges, _) in ARMS.items()}
    config = vars(args) | {"data": args.data.name, "weights": args.weights.name, "arms": edges_of}
    result: dict[str, Any] = {
        "unlabelled images": unlabelled,
        "test accuracy": {arm: summarise(values) for arm, values in accuracies.items()},
        "gained by unlabelled images": {
            base: summarise_gain(accuracies, arm, base) for arm, base in PAIRS
        },
    }
    measure.write("unlabelled", config, result | {"seconds": round(time.perf_counter() - started)})


def make_graph(
    args: argparse.Namespace, edges: dict[str, dict[str, Any]], more: bool, seed: int
) -> Graph:
    """Return the graph of an arm."""
    data = {
        "path": str(args.data.absolute()),
        "size": args.size,
        "per_class": args.per_class,
        "batch_size": 5 * args.per_class,
        "split_seed": seed,
    }
    return parse(
        {
            "data": data | ({"unlabelled": data["path"]} if more else {}),
            "train": {"epochs": args.epochs, "seed": seed, **ADAMW},
            "weights": {args.model: str(args.weights.absolute())},
            "nodes": {name: {"model": args.model, "source": "imagenet"} for name in ("n0", "n1")},
            "edges": edges,
        }
    )


def summarise(values: list[float]) -> dict[str, Any]:
    """Return n, mean and standard deviation, and the values seed by seed."""
    mean, std = statistics.fmean(values), statistics.stdev(values)
    return {"n": len(values), "mean": mean, "std": std, "each": values}


def summarise_gain(accuracies: dict[str, list[float]], arm: str, base: str) -> dict[str, Any]:
    """Return the difference of two arms, seed by seed."""
    pairs = zip(accuracies[arm], accuracies[base], strict=True)
    return summarise([one - other for one, other in pairs])


if __name__ == "__main__":
    main()
