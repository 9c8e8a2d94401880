"""Compares recipes for a network on few images: several sets and seeds, by test images.

A seed draws the labelled images. Compared are, for one network from ImageNet: logistic regression
on its frozen features (the probe), a new head on the frozen backbone, fine-tuning, and a head first
and then fine-tuning with a small rate, each with several learning rates; for a network from nothing
or from formula-generated images, optimizers with several rates. One line is appended for each
training, so the script may be interrupted and goes on where it stopped.

    python benchmarks/recipes.py SHARED --counts 10 50 0   # 0: all images; hours on one core
    python benchmarks/recipes.py SHARED --model mobilenetv2_100 --seeds 2
    python benchmarks/recipes.py SHARED --counts 0 --epochs 4   # where time is short
    python benchmarks/recipes.py SHARED --source none --model resnet20 --size 32
    python benchmarks/recipes.py SHARED --source zoo/fractals --model resnet20 --size 32
    python benchmarks/recipes.py SHARED --table            # what is in the file, as a table

SHARED holds data/ and weights/. One training takes 1 to 60 s on one core. What the default recipes
of `ktg.graph.recipes` rest on.
"""

import argparse
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lines import append_line, read_lines
from options import make_parser
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV

from ktg.data.open import open_data, open_test
from ktg.graph import Graph, parse
from ktg.models.network import find_head
from ktg.training import Training
from ktg.training.probe import put_into_head

SETS = {
    "cats_dogs": "cats_dogs",
    "flowers": "flowers",
    "rsscn7": "rsscn7",
    "wbc4": "wbc4",
    "magtile": "magtile",
    "cifar10_small": "cifar10_small/cifar10_small.npz",
    "fsdd_spec": "fsdd_spec/fsdd_spec.npz",
    "digits": "",  # those that come with scikit-learn
}
WEIGHTS = {
    "mobilenetv2_035": "mobilenetv2_035.imagenet.pth",
    "mobilenetv2_100": "mobilenetv2_100.imagenet.pth",
    "tf_efficientnet_lite0": "tf_efficientnet_lite0.imagenet.pth",
}
EPOCHS = {10: 40, 50: 30, None: 15}
HEAD_EPOCHS = 100  # of frozen features, which are computed once


