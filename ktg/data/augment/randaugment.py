"""Changes images by two random operations of fourteen, with one strength (RandAugment)."""

import torch
from torch import Generator, Tensor

from ktg.data.augment.basic import basic
from ktg.data.augment.operations import NUMBER, OPERATIONS, apply

STEPS = 2
STRENGTH = 0.3  # of 1: 9 of 30, as published for ImageNet
_TRANSLATION = 150 / 331  # of the side, as published
# What an operation with a direction does at full strength; of the direction, -1 or 1 is drawn.
_SIGNED = {
    "shear_x": 0.3,
    "shear_y": 0.3,
    "translate_x": _TRANSLATION,
    "translate_y": _TRANSLATION,
    "rotate": 30.0,
}
_FACTORS = ("brightness", "color", "contrast", "sharpness")
_FACTOR = 0.9


def randaugment(images: Tensor, generator: Generator) -> Tensor:
    """Return the images (B, C, H, W) uint8 as `basic` does, each changed by two random operations.

    Cubuk, Zoph, Shlens and Le, "RandAugment: Practical automated data augmentation with a reduced
    search space", CVPR Workshops 2020: N = 2, M = 9, amounts as in torchvision.
    """
    out = basic(images, generator)
    for _ in range(STEPS):
        operation, sign = draw_operations(len(images), generator)
        out = apply(out, operation, compute_amounts(operation, sign * STRENGTH, least_bits=4))
    return out


def draw_operations(count: int, generator: Generator, first: int = 0) -> tuple[Tensor, Tensor]:
    """Return an operation from number `first` on, int64 (B,), and a direction, -1 or 1, (B,)."""
    device = generator.device
    operation = torch.randint(first, len(OPERATIONS), (count,), generator=generator, device=device)
    sign = torch.randint(0, 2, (count,), generator=generator, device=device)
    return operation, 2.0 * sign - 1


def compute_amounts(
    operation: Tensor, strength: Tensor, *, least_bits: int, translation: float = _TRANSLATION
) -> Tensor:
    """Return the amount (B,) of each operation (B,) at a signed strength (B,) in [-1, 1].

    `least_bits` is what posterize leaves at full strength, of 8 at none. At strength -0.3: rotate
    -> -9 degrees, brightness -> 1 - 0.9 * 0.3 = 0.73, posterize with 4 bits at least -> 7 bits,
    solarize -> 0.7.
    """
    full = torch.zeros(len(OPERATIONS), device=operation.device)
    for name, value in (_SIGNED | {"translate_x": translation, "translate_y": translation}).items():
        full[NUMBER[name]] = value
    amount = full[operation] * strength
    factors = (operation >= NUMBER[_FACTORS[0]]) & (operation <= NUMBER[_FACTORS[-1]])
    amount = torch.where(factors, 1 + _FACTOR * strength, amount)
    bits = 8 - ((8 - least_bits) * strength.abs()).round()
    amount = torch.where(operation == NUMBER["posterize"], bits, amount)
    return torch.where(operation == NUMBER["solarize"], 1 - strength.abs(), amount)
