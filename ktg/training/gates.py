"""Weighs the samples of a batch: how much of an edge's loss each one feels, at each moment.

A gate is a function `(what it looks at, progress, dtype) -> weight`:

* `right`: bool (B,), whether the source of the edge predicts the label of each sample; other gates
  look at losses (B,) of a peer, or at `same`, bool (B,), whether two nodes predict one class;
* `progress`: position in training, 0 at the first step and exactly 1 at the last;
* `weight`: (B,), in [0, 1].

A new gate also needs a name in `ktg.graph.vocabulary` and a style in `ktg.graph.drawing.svg`. Gates
know nothing of losses, nodes or epochs. The first four are those of Minami et al., "Knowledge
Transfer Graph for Deep Collaborative Learning", ACCV 2020; `inverse` appears in later work of the
same group (IEEE Access 2025); the last three are for doubtful labels. In the examples the source is
right about the first of two samples.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from ktg.graph.vocabulary import GateName

RAMP = 0.2  # share of training in which small_loss comes to let through its last share


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


def small_loss(
    loss: Tensor, progress: float, noise: float, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return 1 for the samples with the smallest losses (B,) in the eyes of a peer, 0 for others.

    Their share falls from 1 to 1 - noise over the first fifth of training, and stays: networks
    learn right labels before they learn wrong ones by heart. Of equal losses it is left open which
    are taken; infinite ones, of labels that are not used, are not counted. Han et al.,
    "Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels", NeurIPS
    2018, where the share falls over 10 of 200 epochs.

    >>> small_loss(torch.tensor([0.1, 2.0, 0.3, 0.2]), progress=1.0, noise=0.25)
    tensor([1., 0., 1., 1.])
    """
    share = 1 - noise * min(progress / RAMP, 1.0)
    # How many is counted on the device, which no step ever waits for. In float64, as 0.7 * 10 is
    # above 7 in float32.
    kept = share * loss.isfinite().sum(dtype=torch.float64) - 1e-9
    ranks = loss.argsort().argsort()
    return (ranks < kept).to(dtype)


def agree(same: Tensor, progress: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return 1 where two nodes predict the same class, `same` bool (B,), else 0.

    Two networks seldom agree on a class by mistake: Wei et al., "Combating Noisy Labels by
    Agreement: A Joint Training Method with Co-Regularization", CVPR 2020, who add the divergence of
    the two to their losses; here agreement decides by itself.

    >>> agree(torch.tensor([True, False]), progress=0.25)
    tensor([1., 0.])
    """
    return same.to(dtype)


def disagree(same: Tensor, progress: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return 1 where two nodes predict different classes, else 0: `agree` turned round.

    It keeps two networks from becoming one: Yu et al., "How does Disagreement Help Generalization
    against Label Corruption?", ICML 2019 (co-teaching+).

    >>> disagree(torch.tensor([True, False]), progress=0.25)
    tensor([0., 1.])
    """
    return (~same).to(dtype)


class GateInputs(Protocol):
    """What gates may look at; only what one asks for is computed."""

    @property
    def right(self) -> Tensor:
        """Whether the source predicts the label, bool (B,)."""
        ...

    @property
    def peer_loss(self) -> Tensor:
        """The cross-entropies (B,) of the labels in the eyes of the peer, without gradients."""
        ...

    @property
    def same(self) -> Tensor:
        """Whether the peer and the target predict one class, bool (B,)."""
        ...

    @property
    def noise(self) -> float:
        """The share of wrong labels."""
        ...


GATES: Mapping[GateName, Callable[[GateInputs, float, torch.dtype], Tensor]] = {
    "through": lambda seen, progress, dtype: through(seen.right, progress, dtype),
    "cutoff": lambda seen, progress, dtype: cutoff(seen.right, progress, dtype),
    "linear": lambda seen, progress, dtype: linear(seen.right, progress, dtype),
    "correct": lambda seen, progress, dtype: correct(seen.right, progress, dtype),
    "inverse": lambda seen, progress, dtype: inverse(seen.right, progress, dtype),
    "small_loss": lambda seen, progress, dtype: small_loss(
        seen.peer_loss, progress, seen.noise, dtype
    ),
    "agree": lambda seen, progress, dtype: agree(seen.same, progress, dtype),
    "disagree": lambda seen, progress, dtype: disagree(seen.same, progress, dtype),
}
