"""One FractalDB picture, pixel for pixel that of the official program."""

import numpy as np
import numpy.typing as npt

from ktg.data.formula.fractal.chaos import as_transforms, check, patches, trace, walk_numbers
from ktg.data.formula.fractal.kernels import stamp
from ktg.data.formula.fractal.masks import python_masks
from ktg.data.formula.fractal.variants import variant
from ktg.errors import SpecError


def render(
    transforms: npt.ArrayLike,
    *,
    scale: float,
    row: int,
    size: int,
    points: int,
    patch: bool = False,
    seed: int | None = None,
) -> npt.NDArray[np.bool_]:
    """Return which pixels (size, size) of a FractalDB picture are set (the official files hold 127 there, else 0).

    transforms: (N, 7) of a category: a, b, c, d, e, f, probability.
    scale, row: which of the 25 variants; see `variant`. Row 2 is the category itself.
    patch: paint a random 3x3 mask for every point instead of one pixel. The masks are those that
    the official program draws after `random.seed(seed)`; a patch without a seed is refused, because
    it could not be drawn again.

    The picture is that of flip 0. Raises SpecError for arguments out of range and DataError for a
    system that leaves no finite point.
    """
    check(size, points)
    keys = trace(variant(as_transforms(transforms), scale, row), walk_numbers(points), size)
    if not patch:
        return np.flipud(keys > 0)
    if seed is None:
        raise SpecError(
            "seed", "patch rendering draws random masks; give the seed of Python's random"
        )
    drawn = np.empty(keys.size, np.uint8)
    stamp(patches(keys).ravel(), python_masks(seed, points), drawn)
    return np.flipud(drawn.reshape(keys.shape).view(np.bool_))
