"""Generates FractalDB: categories, 25 variants of each, 10 sets of masks, 4 flips."""

import functools
import math
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np

from ktg.byte_lru import ByteLRU
from ktg.data.decode import Pixels
from ktg.data.formula.fractal.brush import GRAY, compute_rainbow, paint_picture
from ktg.data.formula.fractal.chaos import check_picture, draw_walk_numbers, spread_patches, trace
from ktg.data.formula.fractal.kernels import Keys, Reals
from ktg.errors import SpecError, show

VARIANTS = 25
FLIPS = 4


@dataclass(frozen=True, eq=False)
class FractalDB:
    """Kataoka et al., "Pre-training without Natural Images", ACCV 2020 / IJCV 2022.

    systems: the categories, transforms (N, 7) each; see `load_categories`.
    scale: how far the 25 variants of a category lie apart: 0.1 is the official default, 0.4 the
        recommended setting. At 0.4 about one variant in 23 overflows and is nearly empty, as it is
        in the official data.
    patch: 3x3 masks in place of single points; every variant is then drawn with `masks` sets.
    colour: the official 128 colours instead of gray 127.
    seed: of the masks. The official program leaves them to chance.
    memory_bytes: the most memory for walks. A picture with a cached walk costs a tenth of the time.

    Pictures of one class are in the order of the official file names: variant, set of masks, flip.
    """

    systems: tuple[Reals, ...]
    scale: float = 0.4
    size: int = 256
    points: int = 100_000
    patch: bool = True
    colour: bool = False
    masks: int = 10
    seed: int = 0
    memory_bytes: int = 2**28
    _walks: ByteLRU[Keys] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_picture(self.size, self.points)
        if self.masks < 1:
            raise SpecError("masks", f"expected at least 1, got {show(self.masks)}")
        # The flips and masks of a variant share its walk, and pictures are drawn in random order.
        object.__setattr__(self, "_walks", ByteLRU(attrgetter("nbytes"), self.memory_bytes))

    @property
    def classes(self) -> int:
        """The number of categories."""
        return len(self.systems)

    @property
    def instances(self) -> int:
        """1,000 as published; 100 when points are drawn, which have no masks."""
        return VARIANTS * self._masks * FLIPS

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3): the official files are in colour, gray ones too."""
        return self.size, self.size, 3

    def draw(self, label: int, instance: int) -> Pixels:
        """Return one picture (H, W, 3). Flip 1 is top to bottom, 2 left to right, 3 both."""
        row, count, flip = self._place(instance)
        keys = self._walks.get((label, row), lambda: self._walk(label, row))
        mask_seed = (self.seed, label, row, count) if self.patch else None
        return paint_picture(keys, compute_rainbow() if self.colour else GRAY, mask_seed, flip)

    def name(self, instance: int) -> str:
        """Return the official name without the category: number 134 -> 03_count_3_flip2."""
        row, count, flip = self._place(instance)
        return f"{row:02d}_count_{count}_flip{flip}"

    @property
    def _masks(self) -> int:
        return self.masks if self.patch else 1

    def _place(self, instance: int) -> tuple[int, int, int]:
        rest, flip = divmod(instance, FLIPS)
        row, count = divmod(rest, self._masks)
        return row, count, flip

    def _walk(self, label: int, row: int) -> Keys:
        transforms = scale_variant(self.systems[label], self.scale, row)
        keys = trace(transforms, draw_walk_numbers(self.points), self.size)
        return spread_patches(keys) if self.patch else keys


@dataclass(frozen=True, eq=False)
class OneInstance(FractalDB):
    """OFDB, the first picture of each category alone: Nakamura et al., ICCV 2023.

    It is variant 0, because the authors' program takes the first row of the table and not the
    category itself. Without augmentation there would be nothing to learn from it.
    """

    scale: float = 0.1

    @property
    def instances(self) -> int:
        """One."""
        return 1


def scale_variant(transforms: Reals, scale: float, row: int) -> Reals:
    """Return transforms (N, 7) with one of a..f scaled in all of them, as variant `row` has it.

    Rows 0 to 4 scale a by 1-2X, 1-X, 1 (the category itself), 1+X, 1+2X, where X is `scale`; then
    four rows each scale b, c, d, e and f by 1-2X, 1-X, 1+X, 1+2X. With X = 0.4, row 0 multiplies a
    by 0.2 and row 8 multiplies b by 1.8. The probabilities stay as they are.
    Raises SpecError for a row outside 0 to 24.
    """
    if not 0 <= row < VARIANTS:
        raise SpecError("row", f"expected 0 to {VARIANTS - 1}, got {show(row)}")
    if not math.isfinite(scale):
        raise SpecError("scale", f"expected a number such as 0.1 or 0.4, got {show(scale)}")
    scaled: Reals = transforms * _variant_table(scale)[row]
    return scaled


@functools.lru_cache(maxsize=8)
def _variant_table(scale: float) -> Reals:
    table = np.ones((VARIANTS, 7))
    # Rounded, because the official tables hold the decimals: 0.2 and not 1 - 2 * 0.4.
    factors = [round(1 + step * scale, 9) for step in (-2, -1, 1, 2)]
    rows = [row for row in range(VARIANTS) if row != 2]
    for place, row in enumerate(rows):
        table[row, place // 4] = factors[place % 4]
    return table
