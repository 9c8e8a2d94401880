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
from ktg.searching.worth import TeacherWorth

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


def describe_teacher(
    networks: Sequence[dict[str, Any]], worth: TeacherWorth | None
) -> dict[str, Any] | None:
    """Return what a teacher was good for, with how many times the target's milliseconds it takes.

    networks: as `describe_networks` returns them. None where nothing teaches the target.
    """
    if worth is None:
        return None
    target, teacher = networks[0], next(row for row in networks if row["node"] == worth.teacher)
    times = [row["milliseconds"] for row in (teacher, target)]
    return {**worth.to_json(), "times_milliseconds": times[0] / times[1] if all(times) else None}


def measure_network(node: Node, classes: int, side: int) -> dict[str, Any]:
    """Return the parameters, megabytes and milliseconds of a node's network: see above."""
    try:
        size = build_on_meta(node, classes=classes, image_size=side, checked=False).size
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
