"""Renders one FractalDB picture, pixel for pixel as the official program does.

Nothing that trains needs this: it is for comparison with official files.
"""

import random

import numpy as np
import numpy.typing as npt

from ktg.data.formula.fractal.chaos import (
    check_picture,
    check_transforms,
    draw_walk_numbers,
    spread_patches,
    trace,
)
from ktg.data.formula.fractal.database import scale_variant
from ktg.data.formula.fractal.kernels import apply_masks
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
    """Return which pixels (size, size) of a FractalDB picture are set: 127 in official files.

    transforms: (N, 7) of a category: a, b, c, d, e, f, probability.
    scale, row: which of the 25 variants; see `scale_variant`. Row 2 is the category itself.
    patch: paint a random 3x3 mask for every point instead of one pixel. The masks are those that
        the official program draws after `random.seed(seed)`; a patch without a seed is refused,
        because it could not be drawn again.

    The picture is that of flip 0. Raises SpecError for arguments out of range and DataError for a
    system that leaves no finite point.
    """
    check_picture(size, points)
    system = scale_variant(check_transforms(transforms), scale, row)
    keys = trace(system, draw_walk_numbers(points), size)
    if not patch:
        return np.flipud(keys > 0)
    if seed is None:
        problem = "patch rendering draws random masks; give the seed of Python's random"
        raise SpecError("seed", problem)
    drawn = np.empty(keys.size, np.uint8)
    apply_masks(spread_patches(keys).ravel(), replay_python_masks(seed, points), drawn)
    return np.flipud(drawn.reshape(keys.shape).view(np.bool_))


def replay_python_masks(seed: int, count: int) -> npt.NDArray[np.uint16]:
    """Return the masks (count,) that `random.randrange(1, 512)` gives after `random.seed(seed)`."""
    # numpy's MT19937 gets the state of Python's and then draws all outputs at once. `randrange`
    # takes the top 9 bits of each 32-bit output and rejects 511; 64 more are drawn than needed, so
    # that one round nearly always suffices.
    _, state, _ = random.Random(seed).getstate()  # noqa: S311 - pictures, no secrets
    twister = np.random.MT19937()
    key = np.array(state[:-1], np.uint32)
    twister.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": state[-1]}}
    masks = np.empty(0, np.uint16)
    while len(masks) < count:
        drawn = (twister.random_raw(count - len(masks) + 64) >> np.uint64(23)).astype(np.uint16)
        masks = np.concatenate([masks, drawn[drawn < 511] + np.uint16(1)])
    return masks[:count]
