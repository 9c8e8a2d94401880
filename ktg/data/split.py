"""Stratified, seeded choices of rows: what is held out, and what a few-shot training split keeps."""

import numpy as np
import numpy.typing as npt

from ktg.data.pictures import Rows

# Independent random streams of one split seed, so that changing one choice leaves the others as
# they are.
TEST, VAL, FEW = range(3)


def hold_out(labels: Rows, fraction: float, seed: int, stream: int) -> npt.NDArray[np.bool_]:
    """Return a mask (N,) of the images held out: `fraction` of every class, at least one, never all of it.

    A class with a single image is not held out at all; who asks must have checked that no class is
    that small.
    """
    held = np.zeros(len(labels), dtype=bool)
    for rows in _shuffled(labels, seed, stream):
        count = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
        held[rows[:count]] = True
    return held


def few_shot(labels: Rows, per_class: int, seed: int) -> Rows:
    """Return the rows, in order, of `per_class` images of every class, or all of a class that has fewer.

    Nested: the rows for 5 per class are among those for 10 with the same seed.
    """
    kept = [rows[:per_class] for rows in _shuffled(labels, seed, FEW)]
    return np.sort(np.concatenate(kept))


def per_class(labels: Rows, classes: int) -> tuple[int, ...]:
    """Return how many of the labels each of the classes has."""
    return tuple(np.bincount(labels, minlength=classes).tolist())


def _shuffled(labels: Rows, seed: int, stream: int) -> list[Rows]:
    """Return the rows of each class that occurs, each class in an order drawn for it alone."""
    return [
        np.random.default_rng((seed, stream, label)).permutation(np.flatnonzero(labels == label))
        for label in np.unique(labels).tolist()
    ]
