"""Cuts squares at random places, as pretraining on formula-driven data does."""

import torch
from torch import Generator, Tensor

from ktg.data.augment.basic import to_float

CROP = 224 / 362


def crop(images: Tensor, generator: Generator) -> Tensor:
    """Return a square of each image (B, C, H, W) at a random place, as float32 in [0, 1].

    Its side is 224/362 of H: 362 pixels -> 224, 256 -> 158. This is how FractalDB is pretrained on
    (Kataoka et al., ACCV 2020). There are no flips, because the data contain their own. A network
    that takes 224 pixels sees these squares as they are, and at validation the whole image at
    smaller scale.
    """
    side = max(1, round(images.shape[-1] * CROP))
    room = images.shape[-1] - side
    shape, device = (len(images), 2), images.device
    corners = torch.randint(0, room + 1, shape, generator=generator, device=device)
    return to_float(cut(images, corners, side))


def cut(images: Tensor, corners: Tensor, side: int) -> Tensor:
    """Return squares (B, C, side, side) of the images; `corners` (B, 2) are their top left."""
    batch, channels, _, width = images.shape
    steps = torch.arange(side, device=images.device)
    rows, columns = corners[:, :1] + steps, corners[:, 1:] + steps
    # Places in the flattened image, so that one gather cuts the whole batch.
    places = rows[:, :, None] * width + columns[:, None, :]
    index = places.reshape(batch, 1, -1).expand(-1, channels, -1)
    return images.flatten(2).gather(2, index).view(batch, channels, side, side)
