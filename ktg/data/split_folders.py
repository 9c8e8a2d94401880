"""Tells folders that are splits of a data set, or hold images without labels, from its classes."""

import re
from collections import defaultdict
from pathlib import Path

from ktg.data.walk import list_folders
from ktg.errors import DataError, join_names

_KINDS = {
    "train": ("train", "training", "labelled", "labeled"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
# These exact names always mean a split when train/ holds classes. The others, such as Training,
# seg_train, test_set and test1, do where nothing contradicts.
_PLAIN = {"train": ("train",), "val": _KINDS["val"], "test": ("test",)}
_UNLABELLED = ("unlabelled", "unlabeled")
_NAME = re.compile(
    r"(?:seg[_-])?(?P<word>[a-z]+?)(?:[_ -]?(?:set|data|images|imgs|split))?[_ -]?\d*",
    re.IGNORECASE,
)
_PLACES = re.compile(r"(images?|imgs?|photos?|pictures?|data|files|jpe?gs?|pngs?)", re.IGNORECASE)


def name_split(folder: str) -> str | None:
    """Return which split a folder is named as: train, val, test, or None.

    "train", "Training", "train_set", "seg_train" -> "train"; "train_station" -> None.
    """
    word = _find_word(folder)
    return next((kind for kind, words in _KINDS.items() if word in words), None)


def is_unlabelled(folder: str) -> bool:
    """Return whether a folder is named as one of images without labels, and so is no class.

    "unlabelled", "Unlabeled_images" -> True; "unlabelled bottles" -> False.
    """
    return _find_word(folder) in _UNLABELLED


def is_place(folder: str) -> bool:
    """Return whether a folder is named as one that holds images, whatever they are: "images"."""
    return _PLACES.fullmatch(folder) is not None


def list_classes(root: Path) -> tuple[str, ...]:
    """Return the names of the folders in `root` that are classes, where its folders are such."""
    return tuple(name for name in list_folders(root) if not is_unlabelled(name))


def _find_word(folder: str) -> str:
    """Return the word that a folder is named by without what is usual around it, "" without one."""
    found = _NAME.fullmatch(folder)
    return found["word"].lower() if found else ""


def find_splits(root: Path, title: str) -> dict[str, str]:
    """Return the folder of each split (train, and val and test where they are), relative to `root`.

    Empty where the folders in `root` are classes. A split may lie in a folder of its own name, as
    in seg_train/seg_train/. Raises DataError where folders are named as splits but cannot be them.
    """
    named = group_by_split(root)
    train = _choose(root, "train", named, title)
    alone = len(named) == 1 and len(list_classes(root)) > 1
    if train is None or (alone and train != "train" and not train.startswith("train/")):
        _refuse_lone_splits(root, named, title)
        return {}
    chosen = {kind: _choose(root, kind, named, title) for kind in ("val", "test")}
    return {"train": train} | {kind: place for kind, place in chosen.items() if place}


def find_any_splits(root: Path, title: str) -> dict[str, str]:
    """Return the folder of each split that has folders of classes, whether train is there or not.

    Raises DataError where two folders may be the same split.
    """
    kinds = group_by_split(root)
    chosen = {kind: _choose(root, kind, kinds, title) for kind in kinds}
    return {kind: place for kind, place in chosen.items() if place and list_folders(root / place)}


def group_by_split(root: Path) -> dict[str, list[str]]:
    """Return the folders in `root` that are named as splits, by split."""
    named = defaultdict(list)
    for name in list_folders(root):
        if kind := name_split(name):
            named[kind].append(name)
    return dict(named)


def _choose(root: Path, kind: str, named: dict[str, list[str]], title: str) -> str | None:
    """Return the folder of a split: the plain name goes before others, which must hold classes."""
    names = named.get(kind, [])
    plain = [name for name in names if name in _PLAIN[kind]]
    if kind == "train":
        plain = [name for name in plain if list_folders(root / name)]
    found = plain or [name for name in names if list_folders(root / name)]
    if len(found) > 1:
        # In the order of `_KINDS`, then of the alphabet.
        found.sort(key=lambda name: (name not in _KINDS[kind], name))
        both = f"{found[0]}/ and {found[1]}/"
        raise DataError(f"{title}: has both {both}; keep one as the {kind} split")
    return _descend(root, found[0], kind) if found else None


def _descend(root: Path, place: str, kind: str) -> str:
    """Return the innermost of folders of one split that hold nothing but each other."""
    below = list_folders(root / place)
    while len(below) == 1 and name_split(below[0]) == kind:
        place = f"{place}/{below[0]}"
        below = list_folders(root / place)
    return place


def _refuse_lone_splits(root: Path, named: dict[str, list[str]], title: str) -> None:
    """Raise DataError if folders that would be taken for classes are, or hold, splits."""
    for split in (*_PLAIN["val"], "test"):
        if list_folders(root / split):
            raise DataError(
                f"{title}: has {split}/ with class folders but no train/ with any; add train/"
            )
    if len(named) > 1:
        names = sorted(name for group in named.values() for name in group)
        raise DataError(
            f"{title}: the folders {join_names(names)} are named as splits and not as classes, "
            "but there is no training split with a folder for each class, such as train/cat/ and "
            "train/dog/; put the images of each class in such a folder, or "
            "a table of labels (train.csv) beside them"
        )
    below = {name: group_by_split(root / name) for name in list_folders(root)}
    if below and all(len(kinds) > 1 for kinds in below.values()):
        name, kinds = next(iter(below.items()))
        places = ", ".join(f"{name}/{group[0]}" for group in kinds.values())
        raise DataError(
            f"{title}: its folders hold splits of their own ({places}); name one of these folders "
            "as the data set, or put the splits first and the classes in them, as in train/cat/"
        )
