"""Says what this machine is: processors, graphics cards, memory."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """The cores that this process may use, the GPUs that torch sees, and GiB of memory."""

    cores: int
    gpus: tuple[str, ...]
    memory_gib: float

    @property
    def slots(self) -> int:
        """How many trainings a search runs at once: one for each GPU, else for each core."""
        return len(self.gpus) or self.cores

    def describe(self) -> str:
        """Return the machine in words: `2 cores, no GPU, 23 GiB of memory`."""
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        gpus = ", ".join(self.gpus) or "no GPU"
        return f"{cores}, {gpus}, {self.memory_gib:.0f} GiB of memory"


def read_machine() -> Machine:
    """Return this machine."""
    import torch

    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    gpus = tuple(torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count()))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(cores, gpus, memory / 2**30)
