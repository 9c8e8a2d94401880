"""Finds images without labels: in folders, archives and lists of files, and beside the labelled.

Files of the validation and test splits are never among them.
"""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ktg.data.archive import SUFFIXES, read_archive
from ktg.data.folder import list_images
from ktg.data.found_data import LabelledImages
from ktg.data.split_folders import name_split
from ktg.data.undecoded import ImageFiles, UndecodedImages
from ktg.data.walk import is_image
from ktg.errors import DataError, did_you_mean_path
from ktg.graph.vocabulary import AUTO

NO_LABEL = -1
_LISTS = (".txt", ".csv")


def check_any(places: Sequence[str], images: int) -> None:
    """Raise DataError where the places of `unlabelled` have no images, which are so many."""
    if not images:
        raise DataError(
            f"data.unlabelled: {', '.join(places)}: there are no images but the labelled ones; "
            "`auto` means those that data.per_class leaves out, and those in the folder of the "
            "data set but in no class"
        )


def find_unlabelled(
    places: Sequence[str],
    held: Iterable[LabelledImages],
    base: Path | None = None,
    *,
    root: Path | None = None,
    labelled: LabelledImages | None = None,
) -> list[LabelledImages]:
    """Return the images of each place that has any, all labelled `NO_LABEL`, each file once.

    A place is a folder (at any depth in it), an archive, a list of files, or `auto`: the images in
    the folder `root` of the data set that are in no split. Files in `held`, the images that are
    validated and tested on, are left out, so the folder of a data set may serve as its own
    unlabelled images; a copy of a file in another place is not recognised. `labelled` are those
    that may be trained on, which `auto` leaves out.
    Raises DataError where there is no such place, or no image in it.
    """
    # Files are compared by place, links resolved: for content the test images would have to be
    # read, which nothing but the final test may do.
    apart = set[str]()
    for part in held:
        apart |= _list_real_places(part.images)
    found = []
    for place in places:
        if place == AUTO:
            known = apart | (_list_real_places(labelled.images) if labelled else set())
            images = _find_beside(root, known)
        else:
            images = _read_place(place, apart, base)
        if len(images):
            apart |= _list_real_places(images)
            labels = np.full(len(images), NO_LABEL, dtype=np.int64)
            found.append(LabelledImages(images, labels))
    return found


def _find_beside(root: Path | None, apart: set[str]) -> UndecodedImages:
    """Return the images in the folder of a data set that are in no split of it, and no test."""
    if root is None or not root.is_dir():
        return ImageFiles(Path(), ())
    names = [
        name
        for name in list_images(root, "")
        if name_split(name.partition("/")[0]) not in ("val", "test")
        and os.path.realpath(root / name) not in apart
    ]
    return ImageFiles(root, tuple(names))


def _read_place(place: str, apart: set[str], base: Path | None) -> UndecodedImages:
    path, title = (base or Path.cwd()) / Path(place).expanduser(), f"data.unlabelled: {place}"
    if path.is_dir():
        images = ImageFiles(path, tuple(list_images(path, "")))
    elif not path.is_file():
        hint = did_you_mean_path(path)
        raise DataError(f"{title} does not exist (looked for {path.absolute()}).{hint}")
    elif path.name.lower().endswith(SUFFIXES):
        archive = read_archive(path, title)
        if not len(archive):
            raise DataError(f"{title} has no images")
        return archive
    elif path.suffix.lower() in _LISTS:
        images = ImageFiles(path.absolute().parent, tuple(_read_list(path, title)))
    else:
        allowed = f"a folder, an archive ({', '.join(SUFFIXES)}) or a list of files"
        raise DataError(f"{title} is neither {allowed} ({', '.join(_LISTS)})")
    names = [name for name in images.names if os.path.realpath(images.root / name) not in apart]
    if not names:
        but = " but those used otherwise: for validation and test, or named before"
        raise DataError(f"{title} has no images{but if images.names else ''}")
    return ImageFiles(images.root, tuple(names))


def _read_list(path: Path, title: str) -> Iterator[str]:
    """Yield the files that a list names, one a line or in the first column, below its folder.

    A first line that names no image is passed over as the heading of a table.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{title} is not text in UTF-8") from error
    lines = text.splitlines()
    rows = csv.reader(lines) if path.suffix.lower() == ".csv" else ([line] for line in lines)
    seen = set()
    for number, row in enumerate(rows, 1):
        name = row[0].strip() if row else ""
        if not name or (number == 1 and path.suffix.lower() == ".csv" and not is_image(name)):
            continue
        if not (path.absolute().parent / name).is_file():
            raise DataError(f"{title}: line {number}: there is no file {name} beside the list")
        if name not in seen:
            seen.add(name)
            yield name


def _list_real_places(images: UndecodedImages) -> set[str]:
    if not isinstance(images, ImageFiles):
        return set()
    return {os.path.realpath(images.root / name) for name in images.names}