def arms(source: str, epochs: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what each arm sets in `train` and in its node."""
    if source == "imagenet":
        return arms_from_photographs(epochs)
    found = {"sgd 0.1, as it is": {"train": {"lr": 0.1, "epochs": epochs}, "node": {}}}
    calm = {"clip_norm": 1.0, "warmup_epochs": 1, "epochs": epochs}
    for optimizer, rates in (
        ("sgd", (0.01, 0.03, 0.1)),
        ("adamw", (0.0003, 0.001, 0.003, 0.005, 0.01)),
    ):
        for lr in rates:
            said = {**calm, "optimizer": optimizer, "lr": lr}
            found[f"{optimizer} {lr:g}"] = {"train": said, "node": {}}
    for lr in (0.003, 0.01):
        said = {**calm, "optimizer": "adamw", "lr": lr, "weight_decay": 0.05}
        found[f"adamw {lr:g}, decay 0.05"] = {"train": said, "node": {}}
    if source != "none":
        for lr in (0.0003, 0.001, 0.003):
            said = {**calm, "optimizer": "adamw", "lr": lr}
            found[f"probe, then {lr:g}, kept statistics"] = {
                "train": said,
                "node": {"frozen_norm": True},
            }
            found[f"probe, then {lr:g}"] = {"train": said, "node": {}}
    return found


def arms_from_photographs(epochs: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the arms of a network that has seen photographs."""
    tuned = {"clip_norm": 1.0, "warmup_epochs": 1, "epochs": epochs, "optimizer": "adamw"}
    kept = {"frozen_norm": True}
    first = {**kept, "frozen_epochs": max(2, epochs // 4)}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for lr in (0.001, 0.003, 0.01):
        found[f"head {lr:g}"] = {
            "train": {"optimizer": "adamw", "lr": lr, "epochs": HEAD_EPOCHS},
            "node": {"frozen_epochs": HEAD_EPOCHS, "augment": "none"},
        }
    for lr in (0.0001, 0.0003, 0.001):
        found[f"fine-tuning {lr:g}"] = {"train": {**tuned, "lr": lr}, "node": kept}
    for head, lr in ((0.001, 0.0001), (0.001, 0.0003), (0.003, 0.0001)):
        found[f"head {head:g}, then {lr:g}"] = {
            "train": {**tuned, "lr": head},
            "node": {**first, "backbone_lr_scale": lr / head},
        }
    for lr in (0.00003, 0.0001, 0.0002, 0.0003, 0.001):
        found[f"probe, then {lr:f}".rstrip("0")] = {"train": {**tuned, "lr": lr}, "node": kept}
    found["probe, then 0.0003, twice as long"] = {
        "train": {**tuned, "lr": 0.0003, "epochs": 2 * epochs},
        "node": kept,
    }
    found["probe, then 0.001, backbone a tenth"] = {
        "train": {**tuned, "lr": 0.001},
        "node": {**kept, "backbone_lr_scale": 0.1},
    }
    found["fine-tuning 0.0003, twice as long"] = {
        "train": {**tuned, "lr": 0.0003, "epochs": 2 * epochs},
        "node": kept,
    }
    found["fine-tuning 0.0003, no augmentation"] = {
        "train": {**tuned, "lr": 0.0003},
        "node": {**kept, "augment": "none"},
    }
    found["fine-tuning 0.001, new statistics"] = {"train": {**tuned, "lr": 0.001}, "node": {}}
    found["fine-tuning sgd 0.01"] = {
        "train": {**tuned, "optimizer": "sgd", "lr": 0.01},
        "node": kept,
    }
    return found


def list_arms(source: str, epochs: int) -> list[str]:
    """Return the names of the arms; nothing has features for a probe."""
    probe = [] if source == "none" else ["probe"]
    return probe + list(arms(source, epochs))


def graph_of(
    args: argparse.Namespace, name: str, count: int | None, seed: int, arm: dict[str, Any]
) -> Graph:
    """Return the graph of one training."""
    node: dict[str, Any] = {"model": args.model, "source": args.source}
    if args.model.startswith("vit"):  # else all images are enlarged to 224 pixels
        node["model_args"] = {"img_size": args.size}
    weights = {}
    if args.source == "imagenet":
        path = str(args.shared / "weights" / WEIGHTS[args.model])
        weights = {args.model: {"path": path, "mean": [0.5], "std": [0.5]}}
        if args.model != "tf_efficientnet_lite0":
            node["model_args"] = {"pad_type": "same"}
    data = {"path": str(args.shared / "data" / SETS[name])} if SETS[name] else {"name": name}
    data |= {"size": args.size, "split_seed": seed}
    if count is not None:
        data["per_class"] = count
    return parse(
        {
            "data": {**data, "batch_size": 16 if count == 10 else 32},
            "train": {"seed": seed, **arm["train"]},
            "weights": weights,
            "nodes": {"n0": {**node, **arm["node"]}},
            "edges": {"label -> n0": {}},
        }
    )


def measure_arm(
    args: argparse.Namespace, name: str, count: int | None, seed: int, arm: str
) -> dict[str, Any]:
    """Train one arm and return its figures on the test images."""
    epochs = args.epochs or EPOCHS[count]
    probe = arm == "probe"
    settings = {"train": {}, "node": {}} if probe else arms(args.source, epochs)[arm]
    graph = graph_of(args, name, count, seed, settings)
    dataset, test = open_data(graph.data), open_test(graph.data)
    started = time.process_time()
    training = Training(graph, dataset, final=True, device="cpu")
    if arm.startswith("probe"):
        model = fit_probe(training)
    if probe:
        predicted = model.predict(training.features(test).flatten(1).numpy())
    else:
        if arm.startswith("probe"):
            begin_as_probe(model, training)
        for _ in training:
            pass
        predicted = training.predict(test).argmax(1).numpy()
    truth = np.asarray(test.labels)
    return {
        "accuracy": float((predicted == truth).mean()),
        "balanced_accuracy": float(balanced_accuracy_score(truth, predicted)),
        "cpu_s": round(time.process_time() - started, 2),
        "images": len(training.images),
        "test": len(truth),
    }


def fit_probe(training: Training) -> LogisticRegression:
    """Return a logistic regression on the frozen features; its C is cross-validated."""
    labels = np.asarray(training.images.labels)
    folds = min(5, int(np.bincount(labels).min()))
    costs = {"C": [1e-3, 1e-2, 0.1, 1.0, 10.0]}
    model = GridSearchCV(LogisticRegression(max_iter=2000), costs, cv=folds)
    return model.fit(training.features(training.images).flatten(1).numpy(), labels).best_estimator_


def begin_as_probe(model: LogisticRegression, training: Training) -> None:
    """Let the target's head begin as the probe; of two classes one row has the logit's half."""
    weight, bias = (torch.tensor(each).float() for each in (model.coef_, model.intercept_))
    if len(weight) == 1:
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    put_into_head(find_head(training.target), weight, bias)


def show(path: Path) -> None:
    """Print mean balanced accuracy by set, count and arm, and what each arm loses to the best."""
    rows = read_lines(path)
    values: dict[Any, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        start = (row.get("source", "imagenet"), row["model"], row["size"])
        key = (*start, row["per_class"], row.get("epochs", 0), row["set"])
        values[key][row["arm"]][row["seed"]] = row["balanced_accuracy"]
    lost: dict[tuple[str, str], list[float]] = defaultdict(list)
    for key, by_arm in sorted(values.items(), key=str):
        seeds = set.intersection(*(set(v) for v in by_arm.values()))
        if not seeds:
            continue
        means = {a: statistics.fmean(v[s] for s in seeds) for a, v in by_arm.items()}
        best = max(means.values())
        print(key, f"n={len(seeds)}")
        for a, mean in means.items():
            lost[key[0], a].append(best - mean)
            print(f"   {a:36} {100 * mean:5.1f}   {100 * (mean - best):+5.1f}")
    print("most lost, mean lost, by source and over all networks")
    for (source, a), each in lost.items():
        most, mean = 100 * max(each), 100 * statistics.fmean(each)
        print(f"   {source:12} {a:36} {most:5.1f} {mean:5.1f}  n={len(each)}")


def main() -> None:
    """Append what is missing."""
    parser = make_parser(__doc__, "recipes.jsonl", seeds=5, table=True)
    sources = ("imagenet", "none", "zoo/fractals")
    parser.add_argument("--source", default="imagenet", choices=sources)
    parser.add_argument("--model", default="mobilenetv2_035", help="one with weights, or any")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 50], help="0: all")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--epochs", type=int, default=0, help="default: usual ones")
    parser.add_argument("--arms", nargs="+", help="default: all")
    args = parser.parse_args()
    if args.table:
        show(args.output)
        return
    if args.source == "imagenet" and args.model not in WEIGHTS:
        parser.error(
            f"--model: of {args.model} there are no weights; allowed: {', '.join(WEIGHTS)}"
        )
    torch.set_num_threads(1)
    keys = ("set", "model", "size", "per_class", "seed", "arm", "epochs", "source")
    early = {"epochs": 0, "source": "imagenet"}  # what the first lines do not say
    done = {tuple((early | line)[key] for key in keys) for line in read_lines(args.output)}
    for count in args.counts:
        for seed in range(args.seeds):
            for name in args.sets:
                for arm in args.arms or list_arms(args.source, EPOCHS[count or None]):
                    key = (name, args.model, args.size, count, seed, arm, args.epochs, args.source)
                    if key in done:
                        continue
                    figures = measure_arm(args, name, count or None, seed, arm)
                    append_line(args.output, dict(zip(keys, key, strict=True)) | figures)


if __name__ == "__main__":
    main()
