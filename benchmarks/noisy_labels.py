"""Compares ways to train a small network on labels of which people got 39 % wrong (cifar10n).

2,000 images of CIFAR-10 with the "worse" labels of real annotators, MobileNetV2-0.35 from ImageNet
at 128 px as the target, the clean test split; seeds 0 to 4. Arms: a regularised probe, alone by the
default recipe, alone with `gce`, `sce` or `bootstrap`, two networks that choose for each other by
`small_loss` or `agree`, soft labels of the probe of a MobileNetV2-1.0 in place of the labels, or of
it and an EfficientNet-lite0 together (each sees the whole image, so that what they say is computed
once), with the labels or without, what that probe does not doubt, alone and the probe without what
the audit doubts, with labels weighed by how far it believes them, and the probe with its proposals.
Nothing but the test accuracy sees a clean
label: the noise and the doubts are estimated from the noisy ones. One line is appended for each
training, so the script may be interrupted and goes on where it stopped.

    python benchmarks/noisy_labels.py SHARED            # 5 seeds; some hours on one core
    python benchmarks/noisy_labels.py SHARED --seeds 1 --arms probe "small_loss, peer"
    python benchmarks/noisy_labels.py SHARED --search 6m   # `ktg search` on a folder of them
    python benchmarks/noisy_labels.py SHARED --table    # what is in the file, as a table

SHARED holds data/ and weights/.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import folder
import numpy as np
import torch
from lines import append_line, read_lines
from options import make_parser
from rivals import RealSet, make_folder, pair, show_gain, show_values

from ktg.auditing.doubtful_labels import LabelDoubts, doubt_labels
from ktg.auditing.features import compute_features
from ktg.auditing.label_table import believe_labels
from ktg.auditing.networks import build_viewer
from ktg.auditing.pool import gather
from ktg.data.open import open_data, open_test
from ktg.graph import Data, Node, SourceFile, parse
from ktg.local import cache_folder
from ktg.training import Training

SET = "data/cifar10n/cifar10n.npz"
WEIGHTS = {
    "mobilenetv2_035": "mobilenetv2_035.imagenet.pth",
    "mobilenetv2_100": "mobilenetv2_100.imagenet.pth",
    "tf_efficientnet_lite0": "tf_efficientnet_lite0.imagenet.pth",
}
TARGET, TEACHER, SECOND = "mobilenetv2_035", "mobilenetv2_100", "tf_efficientnet_lite0"
SIZE, EPOCHS = 128, 6
CPU = torch.device("cpu")


def list_arms(noise: float, target: str = TARGET) -> dict[str, dict[str, Any]]:
    """Return by name what each arm trains; `labels` says what becomes of doubtful ones.

    `whole`: the teachers, which are probes, see the whole image and not the target's crop of it.
    """
    alone = {"n0": target}
    pair = {"n0": target, "n1": target}
    taught = {"n0": target, "n1": TEACHER}
    by_two = {"n0": target, "n1": TEACHER, "n2": SECOND}

    def each_other(**edge: Any) -> dict[str, Any]:
        return {
            "nodes": pair,
            "edges": {
                "label -> n0": {**edge, "peer": "n1"},
                "label -> n1": {**edge, "peer": "n0"},
            },
        }

    soft = {"gate": "cutoff"}, {"temperature": 1.0}
    judged = {"gate": "small_loss", "noise": noise, "over": "kept", "peer": "n1"}

    def two_probes(label: dict[str, Any], **more: Any) -> dict[str, Any]:
        # The gradient of the sum of halves is that towards the mean of both probabilities.
        half = {"temperature": 1.0, "weight": 0.5}
        return {
            "nodes": by_two,
            "edges": {"label -> n0": label, "n1 -> n0": half, "n2 -> n0": half},
            "teacher_epochs": 0,
            "whole": True,
            **more,
        }

    return {
        "probe": {"nodes": alone, "edges": {"label -> n0": {}}, "epochs": 0},
        "alone": {"nodes": alone, "edges": {"label -> n0": {}}},
        "gce": {"nodes": alone, "edges": {"label -> n0": {"loss": "gce"}}},
        "sce": {"nodes": alone, "edges": {"label -> n0": {"loss": "sce", "weight": 0.1}}},
        "bootstrap": {"nodes": alone, "edges": {"label -> n0": {"loss": "bootstrap"}}},
        "small_loss, peer": each_other(gate="small_loss", noise=noise, over="kept"),
        "agree, peer": each_other(gate="agree", over="kept"),
        "gce, small_loss, peer": each_other(
            gate="small_loss", noise=noise, over="kept", loss="gce"
        ),
        "soft labels of a probe": {
            "nodes": taught,
            "edges": {"label -> n0": soft[0], "n1 -> n0": soft[1]},
            "teacher_epochs": 0,
        },
        "probe with cleaned labels": {
            "nodes": taught,
            "edges": {"label -> n0": judged},
            "teacher_epochs": 0,
            "epochs": 0,
        },
        "alone without the suspicious": {
            "nodes": taught,
            "edges": {"label -> n0": judged},
            "teacher_epochs": 0,
        },
        "alone, dropped": {
            "nodes": alone,
            "edges": {"label -> n0": {}},
            "labels": "drop",
        },
        "probe, dropped": {
            "nodes": alone,
            "edges": {"label -> n0": {}},
            "labels": "drop",
            "epochs": 0,
        },
        "alone, weighed": {
            "nodes": alone,
            "edges": {"label -> n0": {}},
            "labels": "weigh",
        },
        "probe, weighed": {
            "nodes": alone,
            "edges": {"label -> n0": {}},
            "labels": "weigh",
            "epochs": 0,
        },
        "probe, relabelled": {
            "nodes": alone,
            "edges": {"label -> n0": {}},
            "labels": "relabel",
            "epochs": 0,
        },
        "soft labels of a probe, dropped": {
            "nodes": taught,
            "edges": {"label -> n0": soft[0], "n1 -> n0": soft[1]},
            "teacher_epochs": 0,
            "labels": "drop",
        },
        "soft labels of a probe, whole": {
            "nodes": taught,
            "edges": {"label -> n0": soft[0], "n1 -> n0": soft[1]},
            "teacher_epochs": 0,
            "whole": True,
        },
        "soft labels of two probes": two_probes(soft[0]),
        "soft labels of two probes, 12 epochs": two_probes(soft[0], epochs=12),
        "soft labels of two probes, relabelled": two_probes(soft[0], labels="relabel"),
        "soft labels of two probes and gce": two_probes({"loss": "gce"}),
        "soft labels of two probes and small_loss": two_probes(judged),
    }


def main() -> None:
    """Append what is missing."""
    parser = make_parser(__doc__, "noisy_labels.jsonl", seeds=5, table=True)
    parser.add_argument("--target", choices=WEIGHTS, default=TARGET)
    parser.add_argument("--arms", nargs="+", choices=list_arms(0.2), help="default: all")
    parser.add_argument("--search", metavar="BUDGET", help="search instead, on all cores: 6m")
    args = parser.parse_args()
    if args.table:
        show(args.output)
        return
    if args.search:
        search(args)
        return
    torch.set_num_threads(1)
    lines = read_lines(args.output)
    # The same in every run: the audit has no seed but its own.
    noise = lines[0]["noise"] if lines else audit(args.shared).noise
    arms = list_arms(round(noise, 2), args.target)
    done = {(row["arm"], row["seed"]) for row in lines if row.get("target", TARGET) == args.target}
    with tempfile.TemporaryDirectory() as place:
        for seed in range(args.seeds):
            for name in args.arms or arms:
                if (name, seed) not in done:
                    data = find_labels(args.shared, arms[name].get("labels", "keep"), Path(place))
                    figures = measure(args.shared, data, arms[name], seed)
                    line = {"arm": name, "seed": seed, "noise": noise, "target": args.target}
                    print(json.dumps(line | figures), flush=True)
                    append_line(args.output, line | figures)


def audit(shared: Path) -> LabelDoubts:
    """Return what MobileNetV2-1.0 doubts of the labels of all 2,000 images, in their order."""
    pool = gather(Data(path=str(shared / SET)))
    node = Node(model=TEACHER, source="imagenet", model_args={"pad_type": "same"}, input_size=SIZE)
    file = SourceFile(path=str(shared / "weights" / WEIGHTS[TEACHER]), mean=(0.5,), std=(0.5,))
    network = build_viewer(node, pool, {"imagenet": file}).network
    assert network is not None
    own = np.array([split != "test" for split in pool.splits])
    rows = [int(name.split()[1]) for name, each in zip(pool.names, own, strict=True) if each]
    order = np.argsort(rows)
    images = pool.images.take(np.flatnonzero(own)[order])
    return doubt_labels(compute_features(network, images, CPU), images.labels)


def find_labels(shared: Path, which: str, folder: Path) -> dict[str, str]:
    """Return `data` of the images with all labels, weighed ones, only sure ones, or proposed ones.

    The files of the last three are made in a folder when first needed.
    """
    if which == "keep":
        return {"path": str(shared / SET)}
    doubts, made = audit(shared), folder / f"{which}.npz"
    with np.load(shared / SET) as file:
        x, y, test = file["x_train"], file["y_train"], (file["x_test"], file["y_test"])
        names = file["classes"]
    if which == "weigh":
        weights = believe_labels(doubts.doubt)
        rows = [f"{row},{names[y[row]]},{weight}\n" for row, weight in enumerate(weights)]
        table = folder / "labels.csv"
        table.write_text("file,label,weight\n" + "".join(rows), encoding="utf-8")
        return {"path": str(shared / SET), "labels": str(table)}
    kept = ~doubts.wrong
    if which == "drop":
        x, y = x[kept], y[kept]
    else:
        y = np.where(doubts.wrong, doubts.proposed, y)
    np.savez(made, x_train=x, y_train=y, x_test=test[0], y_test=test[1])
    return {"path": str(made)}


def measure(shared: Path, data: dict[str, str], arm: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train one arm on all labelled images and return its accuracy on clean test labels."""
    epochs = arm.get("epochs", EPOCHS)
    nodes = {name: describe_node(arm, name) for name in arm["nodes"]}
    graph = parse(
        {
            "data": {**data, "batch_size": 32},
            "train": {"seed": seed, "epochs": epochs},
            "weights": {
                model: {"path": str(shared / "weights" / name), "mean": [0.5], "std": [0.5]}
                for model, name in WEIGHTS.items()
                if model in arm["nodes"].values()
            },
            "nodes": nodes,
            "edges": arm["edges"],
        }
    )
    started = time.process_time()
    # Teachers are made and asked once for all seeds: their probes draw nothing.
    given = {"final": True, "device": "cpu", "cache": cache_folder()}
    training = Training(graph, open_data(graph.data), **given)
    for _ in training:
        pass
    test = open_test(graph.data)
    predicted = training.predict(test).argmax(1).numpy()
    return {
        "epochs": epochs,
        "accuracy": round(float((predicted == np.asarray(test.labels)).mean()), 4),
        "cpu_s": round(time.process_time() - started, 1),
        "images": len(training.images),
    }


