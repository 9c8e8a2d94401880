"""Reads the images of one split by row, from the cache or by decoding on the fly."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ktg.data.cache_limit import Hold
from ktg.data.decode import Geometry, Pixels
from ktg.data.found_data import Weights
from ktg.data.undecoded import Rows, UndecodedImages, explain_fault


class PixelStore(Protocol):
    """Where pixels come from. Picklable, so that workers can be spawned with it."""

    @property
    def geometry(self) -> Geometry:
        """The form that all images share."""
        ...

    def read(self, rows: Rows) -> Pixels:
        """Return the (B, H, W, C) pixels of these rows."""
        ...


@dataclass(frozen=True)
class MappedPixels:
    """Pixels in an .npy file (N, H, W, C), mapped into memory by each process that reads them.

    `hold` keeps the file from being removed, in the process that has opened it.
    """

    path: Path
    geometry: Geometry
    hold: Hold | None = field(default=None, compare=False, repr=False)

    def read(self, rows: Rows) -> Pixels:
        """Return a copy of these rows."""
        # Mapped by the process that reads: all workers then share one copy of the pages.
        if "_pixels" not in self.__dict__:
            self.__dict__["_pixels"] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return np.array(self.__dict__["_pixels"][rows], subok=False)

    def __getstate__(self) -> dict[str, object]:
        """Leave out the map and the hold: pickle would write all pixels of the data set."""
        return {"path": self.path, "geometry": self.geometry}


@dataclass(frozen=True)
class OnTheFlyPixels:
    """Pixels decoded each time they are read: the same bytes that the cache would hold."""

    images: UndecodedImages
    geometry: Geometry

    def read(self, rows: Rows) -> Pixels:
        """Return these rows, decoded now. Raises OSError or DataError with an image's name."""
        batch = np.empty((len(rows), *self.geometry.shape), np.uint8)
        for place, row in enumerate(rows.tolist()):
            try:
                batch[place] = self.images.open(row, self.geometry)[1]
            except Exception as error:  # whatever Pillow raises for broken content
                name = self.images.name(row)
                raise OSError(f"{name}: {explain_fault(error, name)}") from error
        return batch


class Images:
    """One split: N images with labels; `read` returns any of them as uint8 pixels.

    `digests` (N, 32) are the content hashes of the images, None where nobody has counted them.
    `weights` (N,) say how much each label counts in training, None where all count alike.
    """

    def __init__(
        self,
        store: PixelStore,
        rows: Rows,
        labels: Rows,
        digests: Pixels | None = None,
        weights: Weights | None = None,
    ) -> None:
        self._store = store
        self._rows = rows
        self.labels: npt.NDArray[np.int64] = labels
        self.digests, self.weights = digests, weights
        self.geometry = store.geometry
        self.shape: tuple[int, int, int] = store.geometry.shape

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, rows: Rows | Sequence[int]) -> Pixels:
        """Return the pixels (B, H, W, C), uint8, of these rows of the split, in their order."""
        return self._store.read(self._rows[np.asarray(rows, dtype=np.int64)])

    def take(self, rows: Rows) -> "Images":
        """Return these rows of the split as a split of their own."""
        digests = None if self.digests is None else self.digests[rows]
        weights = None if self.weights is None else self.weights[rows]
        return Images(self._store, self._rows[rows], self.labels[rows], digests, weights)

    @property
    def used_rows(self) -> Rows:
        """The rows of the labels that are used: those of weight 0 are not."""
        return np.arange(len(self)) if self.weights is None else np.flatnonzero(self.weights > 0)

    @property
    def nbytes(self) -> int:
        """Bytes that all pixels of the split take in memory."""
        return len(self) * int(np.prod(self.shape))

    @property
    def fingerprint(self) -> str | None:
        """A hash of the images in their order and of their form, None without `digests`."""
        if self.digests is None:
            return None
        text = f"{self.geometry}\0".encode() + self.digests.tobytes()
        return hashlib.sha256(text).hexdigest()

    @property
    def fingerprint_with_labels(self) -> str:
        """A hash of the images in their order, whatever their form, and of their labels.

        Of images that nobody has counted, as those drawn by a formula, of their labels alone.
        """
        digests = b"" if self.digests is None else self.digests.tobytes()
        return hashlib.sha256(digests + self.labels.astype("<i8").tobytes()).hexdigest()


def join(*parts: Images) -> Images:
    """Return the images of all parts as one split, in that order. They share one shape.

    Labels without a weight weigh 1 beside those with one.
    """
    labels = np.concatenate([part.labels for part in parts])
    hashed = [part.digests for part in parts if part.digests is not None]
    digests = np.concatenate(hashed) if len(hashed) == len(parts) else None
    weights = None
    if any(part.weights is not None for part in parts):
        each = (np.ones(len(part)) if part.weights is None else part.weights for part in parts)
        weights = np.concatenate([*each])
    return Images(_JoinedPixels(parts), np.arange(len(labels)), labels, digests, weights)


@dataclass(frozen=True)
class _JoinedPixels:
    parts: tuple[Images, ...]

    @property
    def geometry(self) -> Geometry:
        return self.parts[0].geometry

    def read(self, rows: Rows) -> Pixels:
        batch = np.empty((len(rows), *self.parts[0].shape), np.uint8)
        ends = np.cumsum([len(part) for part in self.parts])
        owner = np.searchsorted(ends, rows, side="right")
        # Each store is read once, although rows of all may come in any order.
        for number in np.unique(owner):
            part, mine = self.parts[number], owner == number
            batch[mine] = part.read(rows[mine] - (ends[number] - len(part)))
        return batch
