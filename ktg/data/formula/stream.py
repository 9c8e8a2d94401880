"""Draws the pictures of a data set when they are read: no files, no waiting, bounded memory."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, Self

import numpy as np

from ktg.data.decode import Geometry, Pixels
from ktg.data.undecoded import Rows
from ktg.errors import SpecError, show


class PictureGenerator(Protocol):
    """Draws pictures by class and number. Picklable, so that worker processes can draw too."""

    @property
    def classes(self) -> int:
        """How many classes there are."""
        ...

    @property
    def instances(self) -> int:
        """How many pictures there are of each class."""
        ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3)."""
        ...

    def draw(self, label: int, instance: int) -> Pixels:
        """Return one picture (H, W, 3): equal for equal arguments, in any order and any process."""
        ...

    def name(self, instance: int) -> str:
        """Return what follows the class in the file name of a picture, without the ending."""
        ...


class Stream:
    """Labelled pictures of a generator, with the interface of `ktg.data.Images`.

    It is also a store of pixels for `Images`.

    generator: draws the pictures.
    per_class: how many of its pictures of each class, chosen by `seed`; by default all of them.
    threads: draw in `read`, each on a core of its own. In worker processes `read` uses one.

    Row r is the same picture in every process and every epoch.
    """

    def __init__(
        self,
        generator: PictureGenerator,
        per_class: int | None = None,
        *,
        seed: int = 0,
        threads: int = 1,
    ) -> None:
        if per_class is not None and not 1 <= per_class <= generator.instances:
            raise SpecError(
                "per_class", f"expected 1 to {generator.instances}, got {show(per_class)}"
            )
        self.generator = generator
        self.threads = threads
        self.shape = generator.shape
        self.geometry = Geometry(generator.shape[0], generator.shape[2])
        count = per_class or generator.instances
        self.labels: Rows = np.repeat(np.arange(generator.classes), count)
        self.weights = None  # all labels are right, and count alike
        self._instances = _choose_instances(generator, per_class, seed).ravel()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Rows | Sequence[int]) -> Self:
        """Return the stream of these rows, for instance to hold some out."""
        taken = object.__new__(type(self))
        taken.__dict__.update(self.__dict__)
        rows = np.asarray(rows, dtype=np.int64)
        taken.labels, taken._instances = self.labels[rows], self._instances[rows]
        return taken

    def read(self, rows: Rows | Sequence[int]) -> Pixels:
        """Return the pixels (B, H, W, 3), uint8, of these rows, in their order."""
        rows = np.asarray(rows, dtype=np.int64)
        batch = np.empty((len(rows), *self.shape), np.uint8)
        # A worker process is one of several and has one core: its threads would only compete.
        if self.threads == 1 or len(rows) < 2 or multiprocessing.parent_process() is not None:
            self._draw(batch, rows)
            return batch
        with ThreadPoolExecutor(self.threads) as pool:
            shares = np.array_split(batch, self.threads), np.array_split(rows, self.threads)
            for done in [pool.submit(self._draw, *each) for each in zip(*shares, strict=True)]:
                done.result()
        return batch

    @property
    def nbytes(self) -> int:
        """Bytes that all pictures would take in memory."""
        return len(self) * int(np.prod(self.shape))

    def _draw(self, batch: Pixels, rows: Rows) -> None:
        for place, row in enumerate(rows.tolist()):
            batch[place] = self.generator.draw(int(self.labels[row]), int(self._instances[row]))


def _choose_instances(generator: PictureGenerator, per_class: int | None, seed: int) -> Rows:
    """Return the numbers of the pictures, (classes, per_class), ascending in each class."""
    every = np.arange(generator.instances)
    if per_class is None:
        return np.tile(every, (generator.classes, 1))
    random = np.random.default_rng(seed)
    chosen = [random.permutation(every)[:per_class] for _ in range(generator.classes)]
    return np.array([np.sort(numbers) for numbers in chosen])
