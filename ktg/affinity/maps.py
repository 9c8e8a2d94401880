"""Scores feature maps by how far the images of a data set lie apart in them (Ueno and Kondo).

On balanced classes S1 = S2 + S5/K, and the mean squared distance of pairs is 2N/(N-1) S1: nearly
one score. All but S3 grow with the scale of the features, so they do not compare across
architectures; their `_rms` forms, on features divided by their root mean square, and `fisher` do.
"""

import math

import torch
from torch import Tensor

from ktg.affinity.sample import Sample
from ktg.affinity.spectrum import BLOCK_BYTES, slices

_PAIR_BYTES = 2**28


def s1(sample: Sample) -> float:
    """Return the variance over images, summed over the components of the map."""
    return sample.moments.s1()


def s2(sample: Sample) -> float:
    """Return the variance over class means, summed over components; each class counts once."""
    return sample.moments.s2()


def s3(sample: Sample) -> float:
    """Return the sum over images and pairs of channels of |Pearson correlation over the positions|.

    A constant channel correlates 0 with everything.
    """
    return sum(channel_correlation(maps) for _, maps in sample.blocks())


def s4(sample: Sample) -> float:
    """Return the sum over pairs of images of the Euclidean distance of their flattened maps.

    Distances come from Gram matrices of blocks, of maps less their mean: fewer digits cancel where
    the mean is large.
    """
    flat, mean = sample.maps.flatten(1), sample.moments.mean
    # Each block is widened again for every other one, so few large blocks are faster than many
    # small.
    parts = list(slices(len(flat), flat.shape[1], _PAIR_BYTES))
    total = 0.0
    for number, rows in enumerate(parts):
        block = flat[rows].to(torch.float64) - mean
        total += float(_distances(block, block).triu_(diagonal=1).sum())
        for others in parts[number + 1 :]:
            total += float(_distances(block, flat[others].to(torch.float64) - mean).sum())
    return total


def s5(sample: Sample) -> float:
    """Return the variance within each class, summed over classes and components."""
    return sample.moments.s5()


def s1_rms(sample: Sample) -> float:
    """Return S1 of the features divided by their root mean square."""
    return s1(sample) / sample.moments.mean_square()


def s2_rms(sample: Sample) -> float:
    """Return S2 of the features divided by their root mean square."""
    return s2(sample) / sample.moments.mean_square()


def s4_rms(sample: Sample) -> float:
    """Return S4 of the features divided by their root mean square."""
    return s4(sample) / math.sqrt(sample.moments.mean_square())


def s5_rms(sample: Sample) -> float:
    """Return S5 of the features divided by their root mean square."""
    return s5(sample) / sample.moments.mean_square()


def fisher(sample: Sample) -> float:
    """Return S2 / (S5 / K), the variance between classes relative to that within a class."""
    return s2(sample) * len(sample.classes) / s5(sample)


def channel_correlation(maps: Tensor) -> float:
    """Return S3 of a batch of maps (B, C, H, W): additive over batches, so a stream may sum it."""
    total = 0.0
    flat = maps.flatten(2)
    channels, positions = flat.shape[1:]
    step = max(BLOCK_BYTES // (8 * channels * max(channels, positions)), 1)
    for rows in torch.split(flat, step):
        wide = rows.to(torch.float64)
        centred = wide - wide.mean(dim=2, keepdim=True)
        norms = torch.linalg.vector_norm(centred, dim=2, keepdim=True)
        # The mean of equal numbers need not equal them, so constancy is asked of the numbers
        # themselves.
        constant = wide.amax(dim=2, keepdim=True) == wide.amin(dim=2, keepdim=True)
        unit = torch.where(
            constant, 0.0, centred / norms.clamp(min=torch.finfo(torch.float64).tiny)
        )
        both = torch.bmm(unit, unit.mT).abs_().sum()
        total += float(both - torch.linalg.vecdot(unit, unit).sum()) / 2
    return total


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """Return the Euclidean distances (A, B) between the rows of two blocks."""
    squares = torch.addmm(
        torch.linalg.vecdot(a, a)[:, None] + torch.linalg.vecdot(b, b), a, b.T, alpha=-2
    )
    return squares.clamp_(min=0).sqrt_()
