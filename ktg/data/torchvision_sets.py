"""Data sets known by name: the digits of scikit-learn, and those that torchvision downloads."""

import functools
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from ktg.data.pictures import Array, Files, in_memory
from ktg.data.set_names import DIGITS, KNOWN, Arguments, Known
from ktg.data.source import Part, Source, as_labels
from ktg.errors import DataError
from ktg.local import data_folder, reachable


def is_here(name: str) -> bool:
    """Return whether the data set needs no download."""
    return name == DIGITS or (data_folder() / name / KNOWN[name].lies).exists()


def read_known(name: str) -> Source:
    """Return the data set of this (checked) name, downloaded first if it is absent.

    Raises DataError, within two seconds, where it is absent and its host cannot be reached.
    """
    title = f"data.name: {name}"
    if name == DIGITS:
        return _digits(title)
    known = KNOWN[name]
    folder = data_folder() / name
    if not is_here(name):
        _download(name, known, folder, title)
    train, val, test = known.splits
    dataset = _open(known, folder, train, title)
    return Source(
        title,
        _class_names(dataset),
        _part(dataset, known, folder),
        None if val is None else _part(_open(known, folder, val, title), known, folder),
        None if test is None else functools.partial(_test, known, folder, test, title),
    )


def _digits(title: str) -> Source:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    part = Part(in_memory(images), as_labels(digits.target))
    return Source(title, tuple(str(digit) for digit in range(10)), part, None, None)


def _download(name: str, known: Known, folder: Path, title: str) -> None:
    """Have torchvision fetch all splits beside `folder`, and move them there only when they are complete."""
    by_hand = f"get it from {known.url} and unpack it so that {folder / known.lies} exists (KTG_DATA moves this place)"
    if not known.download:
        raise DataError(
            f"{title} is not on this machine and can no longer be downloaded by a program; {by_hand}"
        )
    if not reachable(known.url):
        raise DataError(f"{title} is not on this machine and its host cannot be reached; {by_hand}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{name}.lock")):
        if is_here(name):
            return
        partial = folder.with_name(f"{name}.partial")
        # torchvision takes an archive that was unpacked halfway for a whole one, so never go on
        # from one.
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            for split in known.splits:
                if split is not None:
                    _torchvision(known, partial, split, download=True)
        except Exception as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise DataError(f"{title} could not be downloaded ({error}); {by_hand}") from error
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)


def _open(known: Known, folder: Path, split: Arguments, title: str) -> Any:
    try:
        return _torchvision(known, folder, split, download=False)
    except Exception as error:
        raise DataError(
            f"{title} in {folder} is incomplete or broken ({error}); delete that folder"
        ) from error


def _torchvision(known: Known, folder: Path, split: Arguments, download: bool) -> Any:
    import torchvision

    kind = getattr(torchvision.datasets, known.torchvision)
    extra = {"download": True} if download else {}
    return kind(folder, **split, **extra)


def _test(known: Known, folder: Path, split: Arguments, title: str) -> Part:
    return _part(_open(known, folder, split, title), known, folder)


def _part(dataset: Any, known: Known, folder: Path) -> Part:
    images = getattr(dataset, known.images)
    if known.images == "data":
        return Part(_array(images), as_labels(getattr(dataset, known.labels or "")))
    pairs: Iterable[tuple[str, int]]
    if known.torchvision == "Caltech101":
        pairs = [(_caltech_file(dataset, row), label) for row, label in enumerate(dataset.y)]
    else:
        pairs = (
            images
            if known.labels is None
            else zip(images, getattr(dataset, known.labels), strict=True)
        )
    # Sorted, because torchvision lists some folders in the order of the file system.
    found = sorted(
        (Path(os.path.relpath(file, folder)).as_posix(), int(label)) for file, label in pairs
    )
    return Part(
        Files(folder, tuple(name for name, _ in found)), as_labels([label for _, label in found])
    )


def _array(images: Any) -> Array:
    pixels = np.asarray(images)
    planes_first = pixels.ndim == 4 and pixels.shape[3] not in (1, 3)
    return in_memory(pixels.transpose(0, 2, 3, 1) if planes_first else pixels)


def _caltech_file(dataset: Any, row: int) -> str:
    category = dataset.categories[dataset.y[row]]
    return f"{dataset.root}/101_ObjectCategories/{category}/image_{dataset.index[row]:04d}.jpg"


def _class_names(dataset: Any) -> tuple[str, ...]:
    """Return the names of the classes, or their numbers where torchvision has no names."""
    names = getattr(dataset, "classes", None) or getattr(dataset, "categories", None)
    if names is None:
        labels = (
            [label for _, label in dataset._samples]
            if hasattr(dataset, "_samples")
            else _labels(dataset)
        )
        names = [str(label) for label in range(int(np.max(labels)) + 1)]
    return tuple(name if isinstance(name, str) else name[0] for name in names)


def _labels(dataset: Any) -> Any:
    return dataset.labels if hasattr(dataset, "labels") else dataset.targets
