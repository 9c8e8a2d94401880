"""A data set whose pictures are drawn when they are read: no files, no waiting, bounded memory."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import numpy as np
import numpy.typing as npt

from ktg.data.decode import Geometry
from ktg.data.formula.formula import Formula, Picture
from ktg.errors import SpecError, show

Rows = npt.NDArray[np.int64]


class Stream:
    """Labelled pictures of a formula, with the interface of `ktg.data.Images`; also a store of pixels for one.

    formula: what draws them.
    per_class: how many of the formula's pictures of each class, chosen by `seed`; by default all of
    them.
    threads: that `read` draws with, each on a core of its own; in worker processes, for which it is
    picklable, one.

    Row r is the same picture in every process and every epoch.
    """

    def __init__(
        self, formula: Formula, per_class: int | None = None, *, seed: int = 0, threads: int = 1
    ) -> None:
        if per_class is not None and not 1 <= per_class <= formula.instances:
            raise SpecError(
                "per_class", f"expected 1 to {formula.instances}, got {show(per_class)}"
            )
        self.formula = formula
        self.threads = threads
        self.shape = formula.shape
        self.geometry = Geometry(formula.shape[0], formula.shape[2])
        self.labels: Rows = np.repeat(np.arange(formula.classes), per_class or formula.instances)
        self._instances = _chosen(formula, per_class, seed).ravel()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Rows | Sequence[int]) -> Self:
        """Return the stream of these rows, for instance to hold some out."""
        taken = object.__new__(type(self))
        taken.__dict__.update(self.__dict__)
        rows = np.asarray(rows, dtype=np.int64)
        taken.labels, taken._instances = self.labels[rows], self._instances[rows]
        return taken

    def read(self, rows: Rows | Sequence[int]) -> Picture:
        """Return the pixels (B, H, W, 3), uint8, of these rows, in their order."""
        rows = np.asarray(rows, dtype=np.int64)
        batch = np.empty((len(rows), *self.shape), np.uint8)
        if self.threads == 1 or len(rows) < 2 or multiprocessing.parent_process() is not None:
            self._draw(batch, rows)
            return batch
        with ThreadPoolExecutor(self.threads) as pool:
            parts = zip(
                np.array_split(batch, self.threads), np.array_split(rows, self.threads), strict=True
            )
            for done in [pool.submit(self._draw, *part) for part in parts]:
                done.result()
        return batch

    @property
    def nbytes(self) -> int:
        """Bytes that all pictures would take in memory."""
        return len(self) * int(np.prod(self.shape))

    def _draw(self, batch: Picture, rows: Rows) -> None:
        for place, row in enumerate(rows.tolist()):
            batch[place] = self.formula.draw(int(self.labels[row]), int(self._instances[row]))


def _chosen(formula: Formula, per_class: int | None, seed: int) -> Rows:
    """Return the numbers of the pictures, (classes, per_class), ascending in each class."""
    every = np.arange(formula.instances)
    if per_class is None:
        return np.tile(every, (formula.classes, 1))
    generator = np.random.default_rng(seed)
    return np.array(
        [np.sort(generator.permutation(every)[:per_class]) for _ in range(formula.classes)]
    )
