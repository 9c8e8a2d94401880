"""Compares ways to train a small network on labels of which people got 39 % wrong (cifar10n).

2,000 images of CIFAR-10 with the "worse" labels of real annotators, MobileNetV2-0.35 from ImageNet
at 128 px as the target, the clean test split; seeds 0 to 4. Arms: a regularised probe, alone by the
default recipe, alone with `gce`, `sce` or `bootstrap`, two networks that choose for each other by
`small_loss` or `agree`, soft labels of the probe of a MobileNetV2-1.0 in place of the labels, what
that probe does not doubt, alone and the probe without what the audit doubts, and the probe with its
proposals. Nothing but the test accuracy sees a
clean label: the noise and the doubts are estimated from the noisy ones. One line is appended for
each training, so the script may be interrupted and goes on where it stopped.

    python benchmarks/noisy_labels.py SHARED            # 5 seeds; some hours on one core
    python benchmarks/noisy_labels.py SHARED --seeds 1 --arms probe "small_loss, peer"
    python benchmarks/noisy_labels.py SHARED --table    # what is in the file, as a table

SHARED holds data/ and weights/.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lines import append_line, read_lines

from ktg.auditing.doubtful_labels import LabelDoubts, doubt_labels
from ktg.auditing.features import compute_features
from ktg.auditing.networks import build_viewer
from ktg.auditing.pool import gather
from ktg.data.open import open_data, open_test
from ktg.graph import Data, Node, SourceFile, parse
from ktg.training import Training

SET = "data/cifar10n/cifar10n.npz"
WEIGHTS = {
    "mobilenetv2_035": "mobilenetv2_035.imagenet.pth",
    "mobilenetv2_100": "mobilenetv2_100.imagenet.pth",
}
TARGET, TEACHER, SIZE, EPOCHS = "mobilenetv2_035", "mobilenetv2_100", 128, 6
CPU = torch.device("cpu")


def list_arms(noise: float) -> dict[str, dict[str, Any]]:
    """Return by name what each arm trains; `labels` says what becomes of doubtful ones."""
    alone = {"n0": TARGET}
    pair = {"n0": TARGET, "n1": TARGET}
    taught = {"n0": TARGET, "n1": TEACHER}

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
    }


def main() -> None:
    """Append what is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shared", type=Path)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(__file__).parent / "results/noisy_labels.jsonl"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--arms", nargs="+", choices=list_arms(0.2), help="default: all")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if args.table:
        show(args.output)
        return
    args.shared = args.shared.absolute()
    torch.set_num_threads(1)
    doubts = audit(args.shared)
    print(f"estimated noise: {doubts.noise:.3f}", flush=True)
    arms = list_arms(round(doubts.noise, 2))
    done = {(row["arm"], row["seed"]) for row in read_lines(args.output)}
    with tempfile.TemporaryDirectory() as folder:
        files = write_labels(args.shared, doubts, Path(folder))
        for seed in range(args.seeds):
            for name in args.arms or arms:
                if (name, seed) not in done:
                    figures = measure(args.shared, files, arms[name], seed)
                    line = {"arm": name, "seed": seed, "epochs": EPOCHS, "noise": doubts.noise}
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


def write_labels(shared: Path, doubts: LabelDoubts, folder: Path) -> dict[str, Path]:
    """Return files of the images with all labels, without doubtful ones, and with proposed ones."""
    with np.load(shared / SET) as file:
        x, y, test = file["x_train"], file["y_train"], (file["x_test"], file["y_test"])
    kept = ~doubts.wrong
    versions = {
        "keep": (x, y),
        "drop": (x[kept], y[kept]),
        "relabel": (x, np.where(doubts.wrong, doubts.proposed, y)),
    }
    found = {}
    for name, (images, labels) in versions.items():
        found[name] = folder / f"{name}.npz"
        np.savez(found[name], x_train=images, y_train=labels, x_test=test[0], y_test=test[1])
    return found


def measure(shared: Path, files: dict[str, Path], arm: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train one arm on all labelled images and return its accuracy on clean test labels."""
    epochs = arm.get("epochs", EPOCHS)
    nodes = {
        name: {
            "model": model,
            "source": "imagenet",
            "input_size": SIZE,
            "model_args": {"pad_type": "same"},
            "head": "probe",
            **(
                {"epochs": arm["teacher_epochs"]}
                if name == "n1" and "teacher_epochs" in arm
                else {}
            ),
        }
        for name, model in arm["nodes"].items()
    }
    graph = parse(
        {
            "data": {"path": str(files[arm.get("labels", "keep")]), "batch_size": 32},
            "train": {"seed": seed, "epochs": epochs},
            "weights": {
                model: {"path": str(shared / "weights" / file), "mean": [0.5], "std": [0.5]}
                for model, file in WEIGHTS.items()
                if model in arm["nodes"].values()
            },
            "nodes": nodes,
            "edges": arm["edges"],
        }
    )
    started = time.process_time()
    training = Training(graph, open_data(graph.data), final=True, device="cpu")
    for _ in training:
        pass
    test = open_test(graph.data)
    predicted = training.predict(test).argmax(1).numpy()
    return {
        "accuracy": round(float((predicted == np.asarray(test.labels)).mean()), 4),
        "cpu_s": round(time.process_time() - started, 1),
        "images": len(training.images),
    }


def show(path: Path) -> None:
    """Print the mean accuracy of each arm, its spread and its device time."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read_lines(path):
        found[row["arm"]].append(row)
    for arm, rows in sorted(found.items(), key=lambda item: -mean_of(item[1], "accuracy")):
        values = [100 * row["accuracy"] for row in rows]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        seconds = mean_of(rows, "cpu_s")
        print(
            f"{arm:34} {statistics.fmean(values):5.1f} +- {spread:.1f} % (n = {len(values)}), "
            f"{seconds:5.0f} CPU s"
        )


def mean_of(rows: list[dict[str, Any]], name: str) -> float:
    """Return the mean of a figure."""
    return statistics.fmean(row[name] for row in rows)


if __name__ == "__main__":
    main()
