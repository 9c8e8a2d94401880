"""Chooses rows of a data set at random, class by class: held-out splits and few-shot training."""

import numpy as np
import numpy.typing as npt

from ktg.data.undecoded import Rows

# Independent random streams of one split seed, so that changing one choice leaves the others as
# they are.
TEST, VAL, FEW, FOLDS, NOISE = range(5)


def hold_out(
    labels: Rows,
    fraction: float,
    seed: int,
    stream: int,
    groups: Rows | None = None,
    *,
    keep: int = 1,
) -> npt.NDArray[np.bool_]:
    """Return a mask (N,) of the images held out: `fraction` of every class, rounded.

    At least one of a class is held out and never all of it: 0.2 of 7 images -> 1, of 8 -> 2, of
    2 -> 1. A class with a single image loses none; the caller checks that no class is that small.
    groups: (N,) by number; the images of one are held out together, so that a class loses about
    `fraction` of its images, and at least one group. A group counts for its commonest class.
    keep: how many images of a class, or groups, are left at least: one for each later side.
    """
    owner, main = list_groups(labels, groups)
    sizes, held = np.bincount(owner), np.zeros(len(main), dtype=bool)
    for own in _shuffle_each_class(main, seed, stream):
        taken = np.cumsum(sizes[own])
        wanted = max(round(fraction * int(taken[-1])), 1)
        count = min(int(np.abs(taken - wanted).argmin()) + 1, len(own) - keep)
        held[own[: max(count, 0)]] = True
    return held[owner]


def deal_folds(labels: Rows, folds: int, seed: int, groups: Rows | None = None) -> Rows:
    """Return for each image (N,) which fold it is in, from 0.

    Every class and all images together are dealt out evenly: 7 images in 3 folds are 3, 2 and 2.
    groups: (N,) by number; one goes to the fold with the fewest images of its commonest class, of
    equals that with the fewest images.
    """
    owner, main = list_groups(labels, groups)
    shuffled = np.concatenate(_shuffle_each_class(main, seed, FOLDS))
    dealt = np.empty(len(main), dtype=np.int64)
    if groups is None:
        dealt[shuffled] = np.arange(len(labels)) % folds
        return dealt
    sizes, filled = np.bincount(owner), np.zeros((int(main.max()) + 1, folds), dtype=np.int64)
    for group in shuffled.tolist():
        own = filled[main[group]]
        dealt[group] = fold = np.lexsort((filled.sum(axis=0), own))[0]
        own[fold] += sizes[group]
    return dealt[owner]


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


def list_groups(labels: Rows, groups: Rows | None) -> tuple[Rows, Rows]:
    """Return the group of each image, numbered from 0 in their order, and each one's main class."""
    if groups is None:
        return np.arange(len(labels)), labels
    owner = np.unique(groups, return_inverse=True)[1]
    pairs, counts = np.unique(np.stack([owner, labels]), axis=1, return_counts=True)
    # By group, the commonest class first, of equals the first class.
    order = np.lexsort((pairs[1], -counts, pairs[0]))
    first = np.unique(pairs[0][order], return_index=True)[1]
    return owner, pairs[1][order][first]


def _shuffle_each_class(labels: Rows, seed: int, stream: int) -> list[Rows]:
    """Return the rows of each class that occurs, in random order."""
    # A generator for each class: adding or leaving out a class changes no other one's split.
    return [
        np.random.default_rng((seed, stream, label)).permutation(np.flatnonzero(labels == label))
        for label in np.unique(labels).tolist()
    ]
