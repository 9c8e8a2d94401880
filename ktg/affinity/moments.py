"""Computes class means and variances of features in one pass over batches of any size."""

from typing import Self

import torch
from torch import Tensor


class Moments:
    """Counts, means and scatter of each class of features (N, D), gathered batch by batch.

    Two of these merge as Chan, Golub and LeVeque do ("Updating formulae and a pairwise algorithm
    for computing sample variances", 1979): no sum of squares is ever subtracted from another, so
    nothing cancels when the mean is large. Of the scatter only the sum over components is kept, one
    number for each class: all that the scores ask for. The state is float64, (classes, D) for the
    means.
    """

    def __init__(self, classes: int) -> None:
        self.counts = torch.zeros(classes, dtype=torch.float64)
        self.scatter = torch.zeros(classes, dtype=torch.float64)
        self.means = torch.zeros(classes, 0, dtype=torch.float64)

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, classes: int) -> Self:
        """Return the moments of a batch: features (N, D) float64, labels (N,) in 0..classes-1."""
        self = cls(classes)
        counts = torch.bincount(labels, minlength=classes).to(torch.float64)
        sums = features.new_zeros(classes, features.shape[1]).index_add_(0, labels, features)
        means = sums / counts.clamp(min=1)[:, None]
        # The rounding of the means is as large as their magnitude; centring once more removes it.
        centred = features - means[labels]
        means.index_add_(0, labels, centred / counts[labels][:, None])
        squares = torch.linalg.vecdot(centred, centred)
        self.counts, self.means = counts, means
        self.scatter = features.new_zeros(classes).index_add_(0, labels, squares)
        return self

    def merge(self, other: "Moments") -> Self:
        """Add the moments of `other`, and return self."""
        if not other.means.numel():
            return self
        if not self.means.numel():
            self.counts, self.means, self.scatter = other.counts, other.means, other.scatter
            return self
        counts = self.counts + other.counts
        share = other.counts / counts.clamp(min=1)
        step = other.means - self.means
        self.scatter = (
            self.scatter + other.scatter + self.counts * share * torch.linalg.vecdot(step, step)
        )
        self.means = self.means + share[:, None] * step
        self.counts = counts
        return self

    def update(self, features: Tensor, labels: Tensor) -> Self:
        """Add a batch of features (N, D) or (N, C, H, W) with labels (N,), and return self."""
        return self.merge(self.of(features.flatten(1).to(torch.float64), labels, len(self.counts)))

    @property
    def mean(self) -> Tensor:
        """The mean over all images, (D,)."""
        return self.counts @ self.means / self.counts.sum()

    def s1(self) -> float:
        """Return the variance over images, summed over components."""
        apart = self.means - self.mean
        between = self.counts @ torch.linalg.vecdot(apart, apart)
        return float((self.scatter.sum() + between) / self.counts.sum())

    def s2(self) -> float:
        """Return the variance over class means, summed over components; each class counts once."""
        present = self.means[self.counts > 0]
        return float(torch.var(present, dim=0, correction=0).sum())

    def s5(self) -> float:
        """Return the variance within each class, summed over classes and components."""
        return float((self.scatter / self.counts.clamp(min=1)).sum())

    def mean_square(self) -> float:
        """Return the mean over images and components of the squared features."""
        return (self.s1() + float(self.mean @ self.mean)) / self.means.shape[1]
