"""Data sets in folders: one folder per class, or train/ (val/) (test/) of such folders."""

import functools
import os
from pathlib import Path

from ktg.data.decode import extensions
from ktg.data.pictures import Files
from ktg.data.source import Part, Source, as_labels, listed
from ktg.errors import DataError, did_you_mean

_VAL = ("val", "valid", "validation")


def read_folder(root: Path, title: str) -> Source:
    """Return the data set in `root`. Of a test/ folder only the names of the classes are read here.

    Raises DataError for an empty class folder, and for splits whose classes differ.
    """
    if not _folders(root / "train"):
        _no_split_without_train(root, title)
        classes = _folders(root)
        return Source(title, classes, _part(root, "", classes, title), None, None)
    classes = _folders(root / "train")
    val = _one_val(root, title)
    splits = [split for split in (val, "test") if split and (root / split).is_dir()]
    for split in splits:
        _same_classes(classes, _folders(root / split), split, title)
    return Source(
        title,
        classes,
        _part(root, "train", classes, title),
        _part(root, val, classes, title) if val else None,
        functools.partial(_part, root, "test", classes, title) if "test" in splits else None,
    )


def _part(root: Path, split: str, classes: tuple[str, ...], title: str) -> Part:
    names: list[str] = []
    labels: list[int] = []
    empty = []
    for label, name in enumerate(classes):
        folder = f"{split}/{name}" if split else name
        images = images_below(root, folder)
        if not images:
            empty.append(folder)
        names += images
        labels += [label] * len(images)
    if empty:
        raise DataError(
            f"{title}: no images in {listed(empty)}; put images there (a file is one if Pillow knows its ending, "
            "such as .jpg or .png) or remove the folder"
        )
    return Part(Files(root, tuple(names)), as_labels(labels))


def passed_over(root: Path) -> tuple[list[str], list[str]]:
    """Return what of a data set in `root` is used by nothing, relative to it: images beside class folders, and folders.

    Such a folder lies beside train/ and is no split. Only names are read.
    """
    splits = (
        [name for name in ("train", *_VAL, "test") if (root / name).is_dir()]
        if _folders(root / "train")
        else []
    )
    images = [
        name
        for place in ("", *splits)
        for name in _images_in(root / place, f"{place}/" if place else "")
    ]
    return images, [name for name in _folders(root) if splits and name not in splits]


def nested(root: Path) -> list[str]:
    """Return the folders in class folders, relative to `root`, if every class has several and no image beside them.

    They are then likely to be the classes, and what was given lies one level too high. Only names
    are read.
    """
    split = "train/" if _folders(root / "train") else ""
    below = {f"{split}{name}": _folders(root / split / name) for name in _folders(root / split)}
    if any(len(folders) < 2 or _images_in(root / name, "") for name, folders in below.items()):
        return []
    return [f"{name}/{folder}" for name, folders in below.items() for folder in folders]


def _images_in(folder: Path, before: str) -> list[str]:
    names = (
        entry.name for entry in folder.iterdir() if entry.is_file() and not _hidden(entry.name)
    )
    return [before + name for name in sorted(names) if Path(name).suffix.lower() in extensions()]


def images_below(root: Path, folder: str) -> list[str]:
    """Return the image files anywhere below `folder`, sorted, relative to `root`, without hidden ones."""
    found = []
    for place, folders, files in os.walk(root / folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(place).relative_to(root).as_posix()
        seen = [name for name in files if not name.startswith(".")]
        found += [f"{below}/{name}" for name in seen if Path(name).suffix.lower() in extensions()]
    return sorted(found)


def _folders(root: Path) -> tuple[str, ...]:
    """Return the sorted names of the visible folders in `root`; none where there is no `root`."""
    if not root.is_dir():
        return ()
    return tuple(
        sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not _hidden(entry.name))
    )


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _one_val(root: Path, title: str) -> str | None:
    present = [name for name in _VAL if (root / name).is_dir()]
    if len(present) > 1:
        raise DataError(
            f"{title}: has both {present[0]}/ and {present[1]}/; keep one as the val split"
        )
    return present[0] if present else None


def _no_split_without_train(root: Path, title: str) -> None:
    for split in (*_VAL, "test"):
        if _folders(root / split):
            raise DataError(
                f"{title}: has {split}/ with class folders but no train/ with any; add train/"
            )


def _same_classes(train: tuple[str, ...], other: tuple[str, ...], split: str, title: str) -> None:
    unseen = [name for name in other if name not in train]
    if unseen:
        hint = did_you_mean(unseen[0], train)
        raise DataError(
            f"{title}: {split}/ has classes that train/ has not: {listed(unseen)}.{hint}"
        )
    missing = [name for name in train if name not in other]
    if missing:
        raise DataError(f"{title}: {split}/ lacks classes that train/ has: {listed(missing)}")
