"""Compares the two ways in which oblong images become squares: their centres, or all of them.

Magnetic tiles (three by four; a defect is often at the border) and cats and dogs (photographs of
many shapes), MobileNetV2-0.35 from ImageNet, test images. Arms: the probe of the frozen network,
and its recipe for ten epochs. The rates of the classes are balanced in the loss; the score is the
balanced accuracy. One line is appended for each training, so the script may be interrupted.

    python benchmarks/squares.py SHARED            # 5 seeds; about an hour on one core
    python benchmarks/squares.py SHARED --table

SHARED holds data/ and weights/.
"""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lines import append_line, read_lines
from options import make_parser
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from ktg.data.open import open_data, open_test
from ktg.graph import Graph, parse
from ktg.intervals import paired_mean_interval
from ktg.training import Training

SETS = {"magtile": 160, "cats_dogs": 96}  # and the side of the images in pixels
WAYS = ("crop", "stretch")
EPOCHS = {"probe": 0, "recipe": 10}
MODEL, FILE = "mobilenetv2_035", "mobilenetv2_035.imagenet.pth"
KEYS = ("set", "arm", "resize", "seed")


def main() -> None:
    """Append what is missing, or show the table."""
    parser = make_parser(__doc__, "squares.jsonl", seeds=5, table=True)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    args = parser.parse_args()
    rows = read_lines(args.output)
    if args.table:
        show(rows)
        return
    torch.set_num_threads(1)
    done = {tuple(row[key] for key in KEYS) for row in rows}
    for seed in range(args.seeds):
        for name in args.sets:
            for arm in EPOCHS:
                for way in WAYS:
                    key = (name, arm, way, seed if EPOCHS[arm] else 0)  # a probe draws nothing
                    if key not in done:
                        done.add(key)
                        figures = measure(make_graph(args.shared, *key))
                        line = dict(zip(KEYS, key, strict=True)) | figures
                        print(json.dumps(line), flush=True)
                        append_line(args.output, line)


def make_graph(shared: Path, name: str, arm: str, way: str, seed: int) -> Graph:
    """Return the graph of one training; the images and the split are the same for all seeds."""
    data = {"path": str(shared / "data" / name), "size": SETS[name], "resize": way}
    node = {"model": MODEL, "source": "imagenet", "model_args": {"pad_type": "same"}}
    weights = {"path": str(shared / "weights" / FILE), "mean": [0.5], "std": [0.5]}
    return parse(
        {
            "data": {**data, "batch_size": 32, "balance": "loss"},
            "train": {"epochs": EPOCHS[arm], "seed": seed},
            "weights": {MODEL: weights},
            "nodes": {"n0": {**node, "head": "probe"}},
            "edges": {"label -> n0": {}},
        }
    )


def measure(graph: Graph) -> dict[str, Any]:
    """Train a graph on all but the test images and return its scores on these."""
    started = time.process_time()
    training = Training(graph, open_data(graph.data), final=True, device="cpu")
    for _ in training:
        pass
    test = open_test(graph.data)
    truth, said = np.asarray(test.labels), training.predict(test).argmax(1).numpy()
    return {
        "balanced_accuracy": round(float(balanced_accuracy_score(truth, said)), 4),
        "accuracy": round(float(accuracy_score(truth, said)), 4),
        "cpu_s": round(time.process_time() - started, 1),
    }


def show(rows: list[dict[str, Any]]) -> None:
    """Print both ways for each set and arm, and their difference, seed by seed."""
    for name in SETS:
        for arm in EPOCHS:
            found = {
                way: {
                    row["seed"]: 100 * row["balanced_accuracy"]
                    for row in rows
                    if (row["set"], row["arm"], row["resize"]) == (name, arm, way)
                }
                for way in WAYS
            }
            shared = sorted(found["crop"].keys() & found["stretch"].keys())
            if not shared:
                continue
            told = [f"{way} {statistics.fmean(found[way].values()):.1f}" for way in WAYS]
            gain = [found["stretch"][seed] - found["crop"][seed] for seed in shared]
            if len(gain) > 1:
                low, high = paired_mean_interval(gain)
                told.append(f"{statistics.fmean(gain):+.1f} ({low:+.1f} to {high:+.1f})")
            print(f"{name}, {SETS[name]} px, {arm}: {', '.join(told)}, n = {len(shared)}")


if __name__ == "__main__":
    main()
