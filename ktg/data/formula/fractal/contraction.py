"""Draws random systems of affine maps that contract, by their singular values.

Anderson & Farrell, "Improving Fractal Pre-training", WACV 2022, section 3.2.
"""

import numpy as np
import numpy.typing as npt

from ktg.data.formula.fractal.kernels import Reals


def draw_contracting(count: int, weight: float, generator: np.random.Generator) -> Reals:
    """Return transforms (N, 7) with singular values 1 >= s1 >= s2 and sum(s1 + 2 s2) = weight.

    A = U diag(s) V with rotations and reflections U and V that are uniform; e and f uniform in (-1,
    1); probabilities proportional to |det A|. `weight` lies between 0 and 3 N: the larger it is,
    the denser the fractal.
    """
    singular = draw_singular_values(count, weight, generator)
    left, right = _draw_orthogonal(count, generator), _draw_orthogonal(count, generator)
    transforms = np.empty((count, 7))
    transforms[:, :4] = ((left * singular[:, None]) @ right).reshape(count, 4)
    transforms[:, 4:6] = generator.uniform(-1.0, 1.0, (count, 2))
    area = singular.prod(axis=1)
    transforms[:, 6] = area / area.sum()
    return transforms


def draw_singular_values(count: int, weight: float, generator: np.random.Generator) -> Reals:
    """Return (N, 2) singular values, s1 >= s2, each between 0 and 1, with sum(s1 + 2 s2) = weight.

    Every value is uniform in what those before it leave possible; a pair can carry up to 3. For 2
    pairs and weight 4, the first s1 lies between 1 / 3 (the second pair carries at most 3) and 1.
    """
    drawn = np.empty((count, 2))
    left = weight
    for place in range(count - 1):
        must = left - 3.0 * (count - 1 - place)  # what the pairs that follow could not carry
        first = generator.uniform(max(0.0, must / 3), min(1.0, left))
        second = generator.uniform(max(0.0, (must - first) / 2), min(first, (left - first) / 2))
        drawn[place] = first, second
        left -= first + 2 * second
    # The last pair takes what is left: s1 + 2 s2 = left, with s2 <= s1 <= 1.
    second = generator.uniform(max(0.0, (left - 1) / 2), left / 3)
    drawn[-1] = left - 2 * second, second
    return drawn


def solve_fixed_point(transform: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the point that one contracting transform (7,) does not move; the fractal contains it.

    x' = 0.5 x + 1, y' = 0.5 y -> (2, 0).
    """
    a, b, c, d, e, f = transform[:6]
    x, y = np.linalg.solve([[1 - a, -b], [-c, 1 - d]], [e, f])
    return float(x), float(y)


def _draw_orthogonal(count: int, generator: np.random.Generator) -> Reals:
    """Return (N, 2, 2) rotations, half of them with a reflection."""
    angle = generator.uniform(-np.pi, np.pi, count)
    sign = generator.choice([-1.0, 1.0], count)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos, -sin * sign, sin, cos * sign], axis=1).reshape(count, 2, 2)
