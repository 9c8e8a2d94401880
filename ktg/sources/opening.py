"""Opens the data set of a graph, whether its images are found or drawn: who trains need not know which.

The generators, which compile what they draw with, are imported with the first data set that is drawn.
"""

from pathlib import Path

from ktg import data
from ktg.data import Dataset, Images, Summary
from ktg.data.index import Progress
from ktg.spec import FORMULAS, Data, Scalar


def open_data(spec: Data, *, base: Path | None = None, progress: Progress | None = None) -> Dataset:
    """Return the train and val splits: by `ktg.data.open_data`, or drawn while they are read if `name` is a formula."""
    if spec.name not in FORMULAS:
        return data.open_data(spec, base=base, progress=progress)
    from ktg.sources.drawn import open_drawn

    return open_drawn(spec)


def open_test(spec: Data, *, base: Path | None = None, progress: Progress | None = None) -> Images:
    """Return the test split: by `ktg.data.open_test`, or drawn while it is read."""
    if spec.name not in FORMULAS:
        return data.open_test(spec, base=base, progress=progress)
    from ktg.sources.drawn import drawn_test

    return drawn_test(spec)


def summary(spec: Data, base: Path | None = None, *, test: bool = True) -> Summary | None:
    """Return how many images each class has in each split, without opening any: see `ktg.data.summary`."""
    if spec.name not in FORMULAS:
        return data.summary(spec, base, test=test)
    from ktg.sources.drawn import drawn_summary

    return drawn_summary(spec)


def settings(spec: Data) -> dict[str, Scalar]:
    """Return all that decides how the pictures of a formula look, its defaults too; nothing where none is drawn."""
    if spec.name not in FORMULAS:
        return {}
    from ktg.sources.drawn import formula_of
    from ktg.sources.fractal import settings_of

    return settings_of(formula_of(spec))
