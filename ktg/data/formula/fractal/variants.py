"""The 25 variants of a FractalDB category: its parameters, one kind at a time, scaled."""

import functools
import math

import numpy as np

from ktg.data.formula.fractal.kernels import Reals
from ktg.errors import SpecError, show

VARIANTS = 25


def variant(transforms: Reals, scale: float, row: int) -> Reals:
    """Return transforms (N, 7) with one of a..f scaled in all of them; the probabilities stay as they are.

    Rows 0 to 4 scale a by 1-2X, 1-X, 1 (the category itself), 1+X, 1+2X, where X is `scale`; then
    four rows each scale b, c, d, e and f by 1-2X, 1-X, 1+X, 1+2X. X is 0.1 in the official default
    and 0.4 in its recommended setting.
    Raises SpecError for a row outside 0 to 24.
    """
    if not 0 <= row < VARIANTS:
        raise SpecError("row", f"expected 0 to {VARIANTS - 1}, got {show(row)}")
    if not math.isfinite(scale):
        raise SpecError("scale", f"expected a number such as 0.1 or 0.4, got {show(scale)}")
    scaled: Reals = transforms * _table(scale)[row]
    return scaled


@functools.lru_cache(maxsize=8)
def _table(scale: float) -> Reals:
    table = np.ones((VARIANTS, 7))
    # Rounded, because the official tables hold the decimals: 0.2 and not 1 - 2 * 0.4.
    factors = [round(1 + step * scale, 9) for step in (-2, -1, 1, 2)]
    rows = [row for row in range(VARIANTS) if row != 2]
    for place, row in enumerate(rows):
        table[row, place // 4] = factors[place % 4]
    return table
