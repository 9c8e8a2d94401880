"""Measures which nodes of a graph should start pretrained.

Repeats the published study on any space whose holes are the sources of its nodes: it trains every
different graph with several seeds and reads the test split once for each. The result has the mean,
its spread, and the difference from the graph without pretraining, paired by seed, with a 95 %
interval of Student's t.

    python benchmarks/pretraining_study.py benchmarks/spaces/pretraining_imagenet.yaml --seeds 3
"""

import argparse
import dataclasses
import itertools
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measure
import torch
from options import make_parser
from scipy import stats

from ktg.graph import Graph, SearchSpace, load_space
from ktg.graph.canonical import canonical_key
from ktg.searching.seeds import train_seeds
from ktg.tracking import MemoryTracker


def main() -> None:
    """Train and write benchmarks/results/NAME.json."""
    parser = make_parser(__doc__, seeds=3)
    parser.add_argument("space", type=Path)
    parser.add_argument("--first", type=int, default=0, help="first of the seeds")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    space = load_space(args.space)
    found = {row: test_accuracies(graph, args) for row, graph in name_graphs(space)}
    nothing = next(iter(found.values()))
    table = {row: summarise(values, nothing) for row, values in found.items()}
    config = {"space": args.space.name, "seeds": args.seeds, "first": args.first}
    measure.write(args.space.stem, config, {"test": table})


def name_graphs(space: SearchSpace) -> Iterator[tuple[str, Graph]]:
    """Yield every different graph, the space's default first, named by the sources of its nodes."""
    seen = set()
    for values in itertools.product(*(hole.options_to_check() for hole in space.holes.values())):
        graph = space.bind(dict(zip(space.holes, values, strict=True)))
        if canonical_key(graph) not in seen:
            seen.add(canonical_key(graph))
            yield ", ".join(f"{name} {node.source}" for name, node in graph.nodes.items()), graph


def test_accuracies(graph: Graph, args: argparse.Namespace) -> list[float]:
    """Return the target's test accuracy for every seed."""
    seeded = dataclasses.replace(graph, train=dataclasses.replace(graph.train, seed=args.first))
    return [run.accuracy for run in train_seeds(seeded, args.seeds, MemoryTracker()).runs]


def summarise(values: list[float], reference: list[float]) -> dict[str, Any]:
    """Return mean, spread, and the paired difference from the reference with its interval."""
    differences = [value - other for value, other in zip(values, reference, strict=True)]
    row: dict[str, Any] = {"n": len(values), "mean": statistics.fmean(values), "accuracies": values}
    if len(values) > 1:
        row["std"] = statistics.stdev(values)
        half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(differences)
        mean = statistics.fmean(differences)
        row["minus_nothing"], row["interval"] = mean, [mean - half, mean + half]
    return row


if __name__ == "__main__":
    main()
