"""Does it help to show the nodes of a graph images without labels? Flowers with five labelled images of each class.

Networks from ImageNet at 64 x 64 pixels. All other images of the folder, but those validated or
tested on, are shown without their labels. Compared are, on the same test images, one network alone;
distillation and mutual learning from the five images alone; and the same two graphs with unlabelled
images on their edges between nodes. A seed chooses the labelled images and the test images too, so
differences are taken seed by seed.

    # 5 arms x 3 seeds; 19 minutes on a busy machine.
    python benchmarks/unlabelled.py DATA WEIGHTS
    python benchmarks/unlabelled.py ../shared/data/flowers ../shared/weights/mobilenetv2_035.imagenet.pth
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import measure
import torch

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
PAIRS = [(f"{name}, unlabelled", name) for name in ("distillation", "mutual learning")]


def main() -> None:
    """Train every arm with every seed and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--model", default="mobilenetv2_035")
    parser.add_argument("--per-class", type=int, default=5)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    accuracies: dict[str, list[float]] = {arm: [] for arm in ARMS}
    started, unlabelled = time.perf_counter(), 0
    for seed in range(args.seeds):
        for arm, (edges, more) in ARMS.items():
            graph = graph_of(args, edges, more, seed)
            dataset, test = open_data(graph.data), open_test(graph.data)
            training = Training(graph, dataset, final=True, device="cpu")
            for _ in training:
                pass
            unlabelled = len(dataset.unlabelled or ()) or unlabelled
            accuracies[arm].append(training.test(test).accuracy)
            print(
                f"seed {seed}, {arm}: {accuracies[arm][-1]:.3f} ({time.perf_counter() - started:.0f} s)",
                flush=True,
            )
    config = {
        name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()
    }
    edges_of = {arm: edges for arm, (edges, _) in ARMS.items()}
    config |= {"data": args.data.name, "weights": args.weights.name, "arms": edges_of}
    result: dict[str, Any] = {"unlabelled images": unlabelled}
    result |= {"test accuracy": {arm: summary(values) for arm, values in accuracies.items()}}
    result |= {
        "gained by unlabelled images": {base: gained(accuracies, arm, base) for arm, base in PAIRS}
    }
    measure.write("unlabelled", config, result | {"seconds": round(time.perf_counter() - started)})


def graph_of(
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
            "train": {
                "epochs": args.epochs,
                "optimizer": "adamw",
                "lr": 0.001,
                "weight_decay": 0.01,
                "seed": seed,
            },
            "weights": {args.model: str(args.weights.absolute())},
            "nodes": {name: {"model": args.model, "source": "imagenet"} for name in ("n0", "n1")},
            "edges": edges,
        }
    )


def summary(values: list[float]) -> dict[str, Any]:
    """Return n, mean and standard deviation, and the values seed by seed."""
    return {
        "n": len(values),
        "mean": statistics.fmean(values),
        "std": statistics.stdev(values),
        "each": values,
    }


def gained(accuracies: dict[str, list[float]], arm: str, base: str) -> dict[str, Any]:
    """Return the difference of two arms, seed by seed."""
    return summary(
        [one - other for one, other in zip(accuracies[arm], accuracies[base], strict=True)]
    )


if __name__ == "__main__":
    main()
