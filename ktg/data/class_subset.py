"""A data set of some of the classes of another, numbered anew in their old order."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ktg.data.pictures import Rows
from ktg.data.source import Part, Source
from ktg.errors import SpecError, not_one_of, show

PLACE = "data.only"


def only(source: Source, wanted: Sequence[str]) -> Source:
    """Return the source with these of its classes alone. Raises SpecError as `renumbering` does."""
    numbers = renumbering(source.classes, wanted, source.title)
    test = source.test

    def cut(part: Part) -> Part:
        kept = np.flatnonzero(numbers[part.labels] >= 0)
        return Part(part.pictures.take(kept), numbers[part.labels[kept]])

    return replace(
        source,
        classes=kept_classes(source.classes, numbers),
        train=cut(source.train),
        val=None if source.val is None else cut(source.val),
        test=None if test is None else lambda: cut(test()),
        origins=tuple(np.flatnonzero(numbers >= 0).tolist()),
    )


def renumbering(classes: Sequence[str], wanted: Sequence[str], title: str) -> Rows:
    """Return the new label of each old one, (classes,): 0, 1, ... in the old order, -1 for a class left out.

    Raises SpecError for a class that there is not, for one named twice and for fewer than two.
    """
    known = set(classes)
    for place, name in enumerate(wanted):
        if name not in known:
            raise not_one_of(f"{PLACE}[{place}]", name, f"a class of {title}", classes)
    twice = [name for name, count in Counter(wanted).items() if count > 1]
    if twice:
        raise SpecError(PLACE, f"names the class {show(twice[0])} twice")
    if len(wanted) < 2:
        raise SpecError(
            PLACE, f"at least two classes are needed to tell apart, got {', '.join(wanted)}"
        )
    kept: npt.NDArray[np.bool_] = np.isin(classes, wanted)
    return np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int64)


def kept_classes(classes: Sequence[str], numbers: Rows) -> tuple[str, ...]:
    """Return the names of the classes that `renumbering` keeps."""
    return tuple(
        name for name, number in zip(classes, numbers.tolist(), strict=True) if number >= 0
    )
