"""Opens images one by one where they were found: files on the disk, or rows of an array."""

import errno
import functools
import hashlib
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, Self

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from ktg.data.decode import (
    Geometry,
    Header,
    Pixels,
    decode,
    explain_unknown,
    fit,
    read_header,
    read_peak,
)
from ktg.errors import DataError, KtgError, join_names

Rows = npt.NDArray[np.int64]

_LOADING = threading.Lock()
_REASONS = 3  # that are told of many images
# Of a link to nothing, or to itself: as lasting as what a file holds.
_LASTING = (errno.ENOENT, errno.ELOOP)


class UndecodedImages(Protocol):
    """Images in a fixed order, any of which can be opened. Several threads may do so at once."""

    def __len__(self) -> int: ...

    def identity(self) -> str:
        """Return a hash that changes when an image does; images are not read where possible."""
        ...

    def take(self, rows: Rows) -> Self:
        """Return the collection of these rows."""
        ...

    def name(self, row: int) -> str:
        """Return the name of one image for messages."""
        ...

    def header(self, row: int) -> Header:
        """Return sides and greyness without decoding. Raises for a broken image."""
        ...

    def peak(self, row: int) -> int:
        """Return the largest value of an image with more than 8 bits, 0 for others. May raise."""
        ...

    def open(self, row: int, geometry: Geometry) -> tuple[bytes, Pixels]:
        """Return the SHA-256 of the image as found, and its pixels. Raises if it is broken."""
        ...


@dataclass(frozen=True)
class ImageFiles:
    """Image files, named relative to `root`."""

    root: Path
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def identity(self) -> str:
        """Return a hash of the folder and of its files: names, sizes in bytes, times of change.

        A file rewritten with its old size and its old time goes unnoticed.
        """
        # Not of the content: a stat costs microseconds, reading a file costs milliseconds at every
        # start of every worker. With the folder, since archives that set all times alike could give
        # two data sets one hash; a copy in another place is merely decoded again.
        digest = hashlib.sha256(f"{self.root.resolve()}\n".encode("utf-8", "surrogateescape"))
        for name in self.names:
            try:
                found = (self.root / name).stat()
                state = f"{found.st_size}\0{found.st_mtime_ns}"
            except OSError:
                state = "gone"  # such as a link to nothing; opening it says so
            digest.update(f"{name}\0{state}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def take(self, rows: Rows) -> "ImageFiles":
        """Return the files of these rows."""
        return ImageFiles(self.root, tuple(self.names[row] for row in rows))

    def name(self, row: int) -> str:
        """Return the file's name relative to the folder of the data set."""
        return self.names[row]

    def header(self, row: int) -> Header:
        """Return sides and greyness from the first bytes of the file."""
        with _open_file(self.root / self.names[row]) as file:
            return read_header(file)

    def peak(self, row: int) -> int:
        """Return the largest value of a file with more than 8 bits, 0 for others."""
        with _open_file(self.root / self.names[row]) as file:
            return read_peak(file)

    def open(self, row: int, geometry: Geometry) -> tuple[bytes, Pixels]:
        """Return the hash of the file and its pixels."""
        with _open_file(self.root / self.names[row]) as file:
            content = file.read()
        return hashlib.sha256(content).digest(), decode(content, geometry)


@dataclass(frozen=True)
class ImageArray:
    """Rows of a uint8 array (N, H, W) or (N, H, W, C), loaded when the first row is opened.

    `key` stands for the content of the whole array; `load` must be picklable, because workers are
    spawned with it.
    """

    key: str
    shape: tuple[int, ...]
    load: Callable[[], Pixels]
    rows: Rows

    @classmethod
    def whole(cls, key: str, shape: Sequence[int], load: Callable[[], Pixels]) -> Self:
        """Return all rows of an array of this shape."""
        return cls(key, tuple(shape), load, np.arange(shape[0]))

    def __len__(self) -> int:
        return len(self.rows)

    def __getstate__(self) -> dict[str, object]:
        """Leave out the loaded array: each process loads its own instead of a pickled copy."""
        return {name: value for name, value in self.__dict__.items() if name != "_loaded"}

    def identity(self) -> str:
        """Return a hash of the key and the rows."""
        return hashlib.sha256(self.key.encode() + self.rows.tobytes()).hexdigest()

    def take(self, rows: Rows) -> "ImageArray":
        """Return these rows."""
        return ImageArray(self.key, self.shape, self.load, self.rows[rows])

    def name(self, row: int) -> str:
        """Return the number of the image in the array it comes from."""
        return f"image {self.rows[row]}"

    def header(self, row: int) -> Header:
        """Return the sides and greyness that all rows share."""
        low, high = sorted(self.shape[1:3])
        return Header((low, high), len(self.shape) == 3 or self.shape[3] == 1)

    def peak(self, row: int) -> int:
        """Return 0: an array holds 8 bits."""
        return 0

    def open(self, row: int, geometry: Geometry) -> tuple[bytes, Pixels]:
        """Return the hash of the row and its pixels."""
        pixels = self._images()[self.rows[row]]
        flat = pixels[..., 0] if pixels.shape[2:] == (1,) else pixels
        return self.digest(row), fit(Image.fromarray(flat), geometry)

    def digest(self, row: int) -> bytes:
        """Return the hash of the row."""
        return hashlib.sha256(self._images()[self.rows[row]].tobytes()).digest()

    def _images(self) -> Pixels:
        # Under a lock, lest every decoding thread load the array for itself. Through `__dict__`,
        # because a frozen dataclass refuses to set an attribute.
        with _LOADING:
            if "_loaded" not in self.__dict__:
                self.__dict__["_loaded"] = self.load()
        loaded: Pixels = self.__dict__["_loaded"]
        return loaded


def explain_fault(error: Exception, name: str) -> str:
    """Return why an image cannot be decoded, given what was raised.

    Raises DataError for what may have passed at the next try: it is no fault of the image, and must
    not be kept as one, or images would be missing from every later training.
    """
    if isinstance(error, KtgError):
        raise error  # of the data set as a whole, not of this image
    if isinstance(error, UnidentifiedImageError):
        return explain_unknown(name)
    if isinstance(error, MemoryError):
        problem = "there is no memory left to decode it"
        raise DataError(f"{name}: {problem}; end other programs and try again") from error
    # What Pillow says of the content has no number; what has one comes from the system.
    if not isinstance(error, OSError) or error.errno is None:
        return str(error) or type(error).__name__
    if error.errno not in _LASTING:
        problem = f"cannot be read now ({error.strerror})"
        remedy = "look after the disk, the network and the rights to the file, and try again"
        raise DataError(f"{name}: {problem}; {remedy}") from error
    return error.strerror or "there is no such file"


def name_faults(faults: Mapping[str, str], most: int = 20) -> str:
    """Return the names of images that cannot be read, the first ones with the reason."""
    named = [
        f"{name} ({why})" if place < _REASONS else name
        for place, (name, why) in enumerate(faults.items())
    ]
    return join_names(named, most)


def _open_file(file: Path) -> BinaryIO:
    """Open a file to be read. Raises OSError for a pipe, which could keep a reader for ever."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError("a pipe, a socket, a device or a folder, and no file")
    return file.open("rb")


def wrap_array(images: Pixels) -> ImageArray:
    """Return the rows of an array in memory, identified by a hash of its bytes."""
    images = np.ascontiguousarray(images)
    key = hashlib.sha256(f"{images.shape}".encode() + images.tobytes()).hexdigest()
    return ImageArray.whole(key, images.shape, functools.partial(np.asarray, images))