def search(args: argparse.Namespace) -> None:
    """Append what `ktg search` finds in a folder with these labels, and its graph's accuracies.

    The folder has the noisy labels for training and validation, and the clean test split. The graph
    is trained again with every seed, on as many threads as there are cores.
    """
    keys = {"arm": f"search, {args.search}", "target": TARGET}
    lines = [line for line in read_lines(args.output) if line["arm"] == keys["arm"]]
    given = argparse.Namespace(shared=args.shared, budget=args.search, size=SIZE)
    with tempfile.TemporaryDirectory() as temporary:
        what = RealSet(SET.removeprefix("data/"))
        place = make_folder(args.shared, what, Path(temporary).resolve())
        os.environ["KTG_ZOO"] = str(folder.make_zoo(args.shared))
        if not any(line["seed"] is None for line in lines):
            lines.append({**keys, "seed": None, **folder.search_folder(given, place)})
            append_line(args.output, lines[-1])
        done = {line["seed"] for line in lines}
        for seed in range(args.seeds):
            if seed not in done:
                started = time.process_time()
                figures = folder.train_graph(folder.take_graph(lines, place), seed)
                line = {**keys, "seed": seed, "accuracy": round(figures["accuracy"], 4)}
                line["cpu_s"] = round(time.process_time() - started, 1)
                print(json.dumps(line), flush=True)
                append_line(args.output, line)


