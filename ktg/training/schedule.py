"""Computes the learning rate over training, as a factor in [0, 1] of its peak.

A schedule sees `where`, the position in training in [0, 1), and nothing of epochs, steps or
optimizers, so it can be tested, drawn and reused on its own.
"""

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ktg.graph.vocabulary import ScheduleName


@dataclass(frozen=True)
class Clock:
    """The one clock of a training: `step` of `total` steps over all epochs, counted from 0.

    Gates and schedules read the same clock differently. A gate must be exactly 0 or 1 at the ends
    of training, so `progress` counts the last step as 1. A schedule gives the rate of a step that
    is still to be taken, so `where` stays below 1 and a cosine never wastes a step on rate 0.

    >>> [Clock(step, total=4).progress for step in (0, 3)]
    [0.0, 1.0]
    >>> [Clock(step, total=4).where for step in (0, 3)]
    [0.0, 0.75]
    """

    step: int
    total: int

    @property
    def progress(self) -> float:
        """Position for gates: 0 at the first step and exactly 1 at the last; 0 if only one."""
        return self.step / max(self.total - 1, 1)

    @property
    def where(self) -> float:
        """Position for schedules, in [0, 1): the share of steps already taken."""
        return self.step / self.total


@dataclass(frozen=True)
class Schedule:
    """The factor of the peak learning rate over training, after a linear warm-up.

    `warmup` and `milestones` are positions in training, as fractions of it.

    >>> Schedule("constant", warmup=0.2)(where=0.05)
    0.25
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
    """Return 1.

    >>> constant(Schedule("constant"), where=0.7)
    1.0
    """
    return 1.0


def step(schedule: Schedule, where: float) -> float:
    """Return `step_factor` to the power of the number of milestones reached.

    >>> step(Schedule("step", milestones=[0.3, 0.6], step_factor=0.5), where=0.6)
    0.25
    """
    return float(schedule.step_factor ** bisect.bisect_right(schedule.milestones, where))


def cosine(schedule: Schedule, where: float) -> float:
    """Return half a cosine from 1, at the end of the warm-up, to 0 at the end of training.

    Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, here
    without restarts.

    >>> round(cosine(Schedule("cosine"), where=0.25), 6)
    0.853553
    """
    return (1 + math.cos(math.pi * (where - schedule.warmup) / (1 - schedule.warmup))) / 2


SCHEDULES: Mapping[ScheduleName, Callable[[Schedule, float], float]] = {
    "constant": constant,
    "step": step,
    "cosine": cosine,
}
