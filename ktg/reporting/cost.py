"""Sums what a search spent, and what stopping early and training nothing twice saved it."""

from collections.abc import Iterable
from typing import Any

from ktg.graph import Graph
from ktg.graph.canonical import canonical_key, independent_graph, teachers
from ktg.searching.stored_search import StoredSearch, StoredTrial


def sum_costs(search: StoredSearch) -> dict[str, Any]:
    """Return epochs and device-seconds spent and saved; `repeats` are trainings of the race.

    A device-second is one second of training on one CPU core, or on one GPU where trials had
    (shares of) one. What a scheduler saved by stopping a trial is its missing epochs at the pace of
    the last it had; what recognising a duplicate saved is what its original cost, had it too been
    stopped where that was.
    """
    share, device = devices_per_trial(search)
    trained = [*search.trials, *search.repeats]
    # Not those whose time was over.
    ended = [trial for trial in search.trials if trial.state == "stopped"]
    stopped = [trial for trial in ended if "rung" in trial.run.tags]
    by_name = {trial.run.name: trial for trial in search.trials}
    originals = [by_name.get(run.tags.get("duplicate_of", "")) for run in search.duplicates]
    known = [trial for trial in originals if trial is not None]
    states = [trial.state for trial in search.trials]
    end_s = search.run.end_s
    return {
        "device": device,
        "devices_per_trial": share,
        "trials": len(search.trials),
        "repeats": len(search.repeats),
        "states": {state: states.count(state) for state in sorted(set(states))},
        "epochs": sum(trial.epoch for trial in trained),
        "device_s": share * sum(trial.train_s for trial in trained),
        "wall_s": None if end_s is None else end_s - search.run.start_s,
        "saved": {
            "stopping": {
                "trials": len(stopped),
                "epochs": sum(trial.epochs - trial.epoch for trial in stopped),
                "device_s": share
                * sum((trial.epochs - trial.epoch) * _epoch_s(trial) for trial in stopped),
                "said": search.run.tags.get("stopping"),
            },
            "duplicates": {
                "trials": len(search.duplicates),
                "epochs": sum(trial.epoch for trial in known),
                "device_s": share * sum(trial.train_s for trial in known),
            },
            "teachers": _count_teachers(_trained_graphs(search)),
        },
    }


def devices_per_trial(search: StoredSearch) -> tuple[float, str]:
    """Return how much of a device a trial had, and what the device is: 0.25 and GPU, say."""
    tags, params = search.run.tags, search.run.params
    gpus = float(tags.get("resources.gpus", params.get("search.gpus_per_trial", 0)))
    if gpus:
        return gpus, "GPU"
    return float(params.get("search.cpus_per_trial", 1)), "CPU core"


def _epoch_s(trial: StoredTrial) -> float:
    """Return how long its last epoch took: the first may have waited for teachers."""
    whole = trial.train_s / trial.epoch if trial.epoch else 0.0
    return trial.run.metrics.get("epoch_s", whole)


def _trained_graphs(search: StoredSearch) -> Iterable[Graph]:
    for trial in search.trials:
        if trial.epoch:
            # Binding the values reads no file, and a search may have a thousand trials.
            values = trial.values
            yield trial.graph if values is None else search.space.bind(values)


def _count_teachers(graphs: Iterable[Graph]) -> dict[str, int]:
    """Return how often a teacher trained by itself was needed, and what sharing them saved.

    `uses` counts the needs, `different` the teachers, `epochs` what was not trained again, in those
    of the teacher's own training. One that teaches as it is, or as a probe, has no training.
    """
    different: set[str] = set()
    uses = saved = 0
    for graph in graphs:
        for teacher in teachers(graph):
            alone = independent_graph(graph, teacher)
            if not alone.train.epochs:
                continue
            key = canonical_key(alone)
            uses += 1
            saved += alone.train.epochs if key in different else 0
            different.add(key)
    repeated = uses - len(different)
    return {"uses": uses, "different": len(different), "repeated": repeated, "epochs": saved}
