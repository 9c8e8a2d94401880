"""Images as they are."""

import torch
from torch import Generator, Tensor


def to_float(images: Tensor, generator: Generator | None = None) -> Tensor:
    """Return uint8 images as float32 in [0, 1], otherwise unchanged. The generator is not used."""
    return images.to(torch.float32) / 255
