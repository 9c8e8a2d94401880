"""Reads data sets in folders: one folder per class, train/ (val/) (test/) of such, or a table."""

import functools
import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ktg.data.found_data import FoundData, LabelledImages, as_labels
from ktg.data.label_table import read_table_folder
from ktg.data.split_folders import find_splits, is_place, list_classes
from ktg.data.undecoded import ImageFiles
from ktg.data.unread_tables import refuse_contradicted
from ktg.data.walk import Walk, walk
from ktg.errors import DataError, did_you_mean, join_names


def read_folder(root: Path, title: str, labels: str | None = None) -> FoundData:
    """Return the data set in `root`. Of a test split only the names of files are read here.

    labels: a table of labels, which goes before folders; without any folders of classes a table is
    looked for. See `ktg.data.label_table`.
    A folder named unlabelled/ is no class: see `data.unlabelled`.
    Raises DataError for an empty class folder, for splits whose classes differ, for folders that
    are named as splits and hold no classes, for a file with two labels or in two splits, and for
    folders that a table beside them shows to be no classes.
    """
    table = read_table_folder(root, labels, title)
    if table is not None:
        _check_encodable(table.classes, title)
        return table
    splits = find_splits(root, title) or {"train": ""}
    classes = list_classes(root / splits["train"])
    _check_encodable(classes, title)
    for split in ("val", "test"):
        if split in splits:
            folders = list_classes(root / splits[split])
            _check_any_class(root, splits[split], split, classes, title)
            _check_same_classes(classes, folders, splits[split], splits["train"], title)
    walks = {split: walk_classes(root, place, classes) for split, place in splits.items()}
    refuse_contradicted(root, walks["train"], title)
    _check_shared([each for found in walks.values() for each in found.values()], title)
    read = {split: functools.partial(_label, root, found, title) for split, found in walks.items()}
    val = read["val"]() if "val" in read else None
    return FoundData(title, classes, read["train"](), val, read.get("test"))


def walk_classes(root: Path, split: str, classes: Sequence[str]) -> dict[str, Walk]:
    """Return what lies in each class folder of a split, by the folder's place below `root`."""
    places = [f"{split}/{name}" if split else name for name in classes]
    return {place: walk(root, place) for place in places}


def list_images(root: Path, folder: str, *, once: bool = True) -> list[str]:
    """Return the visible image files anywhere below `folder`, sorted, relative to `root`.

    once: whether of several links to one file only one is listed.
    """
    return sorted(walk(root, folder, once=once).images)


def _label(root: Path, classes: dict[str, Walk], title: str) -> LabelledImages:
    """Return the images of a split, given what lies in each of its class folders."""
    empty = [place for place, found in classes.items() if not found.images]
    if empty:
        raise DataError(
            f"{title}: no images in {join_names(empty)}; put images there (a file is one if "
            "Pillow knows its ending, such as .jpg or .png) or remove the folder"
        )
    names = [name for found in classes.values() for name in sorted(found.images)]
    counts = [len(found.images) for found in classes.values()]
    labels = np.repeat(np.arange(len(counts)), counts)
    return LabelledImages(ImageFiles(root, tuple(names)), as_labels(labels))


def _check_shared(walks: Iterable[Walk], title: str) -> None:
    """Raise DataError for files that several class folders, or splits, reach through links."""
    first: dict[str, str] = {}
    shared = []
    for found in walks:
        for name, place in found.images.items():
            if first.setdefault(place, name) != name:
                shared.append(f"{first[place]} is {name}")
    if shared:
        files = "file has" if len(shared) == 1 else "files have"
        raise DataError(
            f"{title}: through links {len(shared)} {files} two labels or a place in two splits: "
            f"{join_names(sorted(shared), 5)}; remove links until each file has one place"
        )


def _check_encodable(classes: Iterable[str], title: str) -> None:
    """Raise DataError for a name that is not UTF-8, which no graph, report or store can hold."""
    for name in classes:
        try:
            name.encode()
        except UnicodeEncodeError:
            readable = os.fsencode(name).decode("utf-8", "backslashreplace")
            raise DataError(
                f"{title}: the class folder {readable} has a name that is not UTF-8; rename it"
            ) from None


def _check_any_class(
    root: Path, place: str, split: str, classes: Sequence[str], title: str
) -> None:
    """Raise DataError for a split that has no folder for each class, as of a competition."""
    folders = list_classes(root / place)
    if any(not is_place(name) or name in classes for name in folders):
        return
    images = len(walk(root, place).images)
    holds = f"{images} image{'' if images == 1 else 's'}"
    raise DataError(
        f"{title}: {place}/ has {holds} and no folder for each class; sort them into "
        f"{place}/{classes[0]}/ and so on, rename it unlabelled/, or move it away, and a {split} "
        "split is drawn"
    )


def _check_same_classes(
    classes: tuple[str, ...], other: tuple[str, ...], split: str, train: str, title: str
) -> None:
    unseen = [name for name in other if name not in classes]
    if unseen:
        forms = {unicodedata.normalize("NFC", name) for name in classes}
        if unicodedata.normalize("NFC", unseen[0]) in forms:
            raise DataError(
                f"{title}: {unseen[0]} is written with other characters in {split}/ than in "
                f"{train}/, though they look alike (Unicode forms NFC and NFD); rename one"
            )
        lead = f"{title}: {split}/ has classes that {train}/ has not"
        hint = did_you_mean(unseen[0], classes)
        raise DataError(f"{lead}: {join_names(unseen)}.{hint}")
    missing = [name for name in classes if name not in other]
    if missing:
        lead = f"{title}: {split}/ lacks classes that {train}/ has"
        raise DataError(f"{lead}: {join_names(missing)}")
