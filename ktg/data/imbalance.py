"""Says how unequal the classes of a data set are."""

from collections.abc import Sequence

IMBALANCED = 3.0  # from here on accuracy hides the small classes


def measure_imbalance(counts: Sequence[int]) -> float:
    """Return how many times as many images the largest class has as the smallest.

    counts: images of each class. A class without images counts as one image.

    >>> measure_imbalance([80, 20, 40])
    4.0
    """
    return max(counts) / max(1, min(counts))


def name_extremes(classes: Sequence[str], counts: Sequence[int]) -> tuple[str, str]:
    """Return the largest and the smallest class, with their shares of the images.

    >>> name_extremes(["cat", "dog"], [30, 10])
    ('cat 75.0 %', 'dog 25.0 %')
    """
    first, last = (
        f"{classes[place]} {100 * counts[place] / sum(counts):.1f} %"
        for place in (counts.index(max(counts)), counts.index(min(counts)))
    )
    return first, last
