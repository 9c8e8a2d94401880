"""Reads data sets in folders: one folder per class, or train/ (val/) (test/) of such folders.

Also finds images without labels, in a folder of any layout.
"""

import functools
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ktg.data.decode import list_extensions
from ktg.data.found_data import FoundData, LabelledImages, as_labels
from ktg.data.undecoded import ImageFiles
from ktg.errors import DataError, did_you_mean, did_you_mean_path, join_names

NO_LABEL = -1
_VAL = ("val", "valid", "validation")


def read_folder(root: Path, title: str) -> FoundData:
    """Return the data set in `root`. Of a test/ folder only the names of the classes are read here.

    Raises DataError for an empty class folder, and for splits whose classes differ.
    """
    if not _folders(root / "train"):
        _check_no_lone_split(root, title)
        classes = _folders(root)
        return FoundData(title, classes, _read_split(root, "", classes, title), None, None)
    classes = _folders(root / "train")
    val = _find_val(root, title)
    splits = [split for split in (val, "test") if split and (root / split).is_dir()]
    for split in splits:
        _check_same_classes(classes, _folders(root / split), split, title)
    read = functools.partial(_read_split, root, classes=classes, title=title)
    test = functools.partial(read, "test") if "test" in splits else None
    return FoundData(title, classes, read("train"), read(val) if val else None, test)


def find_unlabelled(
    folder: str, held: Iterable[LabelledImages], base: Path | None = None
) -> LabelledImages:
    """Return the images anywhere below `folder` except files in `held`, all labelled `NO_LABEL`.

    So the folder of a data set may serve as its own unlabelled images: `held` are those that it
    validates and tests on. A copy of a file in another place is not recognised.
    Raises DataError where there is no such folder, or no image in it.
    """
    root, title = (base or Path.cwd()) / Path(folder).expanduser(), f"data.unlabelled: {folder}"
    if not root.is_dir():
        hint = did_you_mean_path(root)
        raise DataError(f"{title} is no folder (looked for {root.absolute()}).{hint}")
    # Files are compared by place, links resolved: for content the test images would have to be
    # read, which nothing but the final test may do.
    files = [part.images for part in held if isinstance(part.images, ImageFiles)]
    apart = {os.path.realpath(each.root / name) for each in files for name in each.names}
    found = list_images(root, "")
    names = tuple(name for name in found if os.path.realpath(root / name) not in apart)
    if not names:
        but = " but those of the validation and test splits" if found else ""
        raise DataError(f"{title} has no images{but}")
    labels = np.full(len(names), NO_LABEL, dtype=np.int64)
    return LabelledImages(ImageFiles(root, names), labels)


def list_images(root: Path, folder: str) -> list[str]:
    """Return the visible image files anywhere below `folder`, sorted, relative to `root`."""
    found = []
    for place, folders, files in os.walk(root / folder, followlinks=True):
        # In place, which is how os.walk is told not to descend into hidden folders.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(place).relative_to(root).as_posix()
        visible = [name for name in files if not name.startswith(".")]
        found += [f"{below}/{name}" for name in visible if _is_image(name)]
    return sorted(found)


def find_unused(root: Path) -> tuple[list[str], list[str]]:
    """Return what of a data set in `root` is not used: images beside class folders, and folders.

    Such a folder lies beside train/ and is no split. Paths are relative to `root`; only names are
    read.
    """
    splits = []
    if _folders(root / "train"):
        splits = [name for name in ("train", *_VAL, "test") if (root / name).is_dir()]
    places = ("", *(f"{split}/" for split in splits))
    images = [f"{place}{name}" for place in places for name in _images_in(root / place)]
    return images, [name for name in _folders(root) if splits and name not in splits]


def find_nested(root: Path) -> list[str]:
    """Return the folders in class folders, if every class has several and no image beside them.

    They are then likely to be the classes, and `root` lies one level too high. Paths are relative
    to `root`; only names are read.
    """
    split = "train/" if _folders(root / "train") else ""
    below = {f"{split}{name}": _folders(root / split / name) for name in _folders(root / split)}
    if any(len(folders) < 2 or _images_in(root / name) for name, folders in below.items()):
        return []
    return [f"{name}/{folder}" for name, folders in below.items() for folder in folders]


def _read_split(root: Path, split: str, classes: tuple[str, ...], title: str) -> LabelledImages:
    names: list[str] = []
    labels: list[int] = []
    empty = []
    for label, name in enumerate(classes):
        folder = f"{split}/{name}" if split else name
        images = list_images(root, folder)
        if not images:
            empty.append(folder)
        names += images
        labels += [label] * len(images)
    if empty:
        raise DataError(
            f"{title}: no images in {join_names(empty)}; put images there (a file is one if "
            "Pillow knows its ending, such as .jpg or .png) or remove the folder"
        )
    return LabelledImages(ImageFiles(root, tuple(names)), as_labels(labels))


def _images_in(folder: Path) -> list[str]:
    entries = [entry for entry in folder.iterdir() if not _is_hidden(entry.name)]
    return sorted(entry.name for entry in entries if entry.is_file() and _is_image(entry.name))


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in list_extensions()


def _folders(root: Path) -> tuple[str, ...]:
    """Return the sorted names of the visible folders in `root`; none where there is no `root`."""
    if not root.is_dir():
        return ()
    entries = [entry for entry in root.iterdir() if not _is_hidden(entry.name)]
    return tuple(sorted(entry.name for entry in entries if entry.is_dir()))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"  # which archives made by macOS contain


def _find_val(root: Path, title: str) -> str | None:
    present = [name for name in _VAL if (root / name).is_dir()]
    if len(present) > 1:
        both = f"{present[0]}/ and {present[1]}/"
        raise DataError(f"{title}: has both {both}; keep one as the val split")
    return present[0] if present else None


def _check_no_lone_split(root: Path, title: str) -> None:
    for split in (*_VAL, "test"):
        if _folders(root / split):
            raise DataError(
                f"{title}: has {split}/ with class folders but no train/ with any; add train/"
            )


def _check_same_classes(
    train: tuple[str, ...], other: tuple[str, ...], split: str, title: str
) -> None:
    unseen = [name for name in other if name not in train]
    if unseen:
        lead = f"{title}: {split}/ has classes that train/ has not"
        hint = did_you_mean(unseen[0], train)
        raise DataError(f"{lead}: {join_names(unseen)}.{hint}")
    missing = [name for name in train if name not in other]
    if missing:
        raise DataError(f"{title}: {split}/ lacks classes that train/ has: {join_names(missing)}")
