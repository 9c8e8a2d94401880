"""Reads curves: nodes and gates of the best graph over its epochs, the best over the cost."""

import math
from typing import Any

from ktg.graph import Graph, edge_key, edge_path
from ktg.graph.canonical import open_edges
from ktg.intervals import binomial_interval
from ktg.reporting.cost import devices_per_trial
from ktg.searching.score import KEYS, to_value
from ktg.searching.stored_search import StoredSearch, StoredTrial


def read_node_curves(search: StoredSearch, graph: Graph) -> list[dict[str, Any]]:
    """Return for each trained node of the best graph its accuracies (in [0, 1]) by epoch."""
    names = ("val_accuracy", "train_accuracy")
    curves = [
        {"node": name, "model": node.model}
        | {metric: _history(search, f"nodes.{name}.{metric}") for metric in names}
        for name, node in graph.nodes.items()
    ]
    return [curve for curve in curves if curve["val_accuracy"]]


def summarize_end(search: StoredSearch, graph: Graph, images: int | None) -> dict[str, Any]:
    """Return how good each node of the best graph was after the last epoch, and their ensemble.

    `ensemble`, the mean of their probabilities, is None for a single node, and where an older
    version did not record it. `ensemble_counts`: whether it is what the search scored.
    images: how many the validation split has; without them there are no intervals.
    """
    metrics = search.best.run.metrics

    def row(place: str) -> dict[str, Any]:
        accuracy = metrics[f"{place}.val_accuracy"]
        loss = metrics.get(f"{place}.val_loss", math.inf)
        return {
            "val_accuracy": accuracy,
            "val_interval": binomial_interval(accuracy, images) if images else None,
            "val_loss": loss if math.isfinite(loss) else None,
        }

    known = [name for name in graph.nodes if f"nodes.{name}.val_accuracy" in metrics]
    nodes = [
        {"node": name, "model": graph.nodes[name].model} | row(f"nodes.{name}") for name in known
    ]
    together = row("ensemble") if len(known) > 1 and "ensemble.val_accuracy" in metrics else None
    return {"nodes": nodes, "ensemble": together, "ensemble_counts": graph.ensemble}


def read_gate_curves(search: StoredSearch, graph: Graph) -> list[dict[str, Any]]:
    """Return for each open edge of the best graph the mean weight of its gate in every epoch."""
    curves = [
        {
            "edge": edge_key(*pair),
            "gate": edge.gate,
            "openness": _history(search, f"{edge_path(*pair)}.openness"),
            "loss": _history(search, f"{edge_path(*pair)}.loss"),
        }
        for pair, edge in open_edges(graph).items()
    ]
    return [curve for curve in curves if curve["openness"]]


def trace_best(search: StoredSearch) -> list[dict[str, Any]]:
    """Return the trials that are over in the order of their end, with the best and the cost so far.

    Trials run in parallel, so the cost of a trial is added when it ends. `value` and `best` are by
    the metric of the search.
    """
    metric = search.metric
    share, _ = devices_per_trial(search)
    over = [trial for trial in search.trials if trial.state != "running"]
    # The end of a trial is unknown where its driver died: it comes last.
    over.sort(key=lambda trial: math.inf if trial.run.end_s is None else trial.run.end_s)
    spent_s, epochs, best = 0.0, 0, None
    points = []
    for trial in over:
        spent_s += share * trial.train_s
        epochs += trial.epoch
        if trial.state == "finished":
            best = trial.score if best is None else max(best, trial.score)
        points.append(
            {
                "trial": trial.name,
                "state": trial.state,
                "baseline": trial.baseline,
                "accuracy": trial.accuracy if trial.epoch else None,
                "value": to_value(metric, trial.score) if trial.curve else None,
                "device_s": spent_s,
                "epochs": epochs,
                "best": None if best is None else to_value(metric, best),
            }
        )
    return points


def read_scores(trial: StoredTrial) -> list[float]:
    """Return the score of a trial after each epoch, by the metric of its search: see `curve`."""
    metric = trial.search.metric
    if metric == "accuracy":
        return list(trial.curve)
    known = dict(trial.search.experiment.history(trial.run, KEYS[metric]))
    sign = to_value(metric, 1.0)
    return [sign * known[epoch] for epoch in sorted(known)[: len(trial.curve)]]


def _history(search: StoredSearch, metric: str) -> list[float]:
    """Return a metric of the best trial by epoch; what a resumed trial logged twice counts once."""
    return list(dict(search.experiment.history(search.best.run, metric)).values())
