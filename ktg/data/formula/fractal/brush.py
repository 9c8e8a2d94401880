"""Paints keys as pixels: points or patches, gray or in the colours of FractalDB."""

import functools
import math

import numpy as np

from ktg.data.decode import Pixels
from ktg.data.formula.fractal.kernels import FIRST, Keys, apply_hashed_masks, paint

GRAY = np.full((1, 3), 127, np.uint8)
_COLOURS = 128
_SATURATION = _INTENSITY = 0.75
_GOLDEN = 0x9E3779B97F4A7C15
_64_BITS = 2**64 - 1


def paint_picture(
    keys: Keys, palette: Pixels, mask_seed: tuple[int, ...] | None = None, flip: int = 0
) -> Pixels:
    """Return the picture (size, size, 3) in black and the colours (K, 3), with y downwards.

    keys: of points, or of patches, with y upwards.
    mask_seed: for patches, whole numbers that seed their random masks.
    flip: 0 for none, 1 top to bottom, 2 left to right, 3 both.
    """
    if mask_seed is None:
        drawn = (keys >= FIRST).view(np.uint8)
    else:
        drawn = np.empty(keys.shape, np.uint8)
        # Other masks for other numbers, the same ones in every process.
        apply_hashed_masks(keys.ravel(), np.uint32(mix_words(*mask_seed) >> 32), drawn.ravel())
    painted = np.empty((*keys.shape, 3), np.uint8)
    paint(keys, drawn, palette, flip & 1 == 0, flip & 2 != 0, painted)
    return painted


@functools.cache
def compute_rainbow() -> Pixels:
    """Return the 128 colours (128, 3) that FractalDB gives to its points in turn.

    They are one turn of the hue at constant saturation and intensity.
    """
    hues = [2.0 * math.pi * (number / _COLOURS) for number in range(_COLOURS)]
    return np.array([_colour(hue) for hue in hues], np.uint8)


def mix_words(*words: int) -> int:
    """Return a 64-bit hash of whole numbers: splitmix64 (Steele et al., OOPSLA 2014) per word."""
    state = 0
    for word in words:
        state = (state ^ (word & _64_BITS)) + _GOLDEN & _64_BITS
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _64_BITS
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _64_BITS
        state ^= state >> 31
    return state


def _colour(hue: float) -> tuple[int, ...]:
    sixths = (3.0 / math.pi) * hue
    sector = math.floor(sixths)
    rest = sixths - sector
    high, low = _INTENSITY, _INTENSITY * (1.0 - _SATURATION)
    falling, rising = (_INTENSITY * (1.0 - _SATURATION * share) for share in (rest, 1.0 - rest))
    # The official program computes blue, green, red and saves them as red, green, blue.
    blue_green_red = (
        (low, rising, high),
        (low, high, falling),
        (rising, high, low),
        (high, falling, low),
        (high, low, rising),
        (falling, low, high),
    )
    return tuple(int(value * 255.0) for value in blue_green_red[sector])
