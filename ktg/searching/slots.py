"""Computes what each trial gets of the CPUs and GPUs, and how many trials run at once."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktg.errors import SpecError
from ktg.graph import Graph, Search
from ktg.searching.cluster_check import check_machines

# How much faster a training is, at least, that has the cores of two. Measured on two cores, for a
# step of 16 images: MobileNetV2-0.35 1.3 times at 64 px and 1.5 times at 96, MobileNetV2-1.0 1.7
# times at 96, EfficientNet-lite0 1.8 times at 128 (docs/log.md).
ALL_CORES = 1.25


@dataclass(frozen=True)
class Slots:
    """What one training gets, and how many run at once."""

    cpus: float
    gpus: float
    at_once: int

    def tags(self) -> dict[str, str]:
        """Return the resources as tags of a run."""
        return {"resources.cpus": f"{self.cpus:g}", "resources.gpus": f"{self.gpus:g}"}

    def gain_alone(self, threads: int) -> float:
        """Return how much faster, at least, a training is that has `threads` CPUs for itself.

        On a GPU it is not known to be.
        """
        alone = self.at_once > 1 and not self.gpus and threads >= 2 * self.cpus
        return ALL_CORES if alone else 1.0


def plan_slots(
    search: Search,
    ray: Any,
    address: str | None,
    graphs: Iterable[Graph],
    storage: Path,
    warn: Callable[[str], None],
) -> Slots:
    """Return the slots that a search asks for, on this machine or on the cluster at `address`.

    Raises SpecError for more than this machine has, UserError for a machine of a cluster that
    cannot train `graphs`.
    """
    total, cpus, gpus = ray.cluster_resources(), search.cpus_per_trial, search.gpus_per_trial
    if gpus is None:
        gpus = min(1.0, total.get("GPU", 0))
    if address is None:
        check_resources(cpus, gpus, total)
    else:  # a cluster may grow, so that its resources say little
        check_machines(ray, graphs, storage, warn)
    return Slots(cpus, gpus, count_slots(search, cpus=cpus, gpus=gpus, total=total))


def check_resources(cpus: float, gpus: float, total: Mapping[str, float]) -> None:
    """Raise SpecError for a trial that asks for more than there is: it would wait for ever."""
    if gpus > 1 and not float(gpus).is_integer():
        problem = f"above 1 it must be a whole number of GPUs, got {gpus:g}"
        raise SpecError("search.gpus_per_trial", problem)
    for field, wanted, have in (
        ("cpus_per_trial", cpus, total.get("CPU", 0)),
        ("gpus_per_trial", gpus, total.get("GPU", 0)),
    ):
        if wanted > have:
            problem = f"{wanted:g} is more than there are here; allowed: at most {have:g}"
            raise SpecError(f"search.{field}", problem)


def count_slots(search: Search, *, cpus: float, gpus: float, total: Mapping[str, float]) -> int:
    """Return how many trials of `cpus` and `gpus` each run at once on the `total` resources.

    At least 1; with 16 CPUs and 2 GPUs, trials of 4 CPUs and 0.25 GPU: 4.
    """
    by_cpu = math.floor(total.get("CPU", 1) / cpus + 1e-9)
    by_gpu = count_gpu_slots(total.get("GPU", 0), gpus)
    return max(1, int(min(by_cpu, by_gpu, search.concurrent or math.inf)))


def count_gpu_slots(total: float, gpus: float) -> float:
    """Return how many trials of `gpus` each fit; a fraction never spans two GPUs.

    So 2 GPUs take 4 trials of 0.4, not 5.
    """
    if not gpus:
        return math.inf
    return math.floor(1 / gpus + 1e-9) * total if gpus <= 1 else math.floor(total / gpus)
