"""What a search spent, and what stopping early, recognising duplicates and sharing teachers saved it."""

from collections.abc import Iterable
from typing import Any

from ktg.graph import Graph
from ktg.graph.canonical import key, solo, teachers
from ktg.reporting.record import SearchRecord, Trial


def cost(record: SearchRecord) -> dict[str, Any]:
    """Return epochs and device-seconds spent and saved.

    A device-second is one second of training on one CPU core, or on one GPU where trials had
    (shares of) one. What early stopping saved of a trial is its missing epochs at the pace of those
    it had; what recognising a duplicate saved is what its original cost, had it too been stopped
    where that was.
    """
    share, device = devices(record)
    stopped = [trial for trial in record.trials if trial.state == "stopped"]
    by_name = {trial.run.name: trial for trial in record.trials}
    originals = [by_name.get(run.tags.get("duplicate_of", "")) for run in record.duplicates]
    known = [trial for trial in originals if trial is not None]
    states = [trial.state for trial in record.trials]
    return {
        "device": device,
        "devices_per_trial": share,
        "trials": len(record.trials),
        "states": {state: states.count(state) for state in sorted(set(states))},
        "epochs": sum(trial.epoch for trial in record.trials),
        "device_s": share * sum(trial.train_s for trial in record.trials),
        "wall_s": None if record.run.end_s is None else record.run.end_s - record.run.start_s,
        "saved": {
            "stopping": {
                "trials": len(stopped),
                "epochs": sum(trial.epochs - trial.epoch for trial in stopped),
                "device_s": share
                * sum((trial.epochs - trial.epoch) * _epoch_s(trial) for trial in stopped),
            },
            "duplicates": {
                "trials": len(record.duplicates),
                "epochs": sum(trial.epoch for trial in known),
                "device_s": share * sum(trial.train_s for trial in known),
            },
            "teachers": _teachers(_graphs(record)),
        },
    }


def devices(record: SearchRecord) -> tuple[float, str]:
    """Return how much of a device a trial had, and what the device is."""
    gpus = float(
        record.run.tags.get("resources.gpus", record.run.params.get("search.gpus_per_trial", 0))
    )
    if gpus:
        return gpus, "GPU"
    return float(record.run.params.get("search.cpus_per_trial", 1)), "CPU core"


def _epoch_s(trial: Trial) -> float:
    return trial.train_s / trial.epoch if trial.epoch else 0.0


def _graphs(record: SearchRecord) -> Iterable[Graph]:
    for trial in record.trials:
        if trial.epoch:
            yield (
                record.space.bind(trial.values) if trial.values is not None else record.graph(trial)
            )


def _teachers(graphs: Iterable[Graph]) -> dict[str, int]:
    """Return how often a solo-trained teacher was needed, how many different ones, and the epochs not repeated."""
    epochs: dict[str, int] = {}
    uses = saved = 0
    for graph in graphs:
        for teacher in teachers(graph):
            alone = key(solo(graph, teacher))
            uses += 1
            saved += graph.train.epochs if alone in epochs else 0
            epochs[alone] = graph.train.epochs
    return {"uses": uses, "different": len(epochs), "repeated": uses - len(epochs), "epochs": saved}
