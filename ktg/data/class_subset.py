"""Reduces a data set to some of its classes, renumbered in their old order."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from unicodedata import normalize

import numpy as np
import numpy.typing as npt

from ktg.data.found_data import FoundData, LabelledImages
from ktg.data.undecoded import Rows
from ktg.errors import SpecError, not_one_of, show

PLACE = "data.only"


def keep_classes(data: FoundData, wanted: Sequence[str]) -> FoundData:
    """Return the data set with these classes alone. Raises SpecError as `renumber_classes` does."""
    numbers = renumber_classes(data.classes, wanted, data.title)
    test = data.test

    def cut(part: LabelledImages) -> LabelledImages:
        rows = np.flatnonzero(numbers[part.labels] >= 0)
        return replace(part.take(rows), labels=numbers[part.labels[rows]])

    return replace(
        data,
        classes=select_classes(data.classes, numbers),
        train=cut(data.train),
        val=None if data.val is None else cut(data.val),
        test=None if test is None else lambda: cut(test()),
        # Splitting goes by the old labels, see `FoundData.original`.
        origins=tuple(np.flatnonzero(numbers >= 0).tolist()),
    )


def renumber_classes(classes: Sequence[str], wanted: Sequence[str], title: str) -> Rows:
    """Return the new label of each old one, (classes,): 0, 1, ... in the old order, -1 if left out.

    Classes cat, dog, owl with owl and cat wanted -> [0, -1, 1].
    Raises SpecError for a class that does not exist, for one named twice and for fewer than two.
    """
    known = set(classes)
    for place, name in enumerate(wanted):
        if name not in known:
            if normalize("NFC", name) in {normalize("NFC", each) for each in known}:
                problem = f"{show(name)} looks like a class of {title} and has other characters"
                raise SpecError(f"{PLACE}[{place}]", f"{problem} (Unicode forms NFC and NFD)")
            raise not_one_of(f"{PLACE}[{place}]", name, f"a class of {title}", classes)
    twice = [name for name, count in Counter(wanted).items() if count > 1]
    if twice:
        raise SpecError(PLACE, f"names the class {show(twice[0])} twice")
    if len(wanted) < 2:
        got = ", ".join(wanted)
        raise SpecError(PLACE, f"at least two classes are needed to tell apart, got {got}")
    # Counting up over the chosen classes numbers them 0, 1, ... without gaps.
    chosen: npt.NDArray[np.bool_] = np.isin(classes, wanted)
    return np.where(chosen, np.cumsum(chosen) - 1, -1).astype(np.int64)


def select_classes(classes: Sequence[str], numbers: Rows) -> tuple[str, ...]:
    """Return the names of the classes that have a new number."""
    return tuple(np.asarray(classes, dtype=object)[numbers >= 0])
