"""Everything that a report says of a search, as plain data: the page shows these numbers and no others."""

import time
from typing import Any

from ktg.graph import dump
from ktg.reporting.affinity import affinity
from ktg.reporting.choices import choices
from ktg.reporting.comparison import compare_with_baselines, validation_images
from ktg.reporting.confirmation import confirmation
from ktg.reporting.cost import cost
from ktg.reporting.curves import at_end, best_so_far, gate_curves, node_curves
from ktg.reporting.importances import importances
from ktg.reporting.mistakes import Epochs, mistakes
from ktg.reporting.record import SearchRecord, Trial, utc
from ktg.reporting.rungs import foretelling
from ktg.version import __version__


def report(
    record: SearchRecord, *, retrain: bool | None = None, on_epoch: Epochs | None = None
) -> dict[str, Any]:
    """Return the report of a search. Accuracies are shares of one, losses nats, times seconds.

    retrain: whether the best graph is trained again to see its mistakes; None: if that takes under
    a minute.
    on_epoch: is told (epoch, all) while it is.
    """
    best, wrong = record.best, mistakes(record, retrain=retrain, on_epoch=on_epoch)
    graph, images = record.graph(best), validation_images(record) or wrong.get("images")
    return {
        "version": 1,
        "experiment": record.experiment.name,
        "search": {
            "run": record.run.id,
            "name": record.run.name,
            "started": utc(record.run.start_s),
            "state": record.run.state,
            "unfinished": record.run.state == "running",
            "settings": {
                key: value for key, value in vars(record.space.search).items() if value is not None
            },
            "holes": len(record.space.holes),
            "graphs": record.space.size(),
        },
        "best": {
            "trial": best.name,
            "run": best.run.id,
            "baseline": best.baseline,
            "seed": graph.train.seed,
            "epochs": best.epochs,
            "graph": dump(graph),
            "nodes": node_curves(record, graph),
            "gates": gate_curves(record, graph),
            "at_end": at_end(record, graph, images),
        },
        "validation_images": images,
        "comparison": compare_with_baselines(record, images),
        "confirmation": confirmation(record),
        "progress": best_so_far(record),
        "importance": importances(record),
        "choices": choices(record),
        "rungs": foretelling(record),
        "affinity": affinity(record, graph),
        "trials": [_trial(trial) for trial in record.trials],
        "cost": cost(record),
        "mistakes": wrong,
        "environment": environment(record),
    }


def environment(record: SearchRecord) -> dict[str, Any]:
    """Return on what a search ran, with which versions and seeds, and on which data."""
    tags = record.run.tags
    versions = {
        key.removeprefix("version."): value
        for key, value in tags.items()
        if key.startswith("version.")
    }
    sizes = {
        what: int(tags[f"data.{what}"])
        for what in ("classes", "train", "val")
        if f"data.{what}" in tags
    }
    return {
        "machine": tags.get("machine"),
        "python": tags.get("python"),
        "versions": versions,
        "data_fingerprint": tags.get("data.fingerprint"),
        "data": sizes,
        "sampler_seed": record.space.search.seed,
        "training_seeds": sorted(
            {int(trial.run.tags["seed"]) for trial in record.trials if "seed" in trial.run.tags}
        ),
        "reported": utc(time.time()),
        "reported_by": __version__,
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.name,
        "state": trial.state,
        "baseline": trial.baseline,
        "epoch": trial.epoch,
        "epochs": trial.epochs,
        "train_s": trial.train_s,
        "values": trial.values,
        "val_accuracy": list(trial.curve),
        "reason": trial.run.tags.get("reason"),
    }
