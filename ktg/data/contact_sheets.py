"""Draws contact sheets: what augmentations make of some images, and what a generator draws."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ktg.data.decode import Pixels
from ktg.errors import SpecError
from ktg.local import atomic_write

if TYPE_CHECKING:
    from torch import Tensor

    from ktg.data.formula.stream import PictureGenerator
    from ktg.graph.vocabulary import AugmentName


def draw_augment_sheet(
    pixels: "Tensor", rows: "Sequence[AugmentName]", seed: int, gap: int = 2
) -> Pixels:
    """Return a sheet (H, W, 3): the images (B, C, H, W) uint8 once for each augmentation in `rows`.

    Every row is drawn with other random numbers. What is smaller than the images is enlarged to
    their size, as a network would see it.
    """
    import torch
    from torch.nn.functional import interpolate

    from ktg.data.augment import augment_batch

    generator, side, lines = torch.Generator().manual_seed(seed), pixels.shape[-1], []
    for name in rows:
        images = augment_batch(pixels, name, generator)
        if images.shape[-1] != side:
            images = interpolate(images, (side, side), mode="bilinear", antialias=True)
        images = (images * 255).round().to(torch.uint8).expand(-1, 3, -1, -1)
        lines.append(list(images.permute(0, 2, 3, 1).numpy()))
    return tile_images(lines, gap)


def draw_formula_sheet(
    generator: "PictureGenerator", classes: int, columns: int, gap: int = 2
) -> Pixels:
    """Return a sheet (H, W, 3): a row of `columns` pictures for each of the first classes.

    They are spread over all pictures of the class: 4 columns of 1,000 show numbers 0, 250, 500 and
    750. Of a generator with one picture a class, every picture is of another class. Raises
    SpecError for more than there are.
    """
    one = generator.instances == 1
    wanted = classes * columns if one else classes
    if not 1 <= wanted <= generator.classes:
        raise SpecError("classes", f"expected 1 to {generator.classes}, got {wanted}")
    lines = []
    for row in range(classes):
        spread = [(row, column * generator.instances // columns) for column in range(columns)]
        singles = [(row * columns + column, 0) for column in range(columns)]
        lines.append([generator.draw(*place) for place in (singles if one else spread)])
    return tile_images(lines, gap)


def write_sheet(file: Path, sheet: Pixels) -> None:
    """Write a sheet (H, W, C) as the picture that the file's ending says, whole or not at all."""
    with atomic_write(file) as temporary:
        kind = Image.registered_extensions()[file.suffix.lower()]
        Image.fromarray(sheet).save(temporary, format=kind, optimize=True)


def tile_images(rows: Sequence[Sequence[Pixels]], gap: int) -> Pixels:
    """Return rows of images (H, W, 3) of one size as one image, `gap` white pixels between them.

    2 rows of 3 images of 16 x 16 with a gap of 2 -> (34, 52, 3).
    """
    height, width, channels = rows[0][0].shape
    shape = len(rows) * (height + gap) - gap, len(rows[0]) * (width + gap) - gap, channels
    sheet = np.full(shape, 255, np.uint8)
    for row, images in enumerate(rows):
        for column, image in enumerate(images):
            top, left = row * (height + gap), column * (width + gap)
            sheet[top : top + height, left : left + width] = image
    return sheet