def describe_node(arm: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a node of an arm as a graph file has it."""
    model, teaches = arm["nodes"][name], name != "n0" and "teacher_epochs" in arm
    node = {"model": model, "source": "imagenet", "input_size": SIZE, "head": "probe"}
    if model.startswith("mobilenetv2"):
        node["model_args"] = {"pad_type": "same"}
    if teaches:
        node["epochs"] = arm["teacher_epochs"]
    if teaches and arm.get("whole"):
        node["augment"] = "none"
    return node


def show(path: Path) -> None:
    """Print each arm's mean accuracy, its device time, and what it gains on the probe and alone.

    Differences are paired by seed; 95 %, Student's t. The probe is the same for every seed.
    """
    found: dict[tuple[str, str], dict[int, dict[str, Any]]] = defaultdict(dict)
    for row in read_lines(path):
        if row["seed"] is not None:  # else a line with what a search found
            found[row.get("target", TARGET), row["arm"]][row["seed"]] = row
    values = {
        key: {seed: row["accuracy"] for seed, row in rows.items()} for key, rows in found.items()
    }
    for target, arm in sorted(values, key=lambda key: (key[0], -mean(values[key]))):
        own, seconds = values[target, arm], [row["cpu_s"] for row in found[target, arm].values()]
        gains = [
            f"minus {other} {show_gain(pair(own, values[target, other]))}"
            for other in ("probe", "alone")
            if other != arm and (target, other) in values
        ]
        print(
            f"{target} {arm:40} {show_values(own)} % (n = {len(own)}), "
            f"{statistics.fmean(seconds):.0f} CPU s; {'; '.join(gains)}"
        )


def mean(values: dict[int, float]) -> float:
    """Return the mean over seeds."""
    return statistics.fmean(values.values())


if __name__ == "__main__":
    main()
