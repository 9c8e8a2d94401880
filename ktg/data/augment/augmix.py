"""Blends an image with random mixtures of changed copies of itself (AugMix)."""

import torch
from torch import Generator, Tensor

from ktg.data.augment.basic import basic
from ktg.data.augment.operations import apply
from ktg.data.augment.randaugment import compute_amounts, draw_operations

CHAINS = 3
DEPTH = 3
SEVERITY = 3  # strengths 0, 0.1 and 0.2


def augmix(images: Tensor, generator: Generator) -> Tensor:
    """Return the images (B, C, H, W) uint8 as `basic` does, each mixed with three changed copies.

    A copy goes through one to three random operations; the weights of the copies are Dirichlet(1,
    1, 1), that of their mixture uniform. With image x and mixture m: share 0.25 -> 0.75 x + 0.25 m.
    Hendrycks et al., "AugMix: A Simple Data Processing Method
    to Improve Robustness and Uncertainty", ICLR 2020, with the operations and strengths of
    torchvision, and without the paper's consistency loss.
    """
    plain = basic(images, generator)
    weights, share = draw_weights(len(images), generator)
    mixed = torch.zeros_like(plain)
    for chain in range(CHAINS):
        mixed += weights[:, chain, None, None, None] * _apply_chain(plain, generator)
    return plain + share[:, None, None, None] * (mixed - plain)


def draw_weights(count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return the weights of the chains (B, 3), which sum to 1, and that of their mixture (B,)."""
    uniform = torch.rand((count, CHAINS + 1), generator=generator, device=generator.device)
    # Exponential variates, divided by their sum, are Dirichlet(1, ..., 1).
    exponential = -torch.log1p(-uniform[:, :CHAINS])
    return exponential / exponential.sum(1, keepdim=True).clamp(min=1e-30), uniform[:, CHAINS]


def _apply_chain(images: Tensor, generator: Generator) -> Tensor:
    """Return each image after one, two or three operations."""
    depth = torch.randint(1, DEPTH + 1, (len(images),), generator=generator, device=images.device)
    out = images
    for step in range(DEPTH):
        operation, sign = draw_operations(len(images), generator, first=1)
        count, device = len(images), images.device
        level = torch.randint(0, SEVERITY, (count,), generator=generator, device=device)
        amount = compute_amounts(operation, sign * level / 10, least_bits=0, translation=1 / 3)
        # Identity past the depth of an image: the batch stays one tensor of one shape.
        operation = torch.where(step < depth, operation, 0)
        out = apply(out, operation, amount)
    return out
