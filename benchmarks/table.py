"""Trains every different graph of a small space to its end: a table on which searches can be replayed in seconds.

One line of JSON for a graph: its values (the first of all that are the same graph), and the
target's accuracy and loss on the validation split after every epoch. A second run goes on where the
first one ended.

    python benchmarks/table.py                    # about two hours on one core
"""

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measure
import torch

from ktg.data import Dataset, open_data
from ktg.errors import SpecError
from ktg.graph import Graph, SearchSpace, load_space
from ktg.graph.canonical import canonical_key, check_trainable
from ktg.training import Training

SPACE = Path(__file__).parent / "spaces" / "table.yaml"


def main() -> None:
    """Train what the table lacks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=measure.RESULTS / "table.jsonl")
    args = parser.parse_args()
    torch.set_num_threads(1)
    space = load_space(SPACE)
    graphs = dict(different(space))
    known = (
        {json.loads(line)["key"] for line in args.out.read_text().splitlines()}
        if args.out.exists()
        else set()
    )
    data = open_data(next(iter(graphs.values()))[1].data)
    with args.out.open("a", encoding="utf-8") as out:
        for number, (name, (values, graph)) in enumerate(graphs.items()):
            if name not in known:
                line = {"key": name, "values": list(values.values()), **curves(graph, data)}
                out.write(json.dumps(line) + "\n")
                out.flush()
            if number % 50 == 0:
                print(f"{number} of {len(graphs)}", flush=True)


def different(space: SearchSpace) -> Iterator[tuple[str, tuple[dict[str, Any], Graph]]]:
    """Yield the key of every different graph that teaches its target, with values that make it."""
    seen = set()
    for options in itertools.product(*(hole.options_to_check() for hole in space.holes.values())):
        values = dict(zip(space.holes, options, strict=True))
        graph = space.bind(values)
        try:
            check_trainable(graph)
        except SpecError:
            continue
        if canonical_key(graph) not in seen:
            seen.add(canonical_key(graph))
            yield canonical_key(graph), (values, graph)


def curves(graph: Graph, data: Dataset) -> dict[str, Any]:
    """Return the target's validation accuracy and loss after every epoch, and the seconds of one epoch."""
    started = time.perf_counter()
    figures = [epoch.nodes[epoch.target] for epoch in Training(graph, data)]
    seconds = (time.perf_counter() - started) / len(figures)
    accuracies = [round(figure.val_accuracy or 0.0, 4) for figure in figures]
    losses = [round(figure.val_loss or 0.0, 4) for figure in figures]
    return {"accuracy": accuracies, "loss": losses, "epoch_s": round(seconds, 4)}


if __name__ == "__main__":
    main()
