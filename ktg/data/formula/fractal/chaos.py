"""Plays the chaos game of the official FractalDB program, and enters its points into a grid.

Kataoka et al., "Pre-training without Natural Images", ACCV 2020; the official program is under the
MIT licence.
"""

import functools

import numpy as np
import numpy.typing as npt

from ktg.data.formula.fractal.kernels import Keys, Reals, spread, to_pixels, walk, write_latest
from ktg.errors import DataError, SpecError, show

PAD = 6  # pixels of margin, as in the official program
MIN_SIZE = 2 * PAD + 1
MAX_POINTS = 2**27  # so that a key, `(1 + point) << 4`, fits an int32
_LOST = 100  # points before an overflow that the official program drops with it
_WALK_SEED = 100


def trace(transforms: Reals, uniform: Reals, size: int) -> Keys:
    """Return the keys (size, size) of the points of one walk, y upwards; the last point of a pixel.

    transforms: (N, 7): a, b, c, d, e, f and probability. x' = a x + b y + e, y' = c x + d y + f,
    from (0, 0).
    uniform: (points,) numbers in [0, 1): each chooses the transform of the next step; the last one
    is not used. With probabilities 0.75 and 0.25, 0.6 chooses the first, 0.8 the second.

    Both axes are stretched to the size less a margin of 6 pixels. A path that overflows loses its
    points that are not a number, and the 100 before them, as in the official program; where none is
    left, DataError is raised.
    """
    xs, ys = walk_path(transforms, uniform)
    kept = _count_kept(xs, ys)
    if kept < 1:
        raise DataError(
            f"transforms: the system overflows within {_LOST} points, so that no picture is left"
        )
    keys = np.zeros((size, size), np.int32)
    write_latest(_pixels(xs[:kept], size), _pixels(ys[:kept], size), keys)
    return keys


def spread_patches(keys: Keys) -> Keys:
    """Return the keys of the patches on top of each pixel, if every point paints a 3x3 patch."""
    spread_keys = np.empty_like(keys)
    spread(keys, spread_keys)
    return spread_keys


@functools.lru_cache(maxsize=4)
def draw_walk_numbers(points: int) -> Reals:
    """Return the numbers (points,) that choose the transforms, the same for all pictures."""
    uniform = np.random.RandomState(_WALK_SEED).random_sample(points)
    uniform.flags.writeable = False  # all callers share the cached array
    return uniform


def check_picture(size: int, points: int) -> None:
    """Raise SpecError unless a picture of this size with this many points can be drawn."""
    if size < MIN_SIZE:
        why = f"the margin takes {PAD} pixels a side"
        raise SpecError("size", f"expected at least {MIN_SIZE} ({why}), got {show(size)}")
    if not 1 <= points < MAX_POINTS:
        raise SpecError("points", f"expected 1 to {MAX_POINTS - 1}, got {show(points)}")


def check_transforms(values: npt.ArrayLike) -> Reals:
    """Return transforms as an array (N, 7) of float64. Raises SpecError for any other shape."""
    transforms = np.ascontiguousarray(values, dtype=np.float64)
    if transforms.ndim != 2 or transforms.shape[1] != 7 or not 1 <= len(transforms) < 256:
        wanted = "(N, 7): a, b, c, d, e, f, probability"
        raise SpecError("transforms", f"expected {wanted}; got {transforms.shape}")
    return transforms


def walk_path(
    transforms: Reals, uniform: Reals, start: tuple[float, float] = (0.0, 0.0)
) -> tuple[Reals, Reals]:
    """Return x and y, (points,) each, of the walk from `start`; a path may overflow."""
    xs, ys = np.empty(len(uniform)), np.empty(len(uniform))
    xs[0], ys[0] = start
    # A running maximum changes no choice and lets the walk count instead of search.
    cumulative = np.maximum.accumulate(np.cumsum(transforms[:, 6]))
    walk(uniform, cumulative, np.ascontiguousarray(transforms[:, :6]), xs, ys)
    return xs, ys


def _count_kept(xs: Reals, ys: Reals) -> int:
    """Return how many of the first points are kept."""
    for values in (xs, ys):
        if np.isnan(values[-1]):  # once a coordinate is not a number, it stays so to the end
            return int(np.argmax(np.isnan(values))) - _LOST
    return len(xs)


def _pixels(values: Reals, size: int) -> Keys:
    pixels = np.empty(len(values), np.int32)
    # Scalars of numpy, for which infinity less infinity is NaN, as in the path, and no error.
    with np.errstate(all="ignore"):
        low = values.min()
        span = values.max() - low
    to_pixels(values, low, span, float(size - 2 * PAD), float(PAD), pixels)
    return pixels
