"""FractalDB as a formula: categories, 25 variants of each, 10 sets of masks, 4 flips."""

from dataclasses import dataclass, field
from operator import attrgetter

from ktg.byte_lru import ByteLRU
from ktg.data.formula.formula import Picture
from ktg.data.formula.fractal.brush import GRAY, picture, rainbow
from ktg.data.formula.fractal.chaos import check, patches, trace, walk_numbers
from ktg.data.formula.fractal.kernels import Keys, Reals
from ktg.data.formula.fractal.variants import VARIANTS, variant
from ktg.errors import SpecError, show

FLIPS = 4


@dataclass(frozen=True, eq=False)
class FractalDB:
    """Kataoka et al., "Pre-training without Natural Images", ACCV 2020 / IJCV 2022.

    systems: the categories, transforms (N, 7) each; see `categories`.
    scale: how far the 25 variants of a category lie apart: 0.1 is the official default, 0.4 the recommended setting.
        At 0.4 about one variant in 23 overflows and is nearly empty, as it is in the official data.
    patch: 3x3 masks in place of single points; then every variant is drawn with `masks` sets of them.
    colour: the official 128 colours instead of gray 127.
    seed: of the masks. The official program leaves them to chance.
    memory_bytes: what may be kept of the walks. A picture whose walk is known costs a tenth of the time.

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
        check(self.size, self.points)
        if self.masks < 1:
            raise SpecError("masks", f"expected at least 1, got {show(self.masks)}")
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

    def draw(self, label: int, instance: int) -> Picture:
        """Return one picture (H, W, 3). Flip 1 is top to bottom, 2 left to right, 3 both."""
        row, count, flip = self._place(instance)
        keys = self._walks.get((label, row), lambda: self._walk(label, row))
        mask_seed = (self.seed, label, row, count) if self.patch else None
        return picture(keys, rainbow() if self.colour else GRAY, mask_seed, flip)

    def name(self, instance: int) -> str:
        """Return the official name, as 03_count_1_flip2, without that of the category."""
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
        transforms = variant(self.systems[label], self.scale, row)
        keys = trace(transforms, walk_numbers(self.points), self.size)
        return patches(keys) if self.patch else keys


@dataclass(frozen=True, eq=False)
class OneInstance(FractalDB):
    """OFDB, the first picture of each category alone: Nakamura et al., ICCV 2023.

    It is variant 0, because the authors' program takes the first row of the table and not the
    category itself. Training on it lives on augmentation.
    """

    scale: float = 0.1

    @property
    def instances(self) -> int:
        """One."""
        return 1
