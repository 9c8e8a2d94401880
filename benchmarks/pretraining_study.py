"""Which nodes of a graph should start pretrained? The shape of the published study, on any space like it.

Trains every different graph of a space whose holes are the nodes' sources, with several seeds, and
reads the test split once for each. Beside the mean and its spread stands the difference to the row
in which nothing is pretrained, paired by seed, with a 95 % interval of Student's t.

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
from scipy import stats

from ktg.graph import Graph, SearchSpace, load_space
from ktg.graph.canonical import canonical_key
from ktg.searching.seeds import train_seeds
from ktg.tracking import MemoryTracker


def main() -> None:
    """Train and write benchmarks/results/NAME.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("space", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="first of the seeds")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    space = load_space(args.space)
    found = {row: accuracies(graph, args) for row, graph in rows(space)}
    nothing = next(iter(found.values()))
    table = {row: figures(values, nothing) for row, values in found.items()}
    config = {"space": args.space.name, "seeds": args.seeds, "first": args.first}
    measure.write(args.space.stem, config, {"test": table})


def rows(space: SearchSpace) -> Iterator[tuple[str, Graph]]:
    """Yield every different graph with its name: the sources of its nodes. The space's defaults come first."""
    seen = set()
    for values in itertools.product(*(hole.options_to_check() for hole in space.holes.values())):
        graph = space.bind(dict(zip(space.holes, values, strict=True)))
        if canonical_key(graph) not in seen:
            seen.add(canonical_key(graph))
            yield ", ".join(f"{name} {node.source}" for name, node in graph.nodes.items()), graph


def accuracies(graph: Graph, args: argparse.Namespace) -> list[float]:
    """Return the target's test accuracy for every seed."""
    seeded = dataclasses.replace(graph, train=dataclasses.replace(graph.train, seed=args.first))
    return [run.accuracy for run in train_seeds(seeded, args.seeds, MemoryTracker()).runs]


def figures(values: list[float], reference: list[float]) -> dict[str, Any]:
    """Return mean, spread, and the paired difference to the reference with its interval."""
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
