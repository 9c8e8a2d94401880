"""Drives trainings on Ray with warm workers: how many at once, on what, and through which deaths."""

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import TrialScheduler
from rich.console import Console

from ktg.graph import Graph, Search
from ktg.searching.cluster_check import check_nodes
from ktg.searching.ray_adapter import Deaths, Fifo, Proposals, check_resources, slots

MAX_FAILURES = 2  # deaths of its worker that a training survives


@dataclass(frozen=True)
class Slots:
    """What one training gets, and how many run at once."""

    cpus: float
    gpus: float
    at_once: int

    def tags(self) -> dict[str, str]:
        """Return them for the record of a run."""
        return {"resources.cpus": f"{self.cpus:g}", "resources.gpus": f"{self.gpus:g}"}


def slots_of(
    search: Search,
    ray: Any,
    address: str | None,
    graphs: Iterable[Graph],
    folder: Path,
    tell: Callable[[str], None],
) -> Slots:
    """Return the slots that a search asks for, on this machine or on the cluster at `address`.

    Raises SpecError for more than this machine has, UserError for a machine of a cluster that
    cannot train `graphs`.
    """
    total = ray.cluster_resources()
    gpus = (
        search.gpus_per_trial
        if search.gpus_per_trial is not None
        else min(1.0, total.get("GPU", 0))
    )
    cpus = search.cpus_per_trial
    if address is None:
        check_resources(search, cpus=cpus, gpus=gpus, total=total)
    else:  # a cluster may grow, so that its resources say little
        check_nodes(ray, graphs, folder, tell)
    return Slots(cpus, gpus, slots(search, cpus=cpus, gpus=gpus, total=total))


def drive(
    worker: type[tune.Trainable],
    proposals: Proposals,
    deaths: Deaths,
    at_once: int,
    folder: Path,
    plan: TrialScheduler | None = None,
) -> None:
    """Let Ray Tune train all that is proposed, `at_once` at a time; Ctrl-C ends it early, without an error.

    plan: which trials are stopped before their end; default: none.
    """
    name = f"search-{time.time_ns()}"
    try:
        tune.run(
            worker,
            name=name,
            search_alg=proposals,
            callbacks=[deaths],
            scheduler=plan or Fifo(),
            num_samples=proposals.ledger.planned,
            max_concurrent_trials=at_once,
            resources_per_trial={
                "cpu": proposals.resources["cpus"],
                "gpu": proposals.resources["gpus"],
            },
            storage_path=str(folder),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            reuse_actors=True,
            max_failures=MAX_FAILURES,
            raise_on_failed_trial=False,
            verbose=0,
        )
    finally:  # the tracker has all that matters, and Ray's files would heap up
        shutil.rmtree(folder / name, ignore_errors=True)


def checkpoints_of(folder: Path, run: str) -> Path:
    """Return where the trainings of a run leave their states; it is deleted when all of them are over."""
    return folder / f"checkpoints-{run}"


def warn(console: Console, message: str) -> None:
    """Print a warning on a line of its own."""
    console.print(message, style="yellow", markup=False, highlight=False, soft_wrap=True)
