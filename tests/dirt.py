"""Draws pictures that are smooth and unlike each other, as photographs are, and holds them."""

import numpy as np
from PIL import Image

from ktg.data.decode import Geometry, fit
from ktg.data.images import Images

COLOURS = {"blue": (50, 70, 160), "green": (60, 150, 70), "red": (160, 60, 60)}


def picture(seed: int, colour: tuple[int, int, int] = (120, 120, 120), side: int = 64) -> Image:
    """Return a smooth random picture of about this colour."""
    random = np.random.default_rng(seed)
    field = random.normal(0, 34, (9, 9, 3)) + np.array(colour)
    coarse = Image.fromarray(field.clip(0, 255).astype(np.uint8))
    return coarse.resize((side, side), Image.Resampling.BICUBIC)


def expose(image: Image.Image, seed: int) -> Image.Image:
    """Return another photograph of the same: darker or lighter, noisy, a little moved."""
    random = np.random.default_rng(seed)
    left, top = random.integers(0, 3, 2).tolist()
    moved = image.crop((left, top, left + 97, top + 97))
    pixels = np.asarray(moved, np.float32) * random.uniform(0.6, 1.0)
    noisy = pixels + random.normal(0, 6, pixels.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


class Held:
    """Pixels in memory, as a store that `Images` reads."""

    def __init__(self, pixels):
        self.pixels, self.geometry = pixels, Geometry(pixels.shape[1], pixels.shape[3])

    def read(self, rows):
        return self.pixels[rows]


def images(*some: Image.Image) -> Images:
    """Return pictures as a split of 64 pixels with the label 0."""
    geometry = Geometry(64, 3)
    pixels = np.stack([fit(image, geometry) for image in some])
    return Images(Held(pixels), np.arange(len(some)), np.zeros(len(some), dtype=np.int64))
