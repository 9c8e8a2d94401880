"""Reads data sets known by name: digits from scikit-learn, the others through torchvision."""

import functools
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from ktg.data.found_data import FoundData, LabelledImages, as_labels
from ktg.data.set_names import DIGITS, NAMED_SETS, Arguments, NamedSet
from ktg.data.undecoded import ImageArray, ImageFiles, wrap_array
from ktg.errors import DataError
from ktg.local import data_folder, is_reachable


def is_downloaded(name: str) -> bool:
    """Return whether the data set is on this machine; digits always is."""
    return name == DIGITS or (data_folder() / name / NAMED_SETS[name].marker).exists()


def read_named(name: str) -> FoundData:
    """Return the data set of this (checked) name, downloaded first if it is absent.

    Raises DataError, within two seconds, where it is absent and its host cannot be reached.
    """
    title = f"data.name: {name}"
    if name == DIGITS:
        return _read_digits(title)
    facts = NAMED_SETS[name]
    folder = data_folder() / name
    if not is_downloaded(name):
        _download(name, facts, folder, title)
    train, val, test = facts.splits
    dataset = _load(facts, folder, train, title)
    read = functools.partial(_load_split, facts, folder, title)
    return FoundData(
        title,
        _class_names(dataset),
        _as_found(dataset, facts, folder),
        None if val is None else read(val),
        None if test is None else functools.partial(read, test),
    )


def _read_digits(title: str) -> FoundData:
    from sklearn.datasets import load_digits

    digits = load_digits()
    # scikit-learn has these images as numbers from 0 to 16.
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    train = LabelledImages(wrap_array(images), as_labels(digits.target))
    return FoundData(title, tuple(str(digit) for digit in range(10)), train, None, None)


def _download(name: str, facts: NamedSet, folder: Path, title: str) -> None:
    """Have torchvision fetch all splits beside `folder`; move them there when all are complete."""
    by_hand = (
        f"get it from {facts.url} and unpack it so that {folder / facts.marker} exists "
        "(KTG_DATA moves this place)"
    )
    absent = f"{title} is not on this machine"
    if not facts.download:
        raise DataError(f"{absent} and can no longer be downloaded by a program; {by_hand}")
    if not is_reachable(facts.url):
        raise DataError(f"{absent} and its host cannot be reached; {by_hand}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{name}.lock")):
        if is_downloaded(name):  # by another process, while this one waited
            return
        partial = folder.with_name(f"{name}.partial")
        # Begin from nothing: torchvision takes a half unpacked archive for a whole one.
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            for split in facts.splits:
                if split is not None:
                    _construct(facts, partial, split, download=True)
        except Exception as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise DataError(f"{title} could not be downloaded ({error}); {by_hand}") from error
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)


def _load_split(facts: NamedSet, folder: Path, title: str, split: Arguments) -> LabelledImages:
    return _as_found(_load(facts, folder, split, title), facts, folder)


def _load(facts: NamedSet, folder: Path, split: Arguments, title: str) -> Any:
    try:
        return _construct(facts, folder, split, download=False)
    except Exception as error:
        raise DataError(
            f"{title} in {folder} is incomplete or broken ({error}); delete that folder"
        ) from error


def _construct(facts: NamedSet, folder: Path, split: Arguments, download: bool) -> Any:
    import torchvision

    kind = getattr(torchvision.datasets, facts.torchvision)
    extra = {"download": True} if download else {}
    return kind(folder, **split, **extra)


def _as_found(dataset: Any, facts: NamedSet, folder: Path) -> LabelledImages:
    images = getattr(dataset, facts.images)
    if facts.images == "data":
        return LabelledImages(_as_array(images), as_labels(getattr(dataset, facts.labels or "")))
    pairs: Iterable[tuple[str, int]] = images
    if facts.torchvision == "Caltech101":
        pairs = [(_caltech_file(dataset, row), label) for row, label in enumerate(dataset.y)]
    elif facts.labels is not None:
        pairs = zip(images, getattr(dataset, facts.labels), strict=True)
    # Sorted, because torchvision lists some folders in the order of the file system.
    found = sorted(
        (Path(os.path.relpath(file, folder)).as_posix(), int(label)) for file, label in pairs
    )
    names, labels = tuple(name for name, _ in found), [label for _, label in found]
    return LabelledImages(ImageFiles(folder, names), as_labels(labels))


def _as_array(images: Any) -> ImageArray:
    pixels = np.asarray(images)
    # STL10 and SVHN put the channels first.
    planes_first = pixels.ndim == 4 and pixels.shape[3] not in (1, 3)
    return wrap_array(pixels.transpose(0, 2, 3, 1) if planes_first else pixels)


def _caltech_file(dataset: Any, row: int) -> str:
    category = dataset.categories[dataset.y[row]]
    return f"{dataset.root}/101_ObjectCategories/{category}/image_{dataset.index[row]:04d}.jpg"


def _class_names(dataset: Any) -> tuple[str, ...]:
    """Return the names of the classes, or their numbers where torchvision has no names."""
    names = getattr(dataset, "classes", None) or getattr(dataset, "categories", None)
    if names is None:
        if hasattr(dataset, "_samples"):
            labels = [label for _, label in dataset._samples]
        else:
            labels = dataset.labels if hasattr(dataset, "labels") else dataset.targets
        names = [str(label) for label in range(int(np.max(labels)) + 1)]
    return tuple(name if isinstance(name, str) else name[0] for name in names)
