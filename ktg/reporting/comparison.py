"""The best graph beside the baselines: on the validation images, and on the test images where `ktg train` read them."""

import math
from collections.abc import Mapping
from typing import Any

from ktg.errors import KtgError
from ktg.graph import Graph, parse
from ktg.graph.canonical import seedless
from ktg.graph.yaml_files import loads
from ktg.intervals import binomial, of_difference, of_mean
from ktg.reporting.record import SearchRecord, Trial
from ktg.tracking import Experiment, RunRecord

BEST = "best graph"
MOST_TRAININGS = 50  # runs of `ktg train` that are looked at; each costs a file


def compare_with_baselines(record: SearchRecord, images: int | None) -> list[dict[str, Any]]:
    """Return a row for the best graph, then one for each baseline that was trained to its end.

    Each has the accuracy of the one training on the validation images, with its binomial interval
    where the number of `images` is known, and under `test`, if `ktg train` has trained that graph
    since, the accuracy on the test images.
    """
    rivals = {BEST: record.best} | {
        trial.baseline: trial for trial in record.finished if trial.baseline
    }
    tests = confirmations(
        record.experiment, {what: record.graph(trial) for what, trial in rivals.items()}
    )
    alone = tests.get("alone")
    return [
        {
            **_row(what, trial, record.best, images),
            "test": _test(tests.get(what), None if what == "alone" else alone),
        }
        for what, trial in rivals.items()
    ]


def validation_images(record: SearchRecord) -> int | None:
    """Return on how many images the search chose; None for a search of a version that did not write it down."""
    tag = record.run.tags.get("data.val")
    return None if tag is None else int(tag)


def confirmations(experiment: Experiment, graphs: Mapping[str, Graph]) -> dict[str, RunRecord]:
    """Return for each graph the run of `ktg train` that trained it with the most seeds, of equals the newest."""
    wanted: dict[str, list[str]] = {}
    for what, graph in graphs.items():
        wanted.setdefault(seedless(graph), []).append(what)
    found: dict[str, RunRecord] = {}
    trained = [
        run
        for run in experiment.trainings()
        if run.state == "finished" and "test_accuracy" in run.metrics
    ]
    for run in trained[:MOST_TRAININGS]:
        for what in wanted.get(_key_of(experiment, run), []):
            if what not in found or seeds(run) > seeds(found[what]):
                found[what] = run
    return found


def seeds(run: RunRecord) -> int:
    """Return with how many seeds a run of `ktg train` trained its graph."""
    return int(run.params.get("seeds", 1))


def _key_of(experiment: Experiment, run: RunRecord) -> str:
    try:
        return seedless(parse(loads(experiment.read_artifact(run, "graph.yaml"), "graph.yaml")))
    except KtgError:  # a training of another version, or without its file: not one of ours
        return ""


def _row(what: str, trial: Trial, best: Trial, images: int | None) -> dict[str, Any]:
    return {
        "what": what,
        "trial": trial.name,
        "is_best": trial is best,
        "val_accuracy": trial.accuracy,
        "val_interval": binomial(trial.accuracy, images) if images else None,
        "val_loss": trial.loss if math.isfinite(trial.loss) else None,
        "train_s": trial.train_s,
    }


def _test(run: RunRecord | None, alone: RunRecord | None) -> dict[str, Any] | None:
    if run is None:
        return None
    mean, std, n = _figures(run)
    several = n > 1
    compared = several and alone is not None and seeds(alone) > 1
    return {
        "accuracy": mean,
        "std": std if several else None,
        "n": n,
        "interval": of_mean(mean, std, n) if several else None,
        "minus_alone": mean - alone.metrics["test_accuracy"] if alone is not None else None,
        "minus_alone_interval": of_difference((mean, std, n), _figures(alone))
        if compared and alone
        else None,
    }


def _figures(run: RunRecord) -> tuple[float, float, int]:
    return run.metrics["test_accuracy"], run.metrics.get("test_accuracy_std", 0.0), seeds(run)
