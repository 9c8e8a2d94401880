"""Opens the data set of a graph, whether its images are found or drawn: who trains need not know which.

The generators, which compile what they draw with, are imported with the first data set that is
drawn.
"""

from pathlib import Path

from ktg.data import dataset
from ktg.data.dataset import Dataset, Summary
from ktg.data.images import Images
from ktg.data.index import Progress
from ktg.graph import FORMULAS, Data, Scalar


def open_data(spec: Data, *, base: Path | None = None, progress: Progress | None = None) -> Dataset:
    """Return the train and val splits: by `ktg.data.dataset.open_data`, or drawn while they are read if `name` is a formula."""
    if spec.name not in FORMULAS:
        return dataset.open_data(spec, base=base, progress=progress)
    from ktg.data.formula.formula_dataset import open_drawn

    return open_drawn(spec)


def open_test(spec: Data, *, base: Path | None = None, progress: Progress | None = None) -> Images:
    """Return the test split: by `ktg.data.dataset.open_test`, or drawn while it is read."""
    if spec.name not in FORMULAS:
        return dataset.open_test(spec, base=base, progress=progress)
    from ktg.data.formula.formula_dataset import drawn_test

    return drawn_test(spec)


def summary(spec: Data, base: Path | None = None, *, test: bool = True) -> Summary | None:
    """Return how many images each class has in each split, without opening any: see `ktg.data.dataset.summary`."""
    if spec.name not in FORMULAS:
        return dataset.summary(spec, base, test=test)
    from ktg.data.formula.formula_dataset import drawn_summary

    return drawn_summary(spec)


def settings(spec: Data) -> dict[str, Scalar]:
    """Return all that decides how the pictures of a formula look, its defaults too; nothing where none is drawn."""
    if spec.name not in FORMULAS:
        return {}
    from ktg.data.formula.formula_dataset import formula_of
    from ktg.data.formula.fractal.family import settings_of

    return settings_of(formula_of(spec))
