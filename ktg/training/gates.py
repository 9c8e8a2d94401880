"""Gates: how much of an edge's loss each sample feels, at each moment of training.

A gate is a function `(right, progress, dtype) -> weight`:

* `right`: bool (B,), whether the source of the edge predicts the label of each sample;
* `progress`: position in training, 0 at the first step and exactly 1 at the last;
* `weight`: (B,), in [0, 1].

Gates know nothing of losses, nodes or epochs. The first four are those of Minami et al., "Knowledge
Transfer Graph for Deep Collaborative Learning", ACCV 2020; `inverse` appears in later work of the
same group (IEEE Access 2025).
"""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from ktg.graph.spec import GateName


class Gate(Protocol):
    """Weight of every sample of a batch at a moment of training."""

    def __call__(
        self, right: Tensor, progress: float, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Return the weights (B,) for `right` (B,) at `progress`."""


def through(right: Tensor, progress: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return 1 for every sample."""
    return torch.ones_like(right, dtype=dtype)


def cutoff(right: Tensor, progress: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return 0 for every sample."""
    return torch.zeros_like(right, dtype=dtype)


def linear(right: Tensor, progress: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the progress: the edge opens as training goes on."""
    return torch.full_like(right, progress, dtype=dtype)


def correct(right: Tensor, progress: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return 1 where the source is right, else 0: only correct knowledge passes."""
    return right.to(dtype)


def inverse(right: Tensor, progress: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return 1 - progress: the edge closes as training goes on."""
    return torch.full_like(right, 1.0 - progress, dtype=dtype)


GATES: Mapping[GateName, Gate] = {
    "through": through,
    "cutoff": cutoff,
    "linear": linear,
    "correct": correct,
    "inverse": inverse,
}
