"""What affinity said of each node's sources before the search, beside what the search then found."""

import json
import statistics
from collections.abc import Mapping
from typing import Any

from ktg.graph import Graph
from ktg.reporting.importances import first_rung
from ktg.reporting.record import SearchRecord
from ktg.searching.affinity import ARTIFACT


def affinity(record: SearchRecord, best: Graph) -> dict[str, Any] | None:
    """Return each measured node's candidates with their scores and results; None where no affinity was measured.

    The result of a candidate is the mean validation accuracy, at the first rung, of the trials that
    had it, and in that node the best graph's model.
    """
    if ARTIFACT not in record.experiment.artifacts(record.run):
        return None
    raw = json.loads(record.experiment.read_artifact(record.run, ARTIFACT))
    measured = raw["nodes"]
    epoch = first_rung(record)
    nodes = [
        _node(record, best, name, one, epoch)
        for name, one in measured.items()
        if name in best.nodes
    ]
    return {"score": raw["score"], "epoch": epoch, "nodes": nodes} if nodes else None


def _node(
    record: SearchRecord, best: Graph, name: str, measured: Mapping[str, Any], epoch: int
) -> dict[str, Any]:
    won = best.nodes[name]
    ranked = measured.get("models", {}).get(won.model, measured)  # ranked for each model by itself
    scores, kept, favourite = ranked["scores"], ranked["kept"], ranked["favourite"]
    candidates = [
        {
            "source": source,
            "score": scores.get(source),
            "kept": source in kept,
            "favourite": source == favourite,
            "won": source == won.source,
            **_result(
                record, {f"nodes.{name}.source": source, f"nodes.{name}.model": won.model}, epoch
            ),
        }
        for source in ranked["candidates"]
    ]
    found = {"favourite": favourite, "won": won.source, "agree": favourite == won.source}
    return {"node": name, "model": won.model, **found, "candidates": candidates}


def _result(record: SearchRecord, wanted: Mapping[str, str], epoch: int) -> dict[str, Any]:
    """Return what came of the trials that have the wanted values in those of the holes that the space has."""

    def fits(values: Mapping[str, Any]) -> bool:
        return all(values.get(path, value) == value for path, value in wanted.items())

    trials = [
        trial for trial in record.sampled if trial.epoch >= epoch and fits(trial.values or {})
    ]
    accuracies = [trial.curve[epoch - 1] for trial in trials]
    return {
        "trials": len(trials),
        "mean_val_accuracy": statistics.fmean(accuracies) if accuracies else None,
    }
