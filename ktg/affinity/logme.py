"""Computes LogME, the evidence of a Bayesian linear model, by one decomposition."""

import math

import torch
from torch import Tensor

from ktg.affinity.sample import Sample

# Ratios of prior to noise precision, in units of the mean squared singular value: beyond these
# nothing changes.
_RATIOS = torch.logspace(-12, 12, 241, dtype=torch.float64)
_GOLDEN = (math.sqrt(5) - 1) / 2
_STEPS = 45
# Labels that are exactly linear in the features would have infinite evidence: the least residual,
# per squared label.
_RESIDUAL = 1e-12


def logme(sample: Sample) -> float:
    """Return the log evidence per image of a linear model, averaged over classes.

    You et al., "LogME: Practical Assessment of Pre-trained Models for Transfer Learning", ICML
    2021, of each class's indicator, without intercept. For a ratio t of the precisions of prior and
    noise, the best noise is known in closed form, so the maximum over t alone is searched: on a
    grid, then between its neighbours. Trap: the fixed-point form copied most widely leaves out -(D
    - R)/2 log alpha and is wrong when N < D.
    """
    squares, signal, rest = _project_labels(sample)
    rest = rest.clamp(min=_RESIDUAL * sample.counts)
    ratios = _RATIOS.to(squares.device) * squares.mean()
    shrunk = ratios[:, None] / (ratios[:, None] + squares)
    grid = _evidence(shrunk, shrunk @ signal + rest, len(sample.labels))
    best = grid.argmax(dim=0)
    low = ratios[(best - 1).clamp(min=0)].log()
    high = ratios[(best + 1).clamp(max=len(ratios) - 1)].log()

    def evidence(log_ratio: Tensor) -> Tensor:
        ratio = log_ratio.exp()[:, None]
        shrunk = ratio / (ratio + squares)
        energy = (shrunk * signal.T).sum(dim=1) + rest
        return _evidence(shrunk, energy[:, None], len(sample.labels))[:, 0]

    for _ in range(_STEPS):  # golden-section search, for all classes at once
        width = _GOLDEN * (high - low)
        rising = evidence(high - width) < evidence(low + width)
        low, high = torch.where(rising, high - width, low), torch.where(rising, high, low + width)
    return float(torch.maximum(evidence((low + high) / 2), grid.amax(dim=0)).mean())


def _project_labels(sample: Sample) -> tuple[Tensor, Tensor, Tensor]:
    """Return squared singular values (R,), squared label projections (R, K), residuals (K,)."""
    signal = (sample.spectrum.u.T @ sample.one_hot) ** 2
    return sample.spectrum.squares, signal, (sample.counts - signal.sum(dim=0)).clamp(min=0)


def _evidence(shrunk: Tensor, energy: Tensor, images: int) -> Tensor:
    """Return log evidence per image (T, K) from t / (t + squares) (T, R) and residuals (T, K)."""
    likelihood = math.log(images) - energy.log() - 1 - math.log(2 * math.pi)
    return (shrunk.log().sum(dim=1, keepdim=True) / images + likelihood) / 2
