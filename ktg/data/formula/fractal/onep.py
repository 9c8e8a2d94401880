"""Generates 1p-frac: one fractal, whose small perturbations are the classes."""

from dataclasses import dataclass

import numpy as np

from ktg.data.decode import Pixels
from ktg.data.formula.fractal.brush import GRAY, paint_picture
from ktg.data.formula.fractal.chaos import check_picture, draw_walk_numbers, spread_patches, trace
from ktg.data.formula.fractal.contraction import draw_contracting
from ktg.data.formula.fractal.kernels import Reals
from ktg.errors import DataError

_MAPS = 2
_TRIES = 100


@dataclass(frozen=True)
class OneFractal:
    """Nakamura et al., "Scaling Backwards: Minimal Synthetic Pre-training?", ECCV 2024.

    Two contracting maps are drawn once from `seed`, with singular values that sum to `sigma` +- 0.1
    (s2 counted twice). Each class scales all twelve parameters by factors uniform in 1 - delta to 1
    + delta, and has one picture. A class that fills less than 5 % of the pixels is drawn again.
    """

    classes: int = 1000
    sigma: float = 3.5
    delta: float = 0.1
    size: int = 256
    points: int = 100_000
    seed: int = 0

    def __post_init__(self) -> None:
        check_picture(self.size, self.points)

    @property
    def instances(self) -> int:
        """One."""
        return 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3)."""
        return self.size, self.size, 3

    def draw(self, label: int, instance: int) -> Pixels:
        """Return the picture (H, W, 3) of a class.

        Raises DataError where no perturbation fills enough pixels.
        """
        numbers = draw_walk_numbers(self.points)
        for attempt in range(_TRIES):
            keys = spread_patches(trace(self.system(label, attempt), numbers, self.size))
            drawn = paint_picture(keys, GRAY, (self.seed, label, attempt))
            if np.count_nonzero(drawn[..., 0]) > 0.05 * self.size**2:
                return drawn
        problem = f"seed {self.seed} gives a fractal too thin to be seen"
        raise DataError(f"onep: {problem}; take another seed or sigma")

    def name(self, instance: int) -> str:
        """Return the name that the authors' program gives."""
        return "00_count_0_flip0"

    def base(self) -> Reals:
        """Return the fractal itself, (2, 7)."""
        generator = np.random.default_rng((self.seed, 0))
        weight = generator.uniform(self.sigma - 0.1, self.sigma + 0.1)
        return draw_contracting(_MAPS, weight, generator)

    def system(self, label: int, attempt: int = 0) -> Reals:
        """Return the perturbed transforms (2, 7) of a class, at its first or a later attempt."""
        # A seed for each class and attempt: any class can be drawn without those before it.
        perturbed = self.base()
        generator = np.random.default_rng((self.seed, 1, label, attempt))
        perturbed[:, :6] *= generator.uniform(1 - self.delta, 1 + self.delta, (_MAPS, 6))
        return perturbed
