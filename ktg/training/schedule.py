"""Learning-rate schedules: a factor in [0, 1] as a function of `where`, the position in training in [0, 1).

Nothing here knows of epochs, steps or optimizers, so that a schedule can be tested, drawn and
reused on its own.
"""

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ktg.graph.spec import ScheduleName


@dataclass(frozen=True)
class Schedule:
    """The factor of the peak learning rate over training, after a linear warm-up.

    `warmup` and `milestones` are positions in training, as fractions of it.
    """

    name: ScheduleName = "constant"
    warmup: float = 0.0
    milestones: Sequence[float] = ()
    step_factor: float = 0.1

    def __call__(self, where: float) -> float:
        """Return the factor at `where` in [0, 1)."""
        if where < self.warmup:
            return where / self.warmup
        return SCHEDULES[self.name](self, where)


def constant(schedule: Schedule, where: float) -> float:
    """Return 1."""
    return 1.0


def step(schedule: Schedule, where: float) -> float:
    """Return step_factor to the power of the milestones already reached."""
    return float(schedule.step_factor ** bisect.bisect_right(schedule.milestones, where))


def cosine(schedule: Schedule, where: float) -> float:
    """Return half a cosine from 1 (end of the warm-up) to 0 (Loshchilov & Hutter, "SGDR", ICLR 2017)."""
    return (1 + math.cos(math.pi * (where - schedule.warmup) / (1 - schedule.warmup))) / 2


SCHEDULES: Mapping[ScheduleName, Callable[[Schedule, float], float]] = {
    "constant": constant,
    "step": step,
    "cosine": cosine,
}
