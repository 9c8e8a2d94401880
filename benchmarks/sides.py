"""Compares sides of images at equal time: few epochs of large images, or many of small ones.

Four sets of photographs with all their labels, one pretrained network trained by its recipe, head
as a probe first. At each side it has the epochs that take as long as those at 96 pixels, at least
one; with none it is the probe. What is judged are test images. One line is appended for each
training, so the script may be interrupted.

    python benchmarks/sides.py SHARED --weights imagenet_035 --epochs 12
    python benchmarks/sides.py SHARED --weights lite0 --epochs 8 --sets wbc4
    python benchmarks/sides.py SHARED --weights lite0 --epochs 8 --table
    python benchmarks/sides.py SHARED --sets flowers --arms 160:4 160:7   # side:epochs; no table

SHARED holds data/ and weights/.
"""

import itertools
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import folder
import rivals
import torch
from lines import Line, append_line, read_lines
from options import make_parser
from rivals import WEIGHTS

from ktg.graph import Graph, parse

LEAST, SIDES = 96, (96, 128, 160)
SETS = ("cats_dogs", "flowers", "wbc4", "rsscn7")
KEYS = ("set", "weights", "side", "epochs", "seed")


def main() -> None:
    """Append what is missing, or show the table."""
    parser = make_parser(__doc__, "sides.jsonl", seeds=2, table=True)
    parser.add_argument("--sets", nargs="+", default=SETS, choices=folder.SETS)
    parser.add_argument("--weights", default="imagenet_035", choices=WEIGHTS)
    parser.add_argument("--epochs", type=int, default=12, help=f"at {LEAST} pixels")
    parser.add_argument("--arms", nargs="+", type=read_arm, help="default: those at equal time")
    args = parser.parse_args()
    if args.table:
        print("\n".join(show(read_lines(args.output), args.weights, args.epochs)))
        return
    arms = args.arms or list_arms(args.epochs)
    torch.set_num_threads(1)
    done = {tuple(row[key] for key in KEYS) for row in read_lines(args.output)}
    for seed, name in itertools.product(range(args.seeds), args.sets):
        with tempfile.TemporaryDirectory() as temporary:
            place = rivals.make_folder(args.shared, folder.SETS[name], Path(temporary).resolve())
            for side, epochs in arms:
                key = (name, args.weights, side, epochs, seed if epochs else 0)
                if key in done:
                    continue
                done.add(key)
                graph = make_graph(args.shared, place, args.weights, side, epochs)
                started = time.process_time()
                figures: Line = folder.train_graph(graph, seed)
                figures["cpu_s"] = round(time.process_time() - started, 1)
                append_line(args.output, dict(zip(KEYS, key, strict=True)) | figures)
                print(*key, round(figures[folder.SETS[name].metric], 3), flush=True)


def read_arm(text: str) -> tuple[int, int]:
    """Return side and epochs of `160:4`."""
    side, epochs = text.split(":")
    return int(side), int(epochs)


def list_arms(epochs: int) -> list[tuple[int, int]]:
    """Return side and epochs of all arms: by side the probe, and the training at equal time."""
    lengths = itertools.product(SIDES, (0, epochs))
    return [(side, shorten(length, side)) for side, length in lengths]


def shorten(epochs: int, side: int) -> int:
    """Return the epochs at a side that take as long as these at 96 pixels; 0 is 0."""
    return max(1, round(epochs * (LEAST / side) ** 2)) if epochs else 0


def make_graph(shared: Path, place: Path, weights: str, side: int, epochs: int) -> Graph:
    """Return the graph of one training, or of a probe."""
    of = WEIGHTS[weights]
    data = {"path": str(place / rivals.LABELLED), "size": side, "batch_size": 32}
    node = {"model": of.model, "source": "imagenet", "model_args": dict(of.args), "head": "probe"}
    file = {"path": str(shared / "weights" / of.file), "mean": [0.5], "std": [0.5]}
    return parse(
        {
            "data": data,
            "train": {"epochs": epochs},
            "weights": {of.model: file},
            "nodes": {"n0": node},
            "edges": {"label -> n0": {}},
        }
    )


def show(rows: list[Line], weights: str, epochs: int) -> list[str]:
    """Return a table in Markdown: each side's probe and training, minus that at 96 pixels."""
    runs: dict[tuple[str, int, int], dict[int, float]] = defaultdict(dict)
    for row in rows:
        if row["weights"] == weights:
            arm = (row["set"], row["side"], row["epochs"])
            runs[arm][row["seed"]] = row[folder.SETS[row["set"]].metric]
    arms = sorted(list_arms(epochs), key=lambda arm: arm[1] > 0)
    head = [f"{side} px, {length or 'probe'}" for side, length in arms]
    found = [f"| set | {' | '.join(head)} |", "|" + "---|" * (1 + len(arms))]
    gains: dict[tuple[int, int], list[float]] = defaultdict(list)
    for name in SETS:
        base, cells = runs.get((name, LEAST, epochs), {}), []
        for side, length in arms:
            values = runs.get((name, side, length), {})
            # A probe draws nothing: what it has stands against every seed.
            mine = values if length else {seed: one for one in values.values() for seed in base}
            gain = rivals.pair(mine, base)
            gains[side, length] += gain
            cells.append(f"{rivals.show_values(values)} ({rivals.show_gain(gain)})")
        found.append(f"| {name} | {' | '.join(cells)} |")
    cells = [rivals.show_gain(gains[arm]) for arm in arms]
    return [*found, f"| all pairs | {' | '.join(cells)} |"]


if __name__ == "__main__":
    main()
