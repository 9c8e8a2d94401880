"""Squares at random places, as formula-driven data are pretrained on."""

import torch
from torch import Generator, Tensor

from ktg.data.augment.plain import to_float

CROP = 224 / 362


def crop(images: Tensor, generator: Generator) -> Tensor:
    """Return of each image (B, C, H, W) a square at a random place, as float32 in [0, 1]; its side is 224/362 of H.

    So FractalDB is pretrained on (Kataoka et al., ACCV 2020): no flips, of which the data have
    their own. A network that takes 224 pixels sees these squares as they are, and at validation the
    whole image at smaller scale.
    """
    side = max(1, round(images.shape[-1] * CROP))
    room = images.shape[-1] - side
    corners = torch.randint(
        0, room + 1, (len(images), 2), generator=generator, device=images.device
    )
    return to_float(cut(images, corners, side))


def cut(images: Tensor, corners: Tensor, side: int) -> Tensor:
    """Return of each image (B, C, H, W) the square (B, C, side, side) whose top left corner is in `corners` (B, 2)."""
    batch, channels, _, width = images.shape
    steps = torch.arange(side, device=images.device)
    rows, columns = corners[:, :1] + steps, corners[:, 1:] + steps
    index = (
        (rows[:, :, None] * width + columns[:, None, :])
        .reshape(batch, 1, -1)
        .expand(-1, channels, -1)
    )
    return images.flatten(2).gather(2, index).view(batch, channels, side, side)
