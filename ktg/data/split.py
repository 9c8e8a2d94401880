"""Chooses rows of a data set at random, class by class: held-out splits and few-shot training."""

import numpy as np
import numpy.typing as npt

from ktg.data.undecoded import Rows

# Independent random streams of one split seed, so that changing one choice leaves the others as
# they are.
TEST, VAL, FEW, FOLDS, NOISE = range(5)


def hold_out(labels: Rows, fraction: float, seed: int, stream: int) -> npt.NDArray[np.bool_]:
    """Return a mask (N,) of the images held out: `fraction` of every class, rounded.

    At least one of a class is held out and never all of it: 0.2 of 7 images -> 1, of 8 -> 2, of
    2 -> 1. A class with a single image loses none; the caller checks that no class is that small.
    """
    held = np.zeros(len(labels), dtype=bool)
    for rows in _shuffle_each_class(labels, seed, stream):
        count = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
        held[rows[:count]] = True
    return held


def deal_folds(labels: Rows, folds: int, seed: int) -> Rows:
    """Return for each image (N,) which fold it is in, from 0.

    Every class and all images together are dealt out evenly: 7 images in 3 folds are 3, 2 and 2.
    """
    shuffled = np.concatenate(_shuffle_each_class(labels, seed, FOLDS))
    dealt = np.empty(len(labels), dtype=np.int64)
    dealt[shuffled] = np.arange(len(labels)) % folds
    return dealt


def pick_few_shot(labels: Rows, per_class: int, seed: int) -> Rows:
    """Return the rows, in order, of `per_class` images of every class, or all of a smaller class.

    For labels [0, 0, 0, 1, 1] and 2 per class: two of rows 0 to 2, then rows 3 and 4.
    Nested: the rows for 5 per class are among those for 10 with the same seed.
    """
    few = [rows[:per_class] for rows in _shuffle_each_class(labels, seed, FEW)]
    return np.sort(np.concatenate(few))


def corrupt_labels(labels: Rows, classes: int, share: float, seed: int) -> Rows:
    """Return labels (N,) of which `share`, in the mean, are replaced by another of the classes.

    Symmetric noise, as in Han et al., "Co-teaching", NeurIPS 2018: every other class is as likely.
    Nested: what is wrong at a share of 0.2 is wrong, and the same, at 0.4.
    """
    random = np.random.default_rng((seed, NOISE))
    wrong = random.random(len(labels)) < share
    others = (labels + random.integers(1, max(2, classes), len(labels))) % classes
    return np.where(wrong, others, labels)


def count_per_class(labels: Rows, classes: int) -> tuple[int, ...]:
    """Return how many of the labels each of the classes has."""
    return tuple(np.bincount(labels, minlength=classes).tolist())


def _shuffle_each_class(labels: Rows, seed: int, stream: int) -> list[Rows]:
    """Return the rows of each class that occurs, in random order."""
    # A generator for each class: adding or leaving out a class changes no other one's split.
    return [
        np.random.default_rng((seed, stream, label)).permutation(np.flatnonzero(labels == label))
        for label in np.unique(labels).tolist()
    ]
