"""Compares longer last trainings of graphs that searches found, on test images, seed by seed.

The graphs are those of proof.jsonl, each with its own lines of five seeds there. Here each is
trained with the same seeds for TIMES as many epochs and steps, on all images but the test split;
warm-up is lengthened, too, which the lines of the arm `search` were made without.

    python benchmarks/refit.py SHARED                      # all that is missing; hours on one core
    python benchmarks/refit.py SHARED --sets magtile --size 160 --times 3
    python benchmarks/refit.py SHARED --table              # what is in the file, as a table

One line is appended for each training, so the script may be interrupted and goes on where it was.
SHARED holds data/ and weights/.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import folder
import proof
import rivals
import torch
from lines import Line, read_lines
from options import RESULTS, make_parser

from ktg.graph.length import with_epochs

KEYS = ("set", "arm", "size", "budget")


def main() -> None:
    """Measure what is missing, or show the table."""
    parser = make_parser(__doc__, "refit.jsonl", seeds=5, table=True)
    parser.add_argument("--graphs", type=Path, default=RESULTS / "proof.jsonl")
    parser.add_argument("--sets", nargs="+", default=list(proof.SETS), choices=proof.SETS)
    parser.add_argument("--arms", nargs="+", default=[proof.OURS, proof.ALONE])
    parser.add_argument("--size", type=int)
    parser.add_argument("--budget")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if args.table:
        print("\n".join(compare(read_lines(args.graphs), read_lines(args.output))))
        return
    torch.set_num_threads(args.threads)
    os.environ["KTG_ZOO"] = str(folder.make_zoo(args.shared))
    for found in list_graphs(args):
        measure_graph(args, found)


def list_graphs(args: argparse.Namespace) -> Iterator[Line]:
    """Yield the lines of the searches that are asked for."""
    for line in read_lines(args.graphs):
        if line["seed"] is None and line["set"] in args.sets and line["arm"] in args.arms:
            known = args.size in (None, line["size"]) and args.budget in (None, line["budget"])
            if known and line["graph"]["train"]["epochs"]:
                yield line


def measure_graph(args: argparse.Namespace, found: Line) -> None:
    """Append the missing lines of a graph."""
    keys = {**{key: found[key] for key in KEYS}, "times": args.times}
    done = {line["seed"] for line in read_lines(args.output) if keys.items() <= line.items()}
    missing = [seed for seed in range(args.seeds) if seed not in done]
    if not missing:
        return
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary).resolve()
        rivals.make_folder(args.shared, proof.SETS[found["set"]], place)
        graph = folder.take_graph([found], place)
        graph = with_epochs(graph, args.times * graph.train.epochs)
        for seed in missing:
            started = time.perf_counter()
            figures = folder.train_graph(graph, seed)
            took = {"seconds": round(time.perf_counter() - started, 1), "threads": args.threads}
            rivals.record(args.output, {**keys, "seed": seed, **figures, **took})


def compare(once: list[Line], longer: list[Line]) -> list[str]:
    """Return a table in Markdown: each graph's means, and what the longer training is worth.

    Differences are paired by seed; 95 %, Student's t; the last row has the mean over graphs.
    """
    rows = ["| graph of | as found | longer | minus as found |", "|---|---|---|---|"]
    gains: dict[int, list[float]] = {}
    for line in once:
        if line["seed"] is not None:
            continue
        keys = {key: line[key] for key in KEYS}
        mine = select(once, keys, proof.SETS)
        for times in sorted({other["times"] for other in longer if keys.items() <= other.items()}):
            theirs = select(longer, {**keys, "times": times}, proof.SETS)
            gain = rivals.pair(theirs, mine)
            if gain:
                gains.setdefault(times, []).append(sum(gain) / len(gain))
            name = f"{line['set']}, {line['arm']}, {line['size']} px, {line['budget']}"
            cells = [name, rivals.show_values(mine), f"{rivals.show_values(theirs)} (x {times})"]
            rows.append(f"| {' | '.join([*cells, rivals.show_gain(gain)])} |")
    for times, gain in gains.items():
        rows.append(f"| mean of {len(gain)} graphs, x {times} | | | {rivals.show_gain(gain)} |")
    return rows


def select(lines: list[Line], keys: Line, sets: dict[str, rivals.RealSet]) -> dict[int, float]:
    """Return the values of the lines with these keys, by seed, in the metric of their set."""
    return {
        line["seed"]: line[sets[line["set"]].metric]
        for line in lines
        if line["seed"] is not None and keys.items() <= line.items()
    }


if __name__ == "__main__":
    main()
