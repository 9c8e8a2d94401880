"""Draws cloudy colour textures, the background of fractals."""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from ktg.data.decode import Pixels

Grid = npt.NDArray[np.float64]


def draw_plasma(size: int, roughness: float, generator: np.random.Generator) -> Grid:
    """Return a texture (size, size) that wraps around (Fournier et al., CACM 1982: diamond-square).

    Each doubling of the grid adds noise of exp(-roughness) times the amplitude before: 0.5, 0.30,
    0.18, ... for 0.5. The smaller `roughness`, the rougher.
    """
    levels = max(1, math.ceil(math.log2(size)))
    grid = generator.uniform(0.0, 1.0, (1, 1))
    for level in range(levels):
        grid = _double(grid, 0.5 * math.exp(-roughness * level), generator)
    return grid[:size, :size]


def hsv_to_rgb(hue: Grid, saturation: npt.ArrayLike, value: npt.ArrayLike) -> Pixels:
    """Return colours (H, W, 3) from hue (H, W), modulo 1, and saturation and value, cut to 0..1."""
    channels = (np.mod(hue, 1.0), np.clip(saturation, 0, 1), np.clip(value, 0, 1))
    hsv = np.stack([np.broadcast_to(channel, hue.shape) for channel in channels], axis=-1)
    image = Image.frombytes("HSV", hue.shape[::-1], (hsv * 255).astype(np.uint8).tobytes())
    return np.array(image.convert("RGB"))


def draw_background(size: int, generator: np.random.Generator) -> Pixels:
    """Return a texture (size, size, 3) in random ranges of hue, saturation and value."""
    texture = draw_plasma(size, generator.uniform(0.4, 0.8), generator)
    low = np.array([0.0, 0.4, 0.4])
    hue, saturation, value = generator.uniform(low, [1.0, 0.6, 0.6])
    spans = generator.uniform([0.25, 0.1, 0.3], [1.0, 0.3, 0.6])
    return hsv_to_rgb(
        hue + spans[0] * texture, saturation + spans[1] * texture, value + spans[2] * texture
    )


def _double(grid: Grid, amplitude: float, generator: np.random.Generator) -> Grid:
    """Return a grid of twice the side: each square gets a middle, then each diamond of these."""
    noise = generator.uniform(-amplitude, amplitude, (3, *grid.shape))
    # Rolling wraps around, so the border needs no case of its own.
    down, right = np.roll(grid, -1, 0), np.roll(grid, -1, 1)
    middle = (grid + down + right + np.roll(down, -1, 1)) / 4 + noise[0]
    twice = np.empty((2 * grid.shape[0], 2 * grid.shape[1]))
    twice[::2, ::2] = grid
    twice[1::2, 1::2] = middle
    twice[::2, 1::2] = (grid + right + middle + np.roll(middle, 1, 0)) / 4 + noise[1]
    twice[1::2, ::2] = (grid + down + middle + np.roll(middle, 1, 1)) / 4 + noise[2]
    return twice
