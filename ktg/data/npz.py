"""Reads data sets in one .npz file of uint8 images and labels, without running any pickle."""

import functools
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ktg.data.decode import Pixels
from ktg.data.found_data import FoundData, LabelledImages, as_labels
from ktg.data.undecoded import ImageArray, Rows
from ktg.errors import DataError, KtgError, join_names, show

# (images, labels) of train, val and test; of those without splits, the name of train.
_WITH_SPLITS = (("x_{}", "y_{}"), ("{}_images", "{}_labels"))
_WITHOUT = (("x", "y"), ("images", "labels"))
_EXPECTED = (
    "x_train, y_train (and x_val, y_val, x_test, y_test), or train_images, train_labels (and so "
    "on), or x, y, or images, labels"
)


@dataclass(frozen=True)
class _Member:
    """One array of the file; only its header has been read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read_npz(path: Path, title: str) -> FoundData:
    """Return the data set in an .npz. Its images stay in the file until they are decoded.

    Raises DataError for missing keys, wrong shapes or types, and labels that do not fit.
    """
    members = _members(path, title)
    keys = _keys(members, title)
    for images, labels in keys.values():
        _check_images(members[images], images, title)
        _check_labels(members[labels], labels, members[images], images, title)
    y = _load(path, keys["train"][1])
    classes, values = _classes(path, members, y, title)

    # Labels of the test split are checked now, not after a search of hours; its images stay
    # untouched.
    parts = {split: _read_split(path, members, pair, values, title) for split, pair in keys.items()}
    val, test = parts.get("val"), parts.get("test")
    return FoundData(title, classes, parts["train"], val, None if test is None else lambda: test)


def _read_split(
    path: Path,
    members: Mapping[str, _Member],
    keys: tuple[str, str],
    values: npt.NDArray[Any],
    title: str,
) -> LabelledImages:
    images, labels = keys
    # Size and time of the file stand for its content: hashing it at every start costs seconds.
    stat = path.stat()
    key = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns} {images}"
    pictures = ImageArray.whole(key, members[images].shape, functools.partial(_load, path, images))
    return LabelledImages(pictures, _to_indices(_load(path, labels), values, labels, title))


def _members(path: Path, title: str) -> dict[str, _Member]:
    """Return the arrays in the file by name, from their headers alone."""
    if not path.is_file():
        raise DataError(f"{title}: a pipe, a socket or a device, and no .npz file")
    members = {}
    # np.load would read each array whole to tell its shape.
    with _name_damage(title), zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as file:
                member, start = _read_member(file)
            name = entry.filename.removesuffix(".npy")
            members[name] = member
            _check_length(name, member, entry.file_size - start)
    for name, member in members.items():
        if member.dtype.hasobject:  # a pickle, which could run any code when it is loaded
            raise DataError(
                f"{title}: {name} holds Python objects, which are never unpickled; "
                "save plain arrays"
            )
    return members


def _read_member(file: IO[bytes]) -> tuple[_Member, int]:
    """Return what the header of an .npy says, and its length in bytes."""
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"version {version[0]}.{version[1]} of the .npy format is not read")
    shape, _, dtype = readers[version](file)
    return _Member(shape, dtype), file.tell()


def _check_length(name: str, member: _Member, length: int) -> None:
    """Raise ValueError if an array claims another number of bytes than the file has for it."""
    if member.dtype.hasobject:
        return  # refused elsewhere
    claimed = math.prod(member.shape) * member.dtype.itemsize
    if min(member.shape, default=0) < 0 or claimed != length:
        raise ValueError(f"{name} of shape {member.shape} has {length} bytes and not {claimed}")


@contextmanager
def _name_damage(title: str) -> Iterator[None]:
    """Raise DataError for whatever zipfile, zlib and numpy raise on a damaged file."""
    try:
        yield
    except KtgError:
        raise
    except MemoryError as error:
        raise DataError(f"{title}: does not fit into memory") from error
    except Exception as error:  # of very many kinds: zlib.error, EOFError, RuntimeError, ...
        why = str(error) or type(error).__name__
        raise DataError(f"{title}: not an .npz file of plain arrays, or damaged ({why})") from error


def _keys(members: Mapping[str, _Member], title: str) -> dict[str, tuple[str, str]]:
    """Return the names of images and labels by split."""
    for images, labels in _WITH_SPLITS:
        splits = ("train", "val", "test")
        names = {split: (images.format(split), labels.format(split)) for split in splits}
        present = {split: pair for split, pair in names.items() if members.keys() & set(pair)}
        if "train" in present:
            return _check_complete(present, members, title)
    for pair in _WITHOUT:
        if members.keys() & set(pair):
            return _check_complete({"train": pair}, members, title)
    held = join_names(list(members)) or "nothing"
    raise DataError(f"{title}: holds {held}; expected {_EXPECTED}")


def _check_complete(
    keys: dict[str, tuple[str, str]], members: Mapping[str, _Member], title: str
) -> dict[str, tuple[str, str]]:
    for pair in keys.values():
        for name in pair:
            if name not in members:
                held = join_names(list(members))
                raise DataError(f"{title}: lacks {name}; it holds {held}; expected {_EXPECTED}")
    return keys


def _check_images(member: _Member, name: str, title: str) -> None:
    shape = member.shape
    if member.dtype != np.uint8:
        raise DataError(
            f"{title}: {name} is of type {member.dtype}; images must be uint8, 0 to 255"
        )
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)) or 0 in shape:
        hint = " (the channels come last)" if len(shape) == 4 and shape[1] in (1, 3) else ""
        raise DataError(
            f"{title}: {name} has shape {shape}; allowed: (N, H, W) or (N, H, W, C) with C 1 or 3"
            f"{hint}"
        )


def _check_labels(
    member: _Member, name: str, images: _Member, images_name: str, title: str
) -> None:
    if member.dtype.kind not in "iuU":
        raise DataError(
            f"{title}: {name} is of type {member.dtype}; labels must be whole numbers or text"
        )
    if len(member.shape) not in (1, 2) or member.shape[1:] not in ((), (1,)):
        raise DataError(
            f"{title}: {name} has shape {member.shape}; allowed: (N,), one label per image"
        )
    if member.shape[0] != images.shape[0]:
        raise DataError(
            f"{title}: {name} has {member.shape[0]} labels for the {images.shape[0]} of "
            f"{images_name}"
        )


def _classes(
    path: Path, members: Mapping[str, _Member], y: npt.NDArray[Any], title: str
) -> tuple[tuple[str, ...], npt.NDArray[Any]]:
    """Return the names of the classes and the label value of each."""
    if "classes" not in members:
        values = np.unique(y)
        return tuple(str(value) for value in values), values
    names = tuple(_to_text(name, title) for name in _load(path, "classes").reshape(-1).tolist())
    if len(set(names)) < len(names):
        raise DataError(f"{title}: classes names a class twice: {join_names(names)}")
    # Labels are then names of classes, or their places in `classes`.
    return names, np.array(names) if y.dtype.kind == "U" else np.arange(len(names))


def _to_text(name: object, title: str) -> str:
    """Return the name of a class; bytes, as other programs write them, are read as UTF-8."""
    try:
        return name.decode() if isinstance(name, bytes) else str(name)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{title}: classes: {show(name)} is not UTF-8; save names as text"
        ) from error


def _to_indices(y: npt.NDArray[Any], values: npt.NDArray[Any], name: str, title: str) -> Rows:
    """Return the labels as indices into `values`: [5, 9, 5] with values [9, 5] -> [1, 0, 1]."""
    y = y.reshape(-1)
    # `classes` in the file may be in any order, while searchsorted needs a sorted one.
    order = np.argsort(values)
    unknown = [str(value) for value in np.unique(y[~np.isin(y, values)])]
    if unknown:
        lead = f"{title}: {name} has labels that are no class of the training images"
        raise DataError(f"{lead}: {join_names(unknown)}")
    return as_labels(order[np.searchsorted(values[order], y)])


def _load(path: Path, key: str) -> Pixels:
    with _name_damage(f"{path}: {key}"), np.load(path, allow_pickle=False) as file:
        array: Pixels = file[key]
        return array
