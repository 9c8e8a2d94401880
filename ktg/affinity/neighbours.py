"""Scores how classes lie in feature space: by distances, volumes and neighbours."""

import torch
from torch import Tensor

from ktg.affinity.sample import Sample

PRINCIPAL_AXES = 64
NEIGHBOURS = 5
DISTORTION = 1e-4
_LEAST_VARIANCE = 1e-4


def gbc(sample: Sample) -> float:
    """Return minus the sum of Bhattacharyya coefficients over ordered pairs of classes.

    Pandy et al., "Transferability Estimation using Bhattacharyya Class Separability", CVPR 2022: 64
    principal axes, diagonal covariances; in log-determinants, because determinants of 64 axes
    underflow. A variance is at least 1e-4 of the mean one, and a class of one image takes the mean
    over all classes: else it would lie infinitely far away.
    """
    axes = sample.centred.u[:, :PRINCIPAL_AXES] * sample.centred.squares[:PRINCIPAL_AXES].sqrt()
    counts = sample.counts[:, None]
    means = sample.one_hot.T @ axes / counts
    scatter = sample.one_hot.T @ (axes - means[sample.labels]) ** 2
    within = scatter.sum(dim=0) / len(axes)
    variances = torch.where(counts > 1, scatter / counts, within)
    variances = variances.clamp(min=_LEAST_VARIANCE * float(axes.square().mean()))
    logs = variances.log().sum(dim=1) / 2
    total = 0.0
    for number in range(1, len(means)):
        both = (variances[:number] + variances[number]) / 2
        apart = ((means[:number] - means[number]) ** 2 / both).sum(dim=1) / 8
        distance = apart + (both.log().sum(dim=1) - logs[:number] - logs[number]) / 2
        total += 2 * float(torch.exp(-distance).sum())
    return -total


def parc(sample: Sample) -> float:
    """Return 100 x Spearman's correlation of feature and label distances over pairs of images.

    Bolya, Mittapalli and Hoffman, "Scalable Diverse Model Selection for Accessible Transfer
    Learning", NeurIPS 2021. Distance is 1 - Pearson's correlation of standardised features. Memory
    and time grow with N^2.
    """
    vectors = sample.vectors.to(torch.float64)
    deviation = vectors.std(dim=0, correction=0)
    scaled = (vectors - vectors.mean(dim=0)) / torch.where(deviation > 0, deviation, 1.0)
    unit = _unit(scaled - scaled.mean(dim=1, keepdim=True))
    rows, columns = torch.triu_indices(len(unit), len(unit), offset=1, device=unit.device)
    ranks = _ranks(-(unit @ unit.T)[rows, columns])
    apart = (sample.labels[rows] != sample.labels[columns]).to(torch.float64)
    # Spearman's correlation is Pearson's of ranks, and a variable of two values is its own rank up
    # to scale.
    pair = torch.stack([ranks - ranks.mean(), apart - apart.mean()])
    return 100 * float(torch.linalg.vecdot(*_unit(pair)))


def transrate(sample: Sample) -> float:
    """Return the mutual information of features and labels as a difference of coding rates.

    Huang et al., "Frustratingly Easy Transferability Estimation", ICML 2022. Trap: the distortion,
    1e-4, is absolute, so the score changes with the scale of the features.
    """
    images = len(sample.labels)
    spectrum = sample.centred
    whole = torch.log1p(spectrum.squares / (images * DISTORTION)).sum() / 2
    parts = 0.0
    for number, count in enumerate(sample.counts.tolist()):
        own = spectrum.u[sample.labels == number] * (spectrum.squares / (count * DISTORTION)).sqrt()
        gram = own @ own.T if own.shape[0] <= own.shape[1] else own.T @ own
        parts += (
            count
            / images
            * float(torch.linalg.slogdet(gram + torch.eye(len(gram)).to(gram)).logabsdet)
            / 2
        )
    return float(whole) - parts


def knn(sample: Sample) -> float:
    """Return the leave-one-out accuracy of the 5 nearest neighbours by cosine similarity.

    Nearer ones break ties. As a baseline for the choice of a source: Renggli et al., "Which Model
    to Transfer? Finding the Needle in the Growing Haystack", CVPR 2022.
    """
    unit = _unit(sample.vectors.to(torch.float64))
    similarity = (unit @ unit.T).fill_diagonal_(-torch.inf)
    nearest = similarity.topk(min(NEIGHBOURS, len(unit) - 1), dim=1).indices
    # Votes of 1, minus 0.001 for each nearer neighbour: ties break, and a majority always wins.
    weights = 1 - torch.arange(nearest.shape[1], device=unit.device) / 1000
    votes = (sample.one_hot[nearest] * weights[:, None]).sum(dim=1)
    return float((votes.argmax(dim=1) == sample.labels).to(torch.float64).mean())


def _unit(vectors: Tensor) -> Tensor:
    """Return the rows at length one; a row of zeros stays one."""
    length = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return vectors / torch.where(length > 0, length, 1.0)


def _ranks(values: Tensor) -> Tensor:
    """Return ranks (N,), equal values sharing the mean of theirs."""
    _, place, counts = torch.unique(values, return_inverse=True, return_counts=True)
    middle: Tensor = counts.cumsum(0).to(torch.float64) - (counts - 1) / 2
    return middle[place]
