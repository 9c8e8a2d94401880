"""Curves: the best graph's nodes and gates over its epochs, and the search's best over what was spent."""

import math
from typing import Any

from ktg.graph import Graph, edge_key, edge_path
from ktg.graph.canonical import open_edges
from ktg.intervals import binomial
from ktg.reporting.cost import devices
from ktg.reporting.record import SearchRecord


def node_curves(record: SearchRecord, graph: Graph) -> list[dict[str, Any]]:
    """Return for each node of the best graph that was trained its accuracies (in [0, 1]) after every epoch."""
    figures = ("val_accuracy", "train_accuracy")
    curves = [
        {"node": name, "model": node.model}
        | {figure: _history(record, f"nodes.{name}.{figure}") for figure in figures}
        for name, node in graph.nodes.items()
    ]
    return [curve for curve in curves if curve["val_accuracy"]]


def at_end(record: SearchRecord, graph: Graph, images: int | None) -> dict[str, Any]:
    """Return how good each node of the best graph was after the last epoch, and the mean of their probabilities.

    `ensemble` is None for a single node, and where it was not recorded, by an older version.
    `ensemble_counts`: whether it is what the search scored. images: how many the validation split
    has; without them there are no intervals.
    """
    metrics = record.best.run.metrics

    def row(place: str) -> dict[str, Any]:
        accuracy, loss = (
            metrics[f"{place}.val_accuracy"],
            metrics.get(f"{place}.val_loss", math.inf),
        )
        interval = binomial(accuracy, images) if images else None
        return {
            "val_accuracy": accuracy,
            "val_interval": interval,
            "val_loss": loss if math.isfinite(loss) else None,
        }

    known = [name for name in graph.nodes if f"nodes.{name}.val_accuracy" in metrics]
    nodes = [
        {"node": name, "model": graph.nodes[name].model} | row(f"nodes.{name}") for name in known
    ]
    together = row("ensemble") if len(known) > 1 and "ensemble.val_accuracy" in metrics else None
    return {"nodes": nodes, "ensemble": together, "ensemble_counts": graph.ensemble}


def gate_curves(record: SearchRecord, graph: Graph) -> list[dict[str, Any]]:
    """Return for each open edge of the best graph the mean weight that its gate gave in every epoch."""
    curves = [
        {
            "edge": edge_key(*pair),
            "gate": edge.gate,
            "openness": _history(record, f"{edge_path(*pair)}.openness"),
            "loss": _history(record, f"{edge_path(*pair)}.loss"),
        }
        for pair, edge in open_edges(graph).items()
    ]
    return [curve for curve in curves if curve["openness"]]


def best_so_far(record: SearchRecord) -> list[dict[str, Any]]:
    """Return the trials that are over, in the order of their end, with what was spent by then and the best so far.

    Trials run side by side, so what those still running had spent by then is counted when they end.
    """
    share, _ = devices(record)
    over = sorted(
        (t for t in record.trials if t.state != "running"), key=lambda trial: trial.run.end_s or 0.0
    )
    spent_s, epochs, best = 0.0, 0, None
    points = []
    for trial in over:
        spent_s += share * trial.train_s
        epochs += trial.epoch
        if trial.state == "finished":
            best = max(best or 0.0, trial.accuracy)
        points.append(
            {
                "trial": trial.name,
                "state": trial.state,
                "baseline": trial.baseline,
                "accuracy": trial.accuracy if trial.epoch else None,
                "device_s": spent_s,
                "epochs": epochs,
                "best": best,
            }
        )
    return points


def _history(record: SearchRecord, metric: str) -> list[float]:
    """Return a metric's values by epoch; what a resumed trial logged twice counts once."""
    return list(dict(record.experiment.history(record.best.run, metric)).values())
