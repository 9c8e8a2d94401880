"""Compares sides of images at equal time: few epochs of large images, or many of small ones.

Four sets of photographs with all their labels, one pretrained network trained by its recipe, head
as a probe first. At each side it has the epochs that take as long as those at 96 pixels, at least
one; with none it is the probe. What is judged are test images. One line is appended for each
training, so the script may be interrupted.

    python benchmarks/sides.py SHARED --weights imagenet_035 --epochs 12
    python benchmarks/sides.py SHARED --weights lite0 --epochs 8 --sets wbc4
    python benchmarks/sides.py SHARED --table

SHARED holds data/ and weights/.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import folder
import rivals
import torch
from lines import Line, append_line, read_lines
from rivals import WEIGHTS

from ktg.graph import Graph, parse
from ktg.intervals import paired_mean_interval

LEAST, SIDES = 96, (96, 128, 160)
SETS = {name: folder.SETS[name] for name in ("cats_dogs", "flowers", "wbc4", "rsscn7")}
KEYS = ("set", "weights", "side", "epochs", "seed")


def main() -> None:
    """Append what is missing, or show the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shared", type=Path)
    results = Path(__file__).parent / "results/sides.jsonl"
    parser.add_argument("-o", "--output", type=Path, default=results)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--weights", nargs="+", default=["imagenet_035"], choices=WEIGHTS)
    parser.add_argument("--epochs", type=int, default=12, help=f"at {LEAST} pixels")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if args.table:
        print("\n".join(show(read_lines(args.output))))
        return
    torch.set_num_threads(1)
    done = {tuple(row[key] for key in KEYS) for row in read_lines(args.output)}
    for seed, name in itertools.product(range(args.seeds), args.sets):
        with tempfile.TemporaryDirectory() as temporary:
            place = rivals.make_folder(args.shared, SETS[name], Path(temporary).resolve())
            for weights, side in itertools.product(args.weights, SIDES):
                for epochs in (0, max(1, round(args.epochs * (LEAST / side) ** 2))):
                    key = (name, weights, side, epochs, seed if epochs else 0)
                    if key in done:
                        continue
                    done.add(key)
                    graph = make_graph(args.shared.absolute(), place, weights, side, epochs)
                    started = time.process_time()
                    figures: Line = folder.train_graph(graph, seed)
                    figures["cpu_s"] = round(time.process_time() - started, 1)
                    append_line(args.output, dict(zip(KEYS, key, strict=True)) | figures)
                    print(*key, round(figures[SETS[name].metric], 3), flush=True)


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


def show(rows: list[Line]) -> list[str]:
    """Return a line for each set, weights, side and length, and for the mean of the sets.

    Each has its difference from the trained network at the least side, paired by seed.
    """
    runs: dict[tuple[str, str, int, int], dict[int, float]] = defaultdict(dict)
    for row in rows:
        arm = (row["weights"], row["set"], row["side"], row["epochs"])
        runs[arm][row["seed"]] = 100 * row[SETS[row["set"]].metric]
    found, pooled = [], defaultdict(list)
    for (weights, name, side, epochs), values in sorted(runs.items()):
        base = next(
            other
            for (of, also, at, length), other in runs.items()
            if (of, also, at) == (weights, name, LEAST) and length
        )
        gains = rivals.pair(values if epochs else dict.fromkeys(base, values[0]), base)
        kind = "trained" if epochs else "probe"
        pooled[weights, side, kind].append(statistics.fmean(gains))
        line = f"{weights} {name} {side} px, {epochs} epochs: {rivals.show_values(scale(values))}"
        found.append(f"{line}  {statistics.fmean(gains):+.1f}")
    for (weights, side, kind), gains in sorted(pooled.items()):
        low, high = paired_mean_interval(gains) if len(gains) > 1 else (gains[0], gains[0])
        mean = statistics.fmean(gains)
        found.append(
            f"{weights} {side} px, {kind}: {mean:+.1f} ({low:+.1f} to {high:+.1f}), "
            f"{len(gains)} sets"
        )
    return found


def scale(values: dict[int, float]) -> dict[int, float]:
    """Return percentages as fractions."""
    return {seed: value / 100 for seed, value in values.items()}


if __name__ == "__main__":
    main()
