"""From keys to pixels: points or patches, gray or in the colours of FractalDB."""

import functools
import math

import numpy as np

from ktg.data.formula.formula import Picture
from ktg.data.formula.fractal.kernels import FIRST, Keys, paint, stamp_hashed
from ktg.data.formula.fractal.masks import mixed

GRAY = np.full((1, 3), 127, np.uint8)
_COLOURS = 128
_SATURATION = _INTENSITY = 0.75


def picture(
    keys: Keys, palette: Picture, mask_seed: tuple[int, ...] | None = None, flip: int = 0
) -> Picture:
    """Return the picture (size, size, 3) of black and the colours (K, 3), with y downwards unlike in `keys`.

    keys: of points; or of patches with whole numbers that seed their random masks, other masks for
    other numbers.
    flip: 0 for none, 1 top to bottom, 2 left to right, 3 both.
    """
    if mask_seed is None:
        drawn = (keys >= FIRST).view(np.uint8)
    else:
        drawn = np.empty(keys.shape, np.uint8)
        stamp_hashed(keys.ravel(), np.uint32(mixed(*mask_seed) >> 32), drawn.ravel())
    painted = np.empty((*keys.shape, 3), np.uint8)
    paint(keys, drawn, palette, flip & 1 == 0, flip & 2 != 0, painted)
    return painted


@functools.cache
def rainbow() -> Picture:
    """Return the 128 colours (128, 3) that FractalDB gives to its points in turn, when it is drawn in colour.

    One turn of the hue at constant saturation and intensity. The official program takes the colours
    for blue, green, red and saves them as red, green, blue; so does this.
    """
    return np.array(
        [_colour(2.0 * math.pi * (number / _COLOURS)) for number in range(_COLOURS)], np.uint8
    )


def _colour(hue: float) -> tuple[int, ...]:
    sixths = (3.0 / math.pi) * hue
    sector = math.floor(sixths)
    rest = sixths - sector
    high, low = _INTENSITY, _INTENSITY * (1.0 - _SATURATION)
    falling, rising = (_INTENSITY * (1.0 - _SATURATION * share) for share in (rest, 1.0 - rest))
    blue_green_red = (
        (low, rising, high),
        (low, high, falling),
        (rising, high, low),
        (high, falling, low),
        (high, low, rising),
        (falling, low, high),
    )
    return tuple(int(value * 255.0) for value in blue_green_red[sector])
