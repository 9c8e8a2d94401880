"""Puts what affinity said of each node's sources beside what the search then found."""

import json
import statistics
from collections.abc import Mapping
from typing import Any

from ktg.graph import Graph
from ktg.reporting.importances import first_rung
from ktg.searching.affinity import ARTIFACT
from ktg.searching.stored_search import StoredSearch


def compare_sources(search: StoredSearch, best: Graph) -> dict[str, Any] | None:
    """Return each measured node's candidates with their scores and their results.

    Returns None where no affinity was measured. The result of a candidate is the mean validation
    accuracy, at the first rung, of the trials that had it together with the best graph's model.
    """
    if ARTIFACT not in search.experiment.artifacts(search.run):
        return None
    raw = json.loads(search.experiment.read_artifact(search.run, ARTIFACT))
    epoch = first_rung(search)
    nodes = [
        _node(search, best, name, measured, epoch)
        for name, measured in raw["nodes"].items()
        if name in best.nodes
    ]
    return {"score": raw["score"], "epoch": epoch, "nodes": nodes} if nodes else None


def _node(
    search: StoredSearch, best: Graph, name: str, measured: Mapping[str, Any], epoch: int
) -> dict[str, Any]:
    won = best.nodes[name]
    # Where the model is a hole too, the sources were ranked for each model by itself.
    ranked = measured.get("models", {}).get(won.model, measured)
    scores, kept, favourite = ranked["scores"], ranked["kept"], ranked["favourite"]
    model = {f"nodes.{name}.model": won.model}
    candidates = [
        {
            "source": source,
            "score": scores.get(source),
            "kept": source in kept,
            "favourite": source == favourite,
            "won": source == won.source,
            **_result(search, {f"nodes.{name}.source": source} | model, epoch),
        }
        for source in ranked["candidates"]
    ]
    found = {"favourite": favourite, "won": won.source, "agree": favourite == won.source}
    return {"node": name, "model": won.model, **found, "candidates": candidates}


def _result(search: StoredSearch, wanted: Mapping[str, str], epoch: int) -> dict[str, Any]:
    """Return the number of trials with the wanted values, and their mean accuracy at `epoch`."""

    def fits(values: Mapping[str, Any]) -> bool:
        # What is no hole of the space has the wanted value in every trial.
        return all(values.get(path, value) == value for path, value in wanted.items())

    trials = [
        trial for trial in search.sampled if trial.epoch >= epoch and fits(trial.values or {})
    ]
    accuracies = [trial.curve[epoch - 1] for trial in trials]
    mean = statistics.fmean(accuracies) if accuracies else None
    return {"trials": len(trials), "mean_val_accuracy": mean}
