"""Generates contracting fractals in colour on a cloudy background."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ktg.data.decode import Pixels
from ktg.data.formula.fractal.chaos import check_picture, walk_path
from ktg.data.formula.fractal.contraction import draw_contracting, solve_fixed_point
from ktg.data.formula.fractal.kernels import Keys, Reals, accumulate
from ktg.data.formula.fractal.plasma import draw_background, hsv_to_rgb
from ktg.errors import SpecError, show

Density = npt.NDArray[np.float32]
Window = tuple[Reals, Reals]


@dataclass(frozen=True)
class Svd:
    """Anderson & Farrell, "Improving Fractal Pre-training", WACV 2022.

    A class is one system of 2 to 7 contracting maps. A picture of it scales one map by 0.8 to 1.1,
    walks it with numbers of its own, looks through a window of its own, paints every point as one
    3x3 pattern, and takes the hue from how often a pixel was hit.

    fractals: at most so many in one picture, all of its class, each smaller and at a place of its
    own. (The paper mixes classes there and predicts all of them; a picture here has one label.)
    """

    classes: int = 1000
    instances: int = 1000
    size: int = 256
    points: int = 100_000
    fractals: int = 1
    colour: bool = True
    background: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_picture(self.size, self.points)
        if self.fractals < 1:
            raise SpecError("fractals", f"expected at least 1, got {show(self.fractals)}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3)."""
        return self.size, self.size, 3

    def system(self, label: int) -> Reals:
        """Return the transforms (N, 7) of a class.

        sum(s1 + 2 s2) is uniform in (5 + N) / 2 to (6 + N) / 2: 4 to 4.5 for 3 maps.
        """
        generator = np.random.default_rng((self.seed, label))
        count = int(generator.integers(2, 8))
        weight = generator.uniform((5 + count) / 2, (6 + count) / 2)
        return draw_contracting(count, weight, generator)

    def draw(self, label: int, instance: int) -> Pixels:
        """Return one picture (H, W, 3)."""
        generator = np.random.default_rng((self.seed, label, instance))
        blank = np.zeros(self.shape, np.uint8)
        drawn = draw_background(self.size, generator) if self.background else blank
        number = int(generator.integers(1, self.fractals + 1))
        for _ in range(number):
            side = self.size
            if self.fractals > 1:
                side = int(self.size * generator.uniform(0.15, 0.6))
            density = self._draw_density(label, side, generator)
            _overlay(drawn, density, self._paint(density, generator), generator)
        if self.colour and generator.random() < 0.5:
            blur = ImageFilter.GaussianBlur(generator.uniform(0.5, 1.0))
            drawn = np.array(Image.fromarray(drawn).filter(blur))
        return drawn

    def name(self, instance: int) -> str:
        """Return the number of the picture."""
        return f"{instance:04d}"

    def _draw_density(self, label: int, side: int, generator: np.random.Generator) -> Density:
        """Return how often each pixel (side, side) was hit, scaled to 1, turned at random."""
        system = _jitter(self.system(label), generator)
        xs, ys = walk_path(system, generator.random(self.points), solve_fixed_point(system[0]))
        low, high = _choose_window(xs, ys, generator, loose=self.fractals == 1)
        rows, columns = _to_pixels(xs, low[0], high[0], side), _to_pixels(ys, low[1], high[1], side)
        density = np.zeros((side, side), np.float32)
        accumulate(columns, rows, _draw_pattern(generator), density)
        turned = density.T if generator.random() < 0.5 else density
        return turned[:: generator.choice([-1, 1]), :: generator.choice([-1, 1])] / max(
            1.0, float(density.max())
        )

    def _paint(self, density: Density, generator: np.random.Generator) -> Pixels:
        if not self.colour:
            return np.repeat((density * 127).astype(np.uint8)[..., None], 3, axis=2)
        hue, saturation, value = generator.uniform([0.0, 0.3, 0.5], 1.0)
        return hsv_to_rgb(density + hue, saturation, value)


def _jitter(system: Reals, generator: np.random.Generator) -> Reals:
    """Return the system with one map scaled by 0.8 to 1.1, or unchanged after four failures.

    A system fails that no longer contracts.
    """
    for _ in range(4):
        scaled = system.copy()
        scaled[generator.integers(len(system)), :6] *= generator.uniform(0.8, 1.1)
        if np.linalg.svd(scaled[:, :4].reshape(-1, 2, 2), compute_uv=False).max() <= 1:
            return scaled
    return system


def _choose_window(xs: Reals, ys: Reals, generator: np.random.Generator, loose: bool) -> Window:
    """Return the low and high corner of the view: the extent of the points; random if `loose`."""
    points = np.stack([xs, ys])
    low, high = points.min(axis=1), points.max(axis=1)
    if not loose:
        return low, high
    extent = high - low
    centre = (low + high) / 2 + extent * generator.uniform(-0.2, 0.2, 2)
    half = extent * generator.uniform(0.5, 2.0, 2) / 2
    return centre - half, centre + half


def _to_pixels(values: Reals, low: float, high: float, side: int) -> Keys:
    # A fractal without extent in one direction must not divide by zero.
    return np.floor((values - low) * ((side - 1) / max(high - low, 1e-12))).astype(np.int32)


def _draw_pattern(generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the offsets (K, 2) of a random 3x3 pattern, never an empty one."""
    mask = int(generator.integers(1, 512))
    return np.array([divmod(bit, 3) for bit in range(9) if mask >> bit & 1]) - 1


def _overlay(
    picture: Pixels, density: Density, coloured: Pixels, generator: np.random.Generator
) -> None:
    """Lay the fractal over the picture; a smaller one anywhere, at least a quarter of it inside."""
    size, side, top, left = len(picture), len(density), 0, 0
    if side != size:
        top, left = generator.integers(-(side // 2), size - side // 2, 2).tolist()
    inside = slice(max(top, 0), min(top + side, size)), slice(max(left, 0), min(left + side, size))
    own = (
        slice(inside[0].start - top, inside[0].stop - top),
        slice(inside[1].start - left, inside[1].stop - left),
    )
    hit = density[own] > 0
    picture[inside][hit] = coloured[own][hit]
