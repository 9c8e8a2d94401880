"""Decomposes a Gram matrix once for all scores that are functions of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK_BYTES = 2**26


@dataclass(frozen=True)
class Spectrum:
    """Left singular vectors `u` (N, R) of features (N, D), and squared singular values (R,).

    They are in descending order. R is the numerical rank: directions whose square is lost in the
    rounding of the largest are left out.
    """

    u: Tensor
    squares: Tensor
    dimensions: int


def decompose(features: Tensor, mean: Tensor | None = None) -> Spectrum:
    """Return the spectrum of features (N, D), less `mean` (D,) if given, in float64.

    The smaller of features @ features.T and its transpose is decomposed; blocks alone are widened
    to float64.
    """
    images, dimensions = features.shape
    if images <= dimensions:
        gram = features.new_zeros(images, images, dtype=torch.float64)
        for columns in slices(dimensions, images):
            block = _centre(features[:, columns], None if mean is None else mean[columns])
            gram += block @ block.T
        squares, u = _eigendecompose(gram, max(features.shape))
        return Spectrum(u, squares, dimensions)
    gram = features.new_zeros(dimensions, dimensions, dtype=torch.float64)
    for rows in slices(images, dimensions):
        block = _centre(features[rows], mean)
        gram += block.T @ block
    squares, v = _eigendecompose(gram, max(features.shape))
    scaled = v / squares.sqrt()
    u = torch.cat([_centre(features[rows], mean) @ scaled for rows in slices(images, dimensions)])
    return Spectrum(u, squares, dimensions)


def slices(length: int, width: int, block_bytes: int = BLOCK_BYTES) -> Iterator[slice]:
    """Yield slices that cover 0..length-1; each times `width` float64 numbers fits a block."""
    step = max(block_bytes // (8 * max(width, 1)), 1)
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def _centre(block: Tensor, mean: Tensor | None) -> Tensor:
    wide = block.to(torch.float64)
    return wide if mean is None else wide - mean


def _eigendecompose(gram: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues above the rounding error, descending, and their vectors as columns."""
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(0), vectors.flip(1)
    rank = int((values > values[0].abs() * size * torch.finfo(torch.float64).eps).sum())
    return values[:rank], vectors[:, :rank]
