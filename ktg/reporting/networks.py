"""Tells what the networks of the best graph cost, and what a teacher was good for."""

import functools
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

from ktg.errors import KtgError
from ktg.graph import Graph, Node
from ktg.graph.canonical import live_nodes, open_edges, teachers
from ktg.models.architectures import build_body, build_on_meta

_WARM_UP, _ROUNDS = 2, 9
_USUAL_SIDE = 32


def describe_networks(
    graph: Graph, end: Sequence[dict[str, Any]], classes: int
) -> list[dict[str, Any]]:
    """Return the live networks of a graph with their size and speed, the target first.

    end: the accuracy of each node after its training, as `summarize_end` returns it. `megabytes`
    are those of the weights, `milliseconds` the median for one image on one core of this machine;
    both are None for a network that cannot be built here.
    """
    accuracies = {row["node"]: row["val_accuracy"] for row in end}
    helpers = teachers(graph)
    rows = [
        {
            "node": name,
            "model": graph.nodes[name].model,
            "role": "target"
            if name == graph.target
            else ("teacher" if name in helpers else "auxiliary"),
            "teaches_target": (name, graph.target) in open_edges(graph),
            "val_accuracy": accuracies.get(name),
            **measure_network(graph.nodes[name], classes, graph.data.size or _USUAL_SIDE),
        }
        for name in live_nodes(graph)
    ]
    return sorted(rows, key=lambda row: row["role"] != "target")


def judge_teacher(
    networks: Sequence[dict[str, Any]], alone: float | None, scored: float
) -> dict[str, Any] | None:
    """Return what the best of the networks that teach the target was good for.

    alone: the accuracy of the target by itself, None where it was not trained; scored: that of the
    target of this graph. Returns None where no other network teaches the target.
    """
    target = networks[0]
    known = [row for row in networks if row["teaches_target"] and row["val_accuracy"] is not None]
    if not known:
        return None
    teacher = max(known, key=lambda row: float(row["val_accuracy"]))
    ratios = {
        f"times_{what}": teacher[what] / target[what] if teacher[what] and target[what] else None
        for what in ("parameters", "milliseconds")
    }
    return {
        "teacher": teacher["node"],
        "model": teacher["model"],
        "minus_alone": None if alone is None else scored - alone,
        "minus_teacher": scored - teacher["val_accuracy"],
        **ratios,
    }


def measure_network(node: Node, classes: int, side: int) -> dict[str, Any]:
    """Return the parameters, megabytes and milliseconds of a node's network: see above."""
    try:
        size = build_on_meta(node, classes=classes, image_size=side).size
        args = tuple(sorted(node.model_args.items()))
        parameters, milliseconds = _time(node.model, args, classes, size)
    except KtgError:  # its arguments are with weights that are not here
        return {"parameters": None, "megabytes": None, "milliseconds": None}
    bytes_each = 4
    return {
        "parameters": parameters,
        "megabytes": bytes_each * parameters / 1e6,
        "milliseconds": milliseconds,
    }


@functools.cache
def _time(
    model: str, args: tuple[tuple[str, Any], ...], classes: int, size: int
) -> tuple[int, float]:
    """Return the parameters of a network, and its median milliseconds for one image on one core.

    Two pages that one process writes say the same.
    """
    with torch.random.fork_rng(devices=[]):
        body = build_body(Node(model=model, model_args=dict(args)), classes=classes, size=size)
    body.eval()
    threads, times = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            image = torch.zeros(1, 3, size, size)
            for _ in range(_WARM_UP + _ROUNDS):
                started = time.perf_counter()
                body(image)
                times.append(1000 * (time.perf_counter() - started))
    finally:
        torch.set_num_threads(threads)
    return sum(each.numel() for each in body.parameters()), statistics.median(times[_WARM_UP:])
