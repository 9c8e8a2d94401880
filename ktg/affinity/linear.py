"""Computes the H-score and the linear probe from one decomposition of the centred features."""

import torch
from torch import Tensor

from ktg.affinity.sample import Sample
from ktg.affinity.spectrum import Spectrum

_RIDGES = torch.logspace(-7, 2, 28, dtype=torch.float64)


def hscore(sample: Sample) -> float:
    """Return tr(cov(f)^-1 cov(E[f|y])), the spread of class means relative to that of features.

    Bao et al., "An Information-Theoretic Approach to Transferability in Task Transfer Learning",
    ICIP 2019. Trap: when N <= D it is K - 1 for any labels, so the shrunk form is returned there;
    and it rises towards that as D does, so use `hscore_shrunk` to compare networks of different
    widths.
    """
    if len(sample.labels) <= sample.vectors.shape[1]:
        return hscore_shrunk(sample)
    return float(_explained_shares(sample).sum())


def hscore_shrunk(sample: Sample) -> float:
    """Return the H-score with the covariance shrunk towards a multiple of the identity.

    Ibrahim et al., "Newer is not always better: Rethinking transferability metrics, their
    peculiarities, stability and performance", ECML PKDD 2022.
    """
    variances = sample.centred.squares / len(sample.labels)
    shrinkage = ledoit_wolf(sample.centred)
    shrunk = (1 - shrinkage) * variances + shrinkage * variances.sum() / sample.centred.dimensions
    return float((1 - shrinkage) * (_explained_shares(sample) * variances / shrunk).sum())


def linear_probe(sample: Sample) -> float:
    """Return the leave-one-out accuracy of ridge regression, with intercept, of the one-hot labels.

    In closed form for all images at once (Allen, "The Relationship between Variable Selection and
    Data Augmentation and a Method for Prediction", Technometrics 1974); the penalty is the one of a
    grid with the least squared error. Trap: the penalty is chosen on the same images, and an image
    alone in its class is never predicted.
    """
    spectrum, labels = sample.centred, sample.one_hot
    signal, weights, mean = spectrum.u.T @ labels, spectrum.u**2, labels.mean(dim=0)
    tried = []
    for ridge in _RIDGES.tolist():
        shrunk = spectrum.squares / (spectrum.squares + ridge * spectrum.squares.mean())
        fitted = mean + spectrum.u @ (shrunk[:, None] * signal)
        leverage = weights @ shrunk + 1 / len(labels)
        error = (labels - fitted) / (1 - leverage).clamp(min=torch.finfo(torch.float64).eps)[
            :, None
        ]
        tried.append((float((error**2).sum()), _accuracy(labels - error, sample.labels)))
    return min(tried)[1]


def ledoit_wolf(spectrum: Spectrum) -> float:
    """Return the share of a multiple of the identity in the best mixture of it with the covariance.

    Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004.
    `spectrum` is that of centred features.
    """
    images = len(spectrum.u)
    variances = spectrum.squares / images
    spread = (variances**2).sum() - variances.sum() ** 2 / spectrum.dimensions
    norms = (spectrum.u**2) @ spectrum.squares
    noise = ((norms**2).sum() / images - (variances**2).sum()) / images
    return float((noise / spread).clamp(0, 1)) if spread > 0 else 0.0


def _explained_shares(sample: Sample) -> Tensor:
    """Return for each centred singular vector the share of it (R,) that the class means keep."""
    sums = sample.one_hot.T @ sample.centred.u
    return (sums**2 / sample.counts[:, None]).sum(dim=0)


def _accuracy(predicted: Tensor, labels: Tensor) -> float:
    return float((predicted.argmax(dim=1) == labels).to(torch.float64).mean())
