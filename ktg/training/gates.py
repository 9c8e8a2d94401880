"""Weighs the samples of a batch: how much of an edge's loss each one feels, at each moment.

A gate is a function `(right, progress, dtype) -> weight`:

* `right`: bool (B,), whether the source of the edge predicts the label of each sample;
* `progress`: position in training, 0 at the first step and exactly 1 at the last;
* `weight`: (B,), in [0, 1].

A new gate also needs a name in `ktg.graph.spec` and a style in `ktg.graph.drawing.svg`. Gates know
nothing of losses, nodes or epochs. The first four are those of Minami et al., "Knowledge
Transfer Graph for Deep Collaborative Learning", ACCV 2020; `inverse` appears in later work of the
same group (IEEE Access 2025). In the examples the source is right about the first of two samples.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ktg.graph.spec import GateName


def through(right: Tensor, progress: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return 1 for every sample.

    >>> through(torch.tensor([True, False]), progress=0.25)
    tensor([1., 1.])
    """
    return torch.ones_like(right, dtype=dtype)


def cutoff(right: Tensor, progress: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return 0 for every sample.

    >>> cutoff(torch.tensor([True, False]), progress=0.25)
    tensor([0., 0.])
    """
    return torch.zeros_like(right, dtype=dtype)


def linear(right: Tensor, progress: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the progress: the edge opens as training goes on.

    >>> linear(torch.tensor([True, False]), progress=0.25)
    tensor([0.2500, 0.2500])
    """
    return torch.full_like(right, progress, dtype=dtype)


def correct(right: Tensor, progress: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return 1 where the source is right, else 0: only correct knowledge passes.

    >>> correct(torch.tensor([True, False]), progress=0.25)
    tensor([1., 0.])
    """
    return right.to(dtype)


def inverse(right: Tensor, progress: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return 1 - progress: the edge closes as training goes on.

    >>> inverse(torch.tensor([True, False]), progress=0.25)
    tensor([0.7500, 0.7500])
    """
    return torch.full_like(right, 1.0 - progress, dtype=dtype)


GATES: Mapping[GateName, Callable[[Tensor, float, torch.dtype], Tensor]] = {
    "through": through,
    "cutoff": cutoff,
    "linear": linear,
    "correct": correct,
    "inverse": inverse,
}
