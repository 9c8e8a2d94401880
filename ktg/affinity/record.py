"""Logs a ranking: one run for the data set, and one below it for each candidate."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ktg.affinity.ranking import BASELINES, Measured
from ktg.tracking import Tracker

EXPERIMENT = "affinity"


def ranking_to_json(found: Mapping[str, Measured], failed: Mapping[str, str]) -> dict[str, Any]:
    """Return a ranking as plain data, candidates in the order of `found`."""
    candidates = {
        name: {
            "scores": one.scores,
            "not_applicable": one.not_applicable,
            "parameters": one.parameters,
            "source_accuracy": one.source_accuracy,
            "images": one.images,
            "layer": one.layer,
            "dimensions": list(one.dimensions),
            "forward_s": round(one.forward_s, 3),
            "score_s": round(sum(one.score_s.values()), 3),
        }
        for name, one in found.items()
    }
    return {"candidates": candidates, "not_measured": dict(failed)}


@contextmanager
def start_ranking(tracker: Tracker, data: str, score: str) -> Iterator[str]:
    """Begin the run of a ranking, yield its id, and end it; as failed after an exception."""
    run = tracker.start(data, params={"data": data, "score": score}, tags={"kind": "affinity"})
    try:
        yield run
    except BaseException:
        tracker.end(run, "failed")
        raise
    tracker.end(run, "finished")


def log_ranking(
    tracker: Tracker,
    run: str,
    found: Mapping[str, Measured],
    failed: Mapping[str, str],
    chart: bytes,
) -> None:
    """Log the table and the chart of a ranking, and the scores of each candidate in a run below."""
    tracker.artifact(run, "ranking.json", json.dumps(ranking_to_json(found, failed), indent=2))
    tracker.artifact(run, "ranking.svg", chart)
    for place, (name, one) in enumerate(found.items(), 1):
        model, _, source = name.partition("@")
        child = tracker.start(
            name, parent=run, params={"model": model, "source": source, "layer": one.layer}
        )
        known = one.scores | {
            name: value for name in BASELINES if (value := one.value(name)) is not None
        }
        tracker.log(child, known | {"place": float(place), "forward_s": one.forward_s}, step=0)
        tracker.end(child, "finished")
    for name, reason in failed.items():
        tracker.end(tracker.start(name, parent=run, tags={"reason": reason}), "failed")
