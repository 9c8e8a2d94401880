"""Contact sheets: what augmentations make of some images."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ktg.data.augment import AUGMENTS, MIXTURES, view_of
from ktg.graph import Data
from ktg.graph.spec import AugmentName


def sheet(
    pixels: Tensor, rows: Sequence[AugmentName], seed: int, gap: int = 2
) -> npt.NDArray[np.uint8]:
    """Return a sheet (H, W, 3): the images (B, C, H, W) uint8 side by side, once for each augmentation in `rows`.

    Each row is drawn anew. What is smaller than the images is enlarged to their size, as a network
    would see it.
    """
    generator = torch.Generator().manual_seed(seed)
    lines = [_line(augmented(pixels, name, generator), pixels.shape[-1], gap) for name in rows]
    return np.concatenate(lines)[:-gap]


def augmented(pixels: Tensor, name: AugmentName, generator: torch.Generator) -> Tensor:
    """Return a batch (B, C, H, W) uint8 augmented, as float32 in [0, 1]."""
    views = AUGMENTS[view_of(Data(augment=name))](pixels, generator)
    mix = MIXTURES.get(name)
    return views if mix is None else mix(generator).images(views)


def _line(images: Tensor, side: int, gap: int) -> npt.NDArray[np.uint8]:
    if images.shape[-1] != side:
        images = interpolate(images, (side, side), mode="bilinear", antialias=True)
    images = (images * 255).round().to(torch.uint8).expand(-1, 3, -1, -1)
    line = np.full((side + gap, len(images) * (side + gap) - gap, 3), 255, np.uint8)
    for place, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
        left = place * (side + gap)
        line[:side, left : left + side] = image
    return line
