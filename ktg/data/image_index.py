"""Decodes all images of a data set once and indexes them: form, hashes, sums and faults."""

import dataclasses
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ktg.data.decode import Geometry, Pixels
from ktg.data.threads import map_in_order
from ktg.data.undecoded import Rows, UndecodedImages, explain_fault
from ktg.errors import DataError

DecodeProgress = Callable[[int, int], None]
Sums = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class ImageIndex:
    """The form of N images, their content hashes, and the sums behind mean and deviation.

    `digests` (N, 32) are SHA-256 of the images as found; `sums` (N, 2, C) the sum and the sum of
    squares of each channel, in exact integers; `faults` maps the rows that could not be decoded to
    the reason. `counted` is False in files from before bits were counted, which was as if all deep
    images filled 16.
    """

    geometry: Geometry
    digests: Pixels
    sums: Sums
    faults: dict[int, str]
    counted: bool = True

    @property
    def sound(self) -> Rows:
        """The rows that could be decoded, in order."""
        return np.setdiff1d(
            np.arange(len(self.digests)), np.array(sorted(self.faults), dtype=np.int64)
        )

    def moments(self, rows: Rows) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and standard deviation per channel over these images, of values in [0, 1].

        The deviation is at least one grey level (1/255), so that one may divide by it.
        """
        # Sums of whole numbers are exact, so the result does not depend on the order of the images.
        pixels = len(rows) * self.geometry.side**2
        first, second = self.sums[rows].sum(axis=0).astype(np.float64) / pixels
        deviation = np.sqrt(np.maximum(second - first**2, 1.0))
        return tuple((first / 255).tolist()), tuple((deviation / 255).tolist())

    def save(self, file: Path | BinaryIO) -> None:
        """Write the index as an .npz of plain arrays."""
        np.savez(
            file,
            form=np.array(dataclasses.astuple(self.geometry)),
            digests=self.digests,
            sums=self.sums,
            fault_rows=np.array(list(self.faults), dtype=np.int64),
            fault_reasons=np.array(list(self.faults.values()), dtype=np.str_),
        )


def load_index(path: Path) -> ImageIndex:
    """Return the index in a file that `save` wrote. Raises DataError for any other file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            side, channels, *more = file["form"].tolist()  # older files have one or both less
            bits = more[0] if more else 16
            form = Geometry(side, channels, bits, stretch=bool(sum(more[1:])))
            faults = dict(
                zip(file["fault_rows"].tolist(), file["fault_reasons"].tolist(), strict=True)
            )
            return ImageIndex(form, file["digests"], file["sums"], faults, bool(more))
    except (OSError, TypeError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path.parent} is a broken cache of images ({error}); delete that folder"
        ) from error


def decode_all(
    images: UndecodedImages,
    geometry: Geometry,
    write: Callable[[bytes], object],
    progress: DecodeProgress | None = None,
) -> ImageIndex:
    """Decode every image on all cores, hand its pixels to `write` in order, and return the index.

    An image that cannot be decoded is written as zeros, so that row numbers stay valid, and noted
    in `faults`. `progress` gets (done, all). Raises DataError where a disk or the memory fails:
    sound images would count as broken for ever.
    """
    count = len(images)
    digests = np.zeros((count, 32), np.uint8)
    sums = np.zeros((count, 2, geometry.channels), np.uint64)
    faults: dict[int, str] = {}
    blank = bytes(int(np.prod(geometry.shape)))
    results = map_in_order(lambda row: _decode_one(images, row, geometry), range(count))
    for row, found in enumerate(results):
        if isinstance(found, str):
            faults[row] = found
            write(blank)
        else:
            digest, pixels, sums[row] = found
            digests[row] = np.frombuffer(digest, np.uint8)
            write(pixels.tobytes())
        if progress is not None:
            progress(row + 1, count)
    return ImageIndex(geometry, digests, sums, faults)


def _decode_one(
    images: UndecodedImages, row: int, geometry: Geometry
) -> tuple[bytes, Pixels, Sums] | str:
    """Return hash, pixels and sums of one image, or why it cannot be decoded.

    Raises DataError where that may pass.
    """
    try:
        digest, pixels = images.open(row, geometry)
    except Exception as error:  # of many kinds: OSError, SyntaxError, struct.error, ...
        return explain_fault(error, images.name(row))
    return digest, pixels, _sums(pixels)


def _sums(pixels: Pixels) -> Sums:
    """Return sum and sum of squares (2, C) of the values 0 to 255, exact in whole numbers."""
    # By counting each of the 256 values: squares overflow uint8, and wider copies are slow.
    planes = pixels.reshape(-1, pixels.shape[-1]).T
    counts = np.stack([np.bincount(plane, minlength=256) for plane in planes], axis=1)
    values = np.arange(256)
    return np.stack([values, values**2]).astype(np.uint64) @ counts.astype(np.uint64)
