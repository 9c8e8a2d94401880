"""Trains every different graph of a small space, so that searches can be replayed in seconds.

Writes one line of JSON for each graph: its values (the first that make this graph) and the target's
accuracy and loss on the validation split after every epoch. A second run continues where the first
one ended.

    python benchmarks/table.py                    # about two hours on one core
"""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measure
import torch
from lines import append_line, read_lines
from options import make_parser

from ktg.data import Dataset, open_data
from ktg.errors import SpecError
from ktg.graph import Graph, SearchSpace, load_space
from ktg.graph.canonical import canonical_key, check_trainable
from ktg.training import Training

SPACE = Path(__file__).parent / "spaces" / "table.yaml"


def main() -> None:
    """Train what the table lacks."""
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, default=measure.RESULTS / "table.jsonl")
    args = parser.parse_args()
    torch.set_num_threads(1)
    space = load_space(SPACE)
    graphs = dict(distinct_graphs(space))
    known = {line["key"] for line in read_lines(args.out)}
    data = open_data(next(iter(graphs.values()))[1].data)
    for number, (name, (values, graph)) in enumerate(graphs.items()):
        if name not in known:
            line = {"key": name, "values": list(values.values()), **train_curves(graph, data)}
            append_line(args.out, line)
        if number % 50 == 0:
            print(f"{number} of {len(graphs)}", flush=True)


def distinct_graphs(space: SearchSpace) -> Iterator[tuple[str, tuple[dict[str, Any], Graph]]]:
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


def train_curves(graph: Graph, data: Dataset) -> dict[str, Any]:
    """Return the target's validation accuracies and losses by epoch, and seconds per epoch."""
    started = time.perf_counter()
    nodes = [epoch.nodes[epoch.target] for epoch in Training(graph, data)]
    seconds = (time.perf_counter() - started) / len(nodes)
    accuracies = [round(node.val_accuracy or 0.0, 4) for node in nodes]
    losses = [round(node.val_loss or 0.0, 4) for node in nodes]
    return {"accuracy": accuracies, "loss": losses, "epoch_s": round(seconds, 4)}


if __name__ == "__main__":
    main()
