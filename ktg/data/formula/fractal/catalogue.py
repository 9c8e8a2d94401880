"""Replays the search for FractalDB categories, and loads the first 1,000 that it finds."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ktg.data.formula.fractal.chaos import trace
from ktg.data.formula.fractal.kernels import Reals
from ktg.errors import SpecError, show

SEARCH_SEED = 1
SEARCH_SIZE = 512
SEARCH_POINTS = 100_000
MIN_FILL = 0.2

_SHIPPED = Path(__file__).with_name("categories.npz")

OnFound = Callable[[int, int], None]


def search_categories(generator: np.random.RandomState | None = None) -> Iterator[Reals]:
    """Yield the categories of FractalDB, transforms (N, 7), in their official order, without end.

    A candidate has 2 to 7 transforms with a..f uniform in (-1, 1) and probabilities proportional to
    |ad - bc|: determinants 0.3 and 0.1 -> 0.75 and 0.25. It is a category if its points fill at
    least a fifth of 512 x 512 pixels. About one in 43 does; a category takes 60 ms on one core.
    Everything is drawn from `generator`, by default a new one with the official seed; after each
    category its state is the point to go on from.
    """
    generator = generator or np.random.RandomState(SEARCH_SEED)
    while True:
        transforms = draw_candidate(generator)
        if measure_fill(transforms, generator.random_sample(SEARCH_POINTS)) >= MIN_FILL:
            yield transforms


def draw_candidate(generator: np.random.RandomState) -> Reals:
    """Return the next random system, (N, 7)."""
    transforms = np.empty((generator.randint(2, 8), 7))
    for transform in transforms:
        transform[:6] = generator.uniform(-1.0, 1.0, 6)
    a, b, c, d = transforms[:, :4].T
    area = np.abs(a * d - b * c)
    # Python's `sum` adds one by one; numpy's pairwise sum may differ in the last bit, and a path is
    # chaotic: the last bit decides it.
    transforms[:, 6] = area / sum(area)
    return transforms


def measure_fill(transforms: Reals, uniform: Reals) -> float:
    """Return the share of 512 x 512 pixels that one walk visits."""
    return np.count_nonzero(trace(transforms, uniform, SEARCH_SIZE)) / SEARCH_SIZE**2


def load_categories(count: int, progress: OnFound | None = None) -> tuple[Reals, ...]:
    """Return the first `count` categories of FractalDB, each (N, 7).

    The first 1,000 come with ktg: they are what `search_categories` finds, and equal those
    published with FractalDB (AIST 2020, MIT licence). More are searched, which takes a minute for
    each thousand; `progress` gets (found, wanted).
    """
    if count < 1:
        raise SpecError("categories", f"expected at least 1, got {show(count)}")
    known, generator = _load_shipped()
    found = known[:count]
    following = search_categories(generator)
    while len(found) < count:
        found.append(next(following))
        if progress is not None:
            progress(len(found), count)
    return tuple(found)


def save_categories(path: Path, found: Sequence[Reals], generator: np.random.RandomState) -> None:
    """Write the categories that `load_categories` begins with, and the generator after them."""
    state = generator.get_state(legacy=False)["state"]
    sizes = np.array([len(transforms) for transforms in found], np.uint8)
    np.savez_compressed(
        path, transforms=np.concatenate(found), sizes=sizes, key=state["key"], position=state["pos"]
    )


def _load_shipped(path: Path = _SHIPPED) -> tuple[list[Reals], np.random.RandomState]:
    """Return the categories that come with ktg, and the generator in its state after the last."""
    with np.load(path, allow_pickle=False) as file:
        names = ("transforms", "sizes", "key", "position")
        transforms, sizes, key, position = (file[name] for name in names)
    generator = np.random.RandomState(SEARCH_SEED)
    generator.set_state({"bit_generator": "MT19937", "state": {"key": key, "pos": int(position)}})
    return np.split(transforms, np.cumsum(sizes)[:-1]), generator
