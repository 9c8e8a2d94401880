"""Runs the inner loops of rendering, compiled on first use.

A key is an int32 that packs which point a pixel shows and where in the point's 3x3 patch it lies:
`(1 + point) << 4` plus the number of the bit in the patch's mask, 0 to 8. Bit 8 of point 0 has the
key 24, bit 0 of point 2 the key 48; a pixel with a key below `FIRST` is empty. Among keys the
latest point is the largest, so "the last writer wins" is a maximum.

Fast-math stays off: the pixels depend on every rounding.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba
import numpy as np
import numpy.typing as npt

P = ParamSpec("P")
R = TypeVar("R")

Reals = npt.NDArray[np.float64]
Keys = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

SHIFT = 4
FIRST = 1 << SHIFT


def compile_cached(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function compiled, cached on the disk, and without the interpreter lock.

    A division by zero gives infinity or NaN, as in numpy.
    """
    # numba caches beside the source or, where that is read-only, in the user's cache folder or
    # $NUMBA_CACHE_DIR. Where none can be written it raises, and each process compiles for itself
    # (a few seconds).
    jit: Any = numba.njit
    try:
        machine: Callable[P, R] = jit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:
        machine = jit(nogil=True, error_model="numpy")(function)
    return machine


@compile_cached
def walk(uniform: Reals, cumulative: Reals, transforms: Reals, xs: Reals, ys: Reals) -> None:
    """Fill `xs` and `ys` (points,) with the path from (xs[0], ys[0]) under transforms (N, 6).

    Step i takes the first j with uniform[i] <= cumulative[j], and stays where it is if there is
    none.
    """
    x, y = xs[0], ys[0]
    # `cumulative` never falls, so j is the number of entries below uniform[i]. Counting them has no
    # branch to mispredict and runs beside the arithmetic of the step before.
    for i in range(xs.size - 1):
        j = 0
        for k in range(cumulative.size):
            j += uniform[i] > cumulative[k]
        if j < cumulative.size:
            a, b, c, d, e, f = transforms[j]
            x, y = x * a + y * b + e, x * c + y * d + f
        xs[i + 1] = x
        ys[i + 1] = y


@compile_cached
def to_pixels(
    values: Reals, low: float, span: float, inner: float, pad: float, pixels: Keys
) -> None:
    """Fill `pixels` with (value - low) / span * inner + pad in whole numbers; 0 if not finite."""
    # Zero, because the official pictures were made on x86, where a conversion of NaN or infinity to
    # 16 bits gives that.
    for i in range(pixels.size):
        pixel = (values[i] - low) / span * inner + pad
        pixels[i] = np.int32(pixel) if np.abs(pixel) < np.inf else np.int32(0)


@compile_cached
def write_latest(columns: Keys, rows: Keys, keys: Keys) -> None:
    """Write the key of every point into its pixel of `keys` (size, size), later over earlier."""
    for i in range(columns.size):
        keys[rows[i], columns[i]] = (i + 1) << SHIFT


@compile_cached
def spread(keys: Keys, spread_keys: Keys) -> None:
    """Fill `spread_keys` with the key of the last 3x3 patch that covers each pixel.

    The patch of a point at (x, y) covers x + 1 to x + 3 and y + 1 to y + 3. Bit 8 of its mask is at
    the least x and y, bit 0 at the largest. An empty pixel may get a key below `FIRST`.
    """
    # The maximum over 3x3 is one over columns, then one over rows: 6 comparisons instead of 9.
    size = keys.shape[0]
    band = np.zeros_like(keys)
    for y in range(size):
        for x in range(1, size):
            key = keys[y, x - 1] + 2
            key = max(key, keys[y, x - 2] + 1) if x > 1 else key
            band[y, x] = max(key, keys[y, x - 3]) if x > 2 else key
    spread_keys[0] = 0
    for y in range(1, size):
        for x in range(size):
            key = band[y - 1, x] + 6
            key = max(key, band[y - 2, x] + 3) if y > 1 else key
            spread_keys[y, x] = max(key, band[y - 3, x]) if y > 2 else key


@compile_cached
def apply_masks(keys: Keys, masks: npt.NDArray[np.uint16], drawn: Bytes) -> None:
    """Fill `drawn` with the bit of each key in the mask of its point; `masks` are 1 to 511."""
    for i in range(drawn.size):
        point = keys[i] >> SHIFT
        drawn[i] = (masks[point - 1] >> (keys[i] & 15)) & 1 if point else 0


@compile_cached
def apply_hashed_masks(keys: Keys, seed: np.uint32, drawn: Bytes) -> None:
    """Do what `apply_masks` does, with masks that are a hash of `seed` and the point.

    The hash is the 32-bit finaliser of MurmurHash3 (Appleby, public domain) over seed and point.
    """
    # Hashed, so that no masks need be drawn and stored for all points ahead.
    for i in range(drawn.size):
        key = np.uint32(keys[i])
        h = np.uint32(np.uint32(key >> np.uint32(SHIFT)) * np.uint32(0x9E3779B1)) ^ seed
        h = np.uint32(np.uint32(h ^ np.uint32(h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
        h = np.uint32(np.uint32(h ^ np.uint32(h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
        h = np.uint32(h ^ np.uint32(h >> np.uint32(16)))
        # 23 bits of the hash scaled to 1 to 511 without leaving 32 bits.
        mask = np.uint32(
            np.uint32(np.uint32(h >> np.uint32(9)) * np.uint32(511)) >> np.uint32(23)
        ) + np.uint32(1)
        bit = np.uint32(mask >> np.uint32(key & np.uint32(15))) & np.uint32(1)
        drawn[i] = np.uint8(bit) if key >= np.uint32(16) else np.uint8(0)


@compile_cached
def paint(
    keys: Keys, drawn: Bytes, palette: Bytes, upside_down: bool, mirrored: bool, picture: Bytes
) -> None:
    """Fill `picture` (size, size, 3) with the colours of the points where `drawn`, else black.

    `palette` (K, 3), with K a power of 2, gives a colour to each point in turn: point p has colour
    p modulo K.
    """
    size = keys.shape[0]
    for y in range(size):
        from_y = size - 1 - y if upside_down else y
        for x in range(size):
            from_x = size - 1 - x if mirrored else x
            # Without a branch: whether a pixel is set is random, and a mispredicted branch costs
            # more than the colours.
            colour = ((keys[from_y, from_x] >> SHIFT) - 1) & (palette.shape[0] - 1)
            for channel in range(3):
                picture[y, x, channel] = palette[colour, channel] * drawn[from_y, from_x]


@compile_cached
def accumulate(
    columns: Keys, rows: Keys, offsets: npt.NDArray[np.int64], counts: npt.NDArray[np.float32]
) -> None:
    """Add 1 to `counts` (size, size) at every point and offset (K, 2: y, x), as far as inside."""
    size = counts.shape[0]
    for i in range(columns.size):
        for k in range(offsets.shape[0]):
            y, x = rows[i] + offsets[k, 0], columns[i] + offsets[k, 1]
            if 0 <= y < size and 0 <= x < size:
                counts[y, x] += 1
