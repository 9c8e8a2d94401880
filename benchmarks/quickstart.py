"""Whether the quickstart's winner is really better: test accuracy over many seeds, beside the baselines.

Runs the search of search_spaces/quickstart.yaml once, then trains its best graph, the three baselines, and the target
alone at the winner's learning rate, with seeds that the search has never used, and reads the test split. Differences to
training alone are paired by seed, with a 95 % bootstrap interval.

    python benchmarks/quickstart.py --seeds 20        # about ten minutes on two cores
"""

import argparse
import contextlib
import dataclasses
import statistics
import tempfile
from pathlib import Path
from typing import Any

import measure
import numpy as np

from ktg.confirm import confirm
from ktg.files import load_graph
from ktg.searching.baselines import baselines
from ktg.searching.run import search
from ktg.space import SearchSpace, load_space
from ktg.spec import Graph, dump
from ktg.tracking import MemoryTracker, MlflowTracker

SPACE = Path(__file__).parents[1] / "search_spaces" / "quickstart.yaml"


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1000, help="first of the seeds; the search itself uses 0")
    parser.add_argument("--graph", type=Path, help="a best.yaml of this space; default: search for one now")
    args = parser.parse_args()
    space = load_space(SPACE)
    best = load_graph(args.graph) if args.graph else searched(space)
    known = baselines(space)
    graphs = {"best graph": best, **known, "alone, winner's learning rate": at_rate(known["alone"], best)}
    accuracies = {name: test_accuracies(graph, args) for name, graph in graphs.items()}
    rows = {name: row(values, accuracies["alone"]) for name, values in accuracies.items()}
    measure.write("quickstart", {"seeds": args.seeds, "first": args.first}, {"test": rows, "best": dump(best)})


def searched(space: SearchSpace) -> Graph:
    """Return the best graph of a search, which is written nowhere that lasts."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), MlflowTracker("quickstart") as tracker:
        found = search(space, "quickstart", tracker)
    if found.best is None:
        raise SystemExit("no trial finished")
    return found.best


def at_rate(graph: Graph, other: Graph) -> Graph:
    """Return the graph with another one's learning rate."""
    return dataclasses.replace(graph, train=dataclasses.replace(graph.train, lr=other.train.lr))


def test_accuracies(graph: Graph, args: argparse.Namespace) -> list[float]:
    """Return the test accuracy for every seed."""
    seeded = dataclasses.replace(graph, train=dataclasses.replace(graph.train, seed=args.first))
    return [run.accuracy for run in confirm(seeded, args.seeds, MemoryTracker()).runs]


def row(values: list[float], reference: list[float]) -> dict[str, Any]:
    """Return mean, spread, and the paired difference to the reference with its interval."""
    differences = np.subtract(values, reference)
    drawn = np.random.default_rng(0).choice(differences, (10_000, len(differences))).mean(axis=1)
    return {
        "n": len(values),
        "mean": statistics.fmean(values),
        "std": statistics.stdev(values),
        "minus_alone": float(differences.mean()),
        "interval": np.quantile(drawn, [0.025, 0.975]).tolist(),
        "accuracies": values,
    }


if __name__ == "__main__":
    main()
