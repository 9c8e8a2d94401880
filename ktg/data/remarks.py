"""Says what is odd about a data set in a folder: unused files, twins, and unreadable images."""

import functools
import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from ktg.data.folder import walk_classes
from ktg.data.found_data import FoundData, LabelledImages
from ktg.data.label_table import list_unlisted, read_table_folder
from ktg.data.split_folders import find_splits, group_by_split, is_unlabelled, list_classes
from ktg.data.threads import map_in_order
from ktg.data.undecoded import ImageArray, ImageFiles, explain_fault, name_faults
from ktg.data.unread_tables import find_unread_tables
from ktg.data.walk import is_hidden, is_image, list_folders
from ktg.errors import join_names
from ktg.graph import Data
from ktg.graph.vocabulary import AUTO

_SHOWN = 5


def remark_on_folder(spec: Data, base: Path | None = None) -> Iterator[str]:
    """Yield sentences on what in the folder of a data set is not used, or may not be a class.

    Only names are read. Nothing is said of data that are no folder.
    """
    root = (base or Path.cwd()) / Path(spec.path or "").expanduser()
    if spec.path is None or not root.is_dir():
        return
    table = read_table_folder(root, spec.labels, f"data.path: {spec.path}")
    if table is not None:
        unlisted = list_unlisted(root, table) if spec.unlabelled is None else []
        if unlisted:
            lie = "1 image is" if len(unlisted) == 1 else f"{len(unlisted)} images are"
            yield f"{lie} in no line of the table of labels: {join_names(unlisted, _SHOWN)}"
        return
    places = spec.unlabelled or ()
    used = {os.path.relpath((base or Path.cwd()) / place, root) for place in places}
    images, folders = (
        [name for name in found if not used & {".", name} and AUTO not in places]
        for found in find_unused(root)
    )
    if images:
        lie = "1 image lies" if len(images) == 1 else f"{len(images)} images lie"
        where = "beside the class folders and not in one, so nothing uses them"
        yield f"{lie} {where}: {join_names(images, _SHOWN)}"
    without = [name for name in folders if is_unlabelled(name.rpartition("/")[2])]
    if without:
        yield f"taken for images without labels, and for no class: {join_names(without)}"
    if folders := [name for name in folders if name not in without]:
        rule = "folders beside train/ are used only if they are val/ or test/"
        yield f"{rule}; not used: {join_names(folders, _SHOWN)}"
    if below := find_nested(root):
        problem = "no class has images but in folders of its own"
        yield f"{problem}; if these are the classes, go one down: {join_names(below, _SHOWN)}"
    for name in (file.name for file in find_unread_tables(root)):
        rule = f"{name} beside the class folders is not read, because folders go before it"
        yield f"{rule}; for its labels give data.labels: {name} (`ktg init --labels {name}`)"
    yield from _remark_on_classes(root)


def remark_on_splits(data: FoundData, spec: Data) -> Iterator[str]:
    """Yield a sentence on a split that is drawn from another, where the data have some of them."""
    if data.val is None and data.test is not None:
        share, key = spec.val_fraction, "val_fraction"
        if spec.folds is not None:
            share, key = 1 / spec.folds, "folds"
        yield _say_drawn("validation", share, f"data.{key}")
    if data.val is not None and data.test is None:
        yield _say_drawn("test", spec.test_fraction, "data.test_fraction")
    if data.train.groups is not None:
        groups = len(set(data.train.groups.tolist()))
        images = len(data.train.groups)
        yield f"{images} images are {groups} groups, which no drawn split cuts (data.groups)"
    if data.train.weights is not None:
        weights = data.train.weights
        span = f"{weights.min():.4g} to {weights.max():.4g}"
        unused = f"; {(weights == 0).sum()} are not used" if not weights.all() else ""
        yield f"the {len(weights)} training labels have weights from {span}{unused}"


def _say_drawn(split: str, share: float, key: str) -> str:
    held = f"{share:.0%} of the training images are held out for it, of each class ({key})"
    return f"the data have no {split} split: {held}"


def remark_on_images(parts: Mapping[str, LabelledImages], corrupt: str) -> Iterator[str]:
    """Yield sentences on images, by split, that are no images, or exact copies of one another.

    The first bytes of every file are read, and all bytes of those that have the size of another;
    arrays are read whole.
    """
    broken, count = dict[str, str](), 0
    for part in parts.values():
        faults = list(map_in_order(functools.partial(_find_fault, part), range(len(part.labels))))
        broken |= {part.images.name(row): why for row, why in enumerate(faults) if why}
        count += len(faults)
    if broken:
        end = "leaves them out" if corrupt == "skip" else "refuses them unless data.corrupt: skip"
        lead = f"{len(broken)} of {count} images cannot be read, and training {end}"
        yield f"{lead}: {name_faults(dict(sorted(broken.items())), _SHOWN)}"
    twins = _find_twins(parts, broken.keys())
    for what, place, why in (
        ("in two splits", 0, "accuracy on images that were trained on says nothing"),
        ("with two labels", 1, "one of the labels is wrong"),
    ):
        both = [group for group in twins if len({member[place] for member in group}) > 1]
        if both:
            are = "1 image lies" if len(both) == 1 else f"{len(both)} images lie"
            named = [" is ".join(name for *_, name in group[:_SHOWN]) for group in both]
            yield f"{are} {what}, as exact copies, and {why}: {join_names(named, _SHOWN)}"


def find_unused(root: Path) -> tuple[list[str], list[str]]:
    """Return what of a data set in `root` is not used: images beside class folders, and folders.

    Such a folder lies beside train/ and is no split, or is named unlabelled/. Paths are relative to
    `root`; only names are read.
    """
    splits = list(find_splits(root, str(root)).values())
    # A split in a folder of its own name, a/a/, may have images in either.
    outer = {split.partition("/")[0] for split in splits}
    places = ("", *(f"{place}/" for place in sorted({*splits, *outer})))
    images = [f"{place}{name}" for place in places for name in _images_in(root / place)]
    named = [f"{place}{name}" for place in places for name in list_folders(root / place)]
    without = [name for name in named if is_unlabelled(name.rpartition("/")[2])]
    others = [name for name in list_classes(root) if splits and name not in outer]
    return images, [*without, *others]


def find_nested(root: Path) -> list[str]:
    """Return the folders in class folders, if every class has several and no image beside them.

    They are then likely to be the classes, and `root` lies one level too high. Paths are relative
    to `root`; only names are read.
    """
    split = find_splits(root, str(root)).get("train", "")
    classes = [f"{split}/{name}" if split else name for name in list_classes(root / split)]
    below = {name: list_folders(root / name) for name in classes}
    if any(len(folders) < 2 or _images_in(root / name) for name, folders in below.items()):
        return []
    return [f"{name}/{folder}" for name, folders in below.items() for folder in folders]


def _remark_on_classes(root: Path) -> Iterator[str]:
    """Yield sentences on what in the class folders is passed over, and on names of classes."""
    splits = find_splits(root, str(root))
    if not splits:
        for name in (name for group in group_by_split(root).values() for name in group):
            yield f"{name}/ is taken for a class, though it is named as a split"
    classes = list_classes(root / splits.get("train", ""))
    walks = [
        found
        for place in (splits or {"": ""}).values()
        for found in walk_classes(root, place, classes).values()
    ]
    for attribute, one, more, why in (
        ("others", "file", "files", "without the ending of an image"),
        ("system", "folder", "folders", "that systems leave behind, with thumbnails and the like"),
        ("again", "link", "links", "to what is there already"),
    ):
        names = sorted(name for found in walks for name in getattr(found, attribute))
        if names:
            what = f"1 {one}" if len(names) == 1 else f"{len(names)} {more}"
            yield f"passed over in class folders: {what} {why} ({join_names(names, _SHOWN)})"


def _find_fault(part: LabelledImages, row: int) -> str:
    """Return why an image cannot be read, by its first bytes; "" where it can be."""
    try:
        part.images.header(row)
    except Exception as error:  # of many kinds, see `decode`
        return explain_fault(error, part.images.name(row))
    return ""


def _find_twins(
    parts: Mapping[str, LabelledImages], broken: Collection[str]
) -> list[list[tuple[str, int, str]]]:
    """Return groups of files, or rows of arrays, of the same bytes.

    Each is (split, label, name), sorted by name.
    """
    sizes = defaultdict(list)
    same = defaultdict(list)
    for split, part in parts.items():
        if isinstance(part.images, ImageFiles):
            for name, label in zip(part.images.names, part.labels.tolist(), strict=True):
                if name not in broken:
                    file = part.images.root / name
                    sizes[file.stat().st_size].append((file, (split, label, name)))
        elif isinstance(part.images, ImageArray):
            for row, label in enumerate(part.labels.tolist()):
                name = f"{split} {part.images.name(row)}"
                same[part.images.digest(row)].append((split, label, name))
    alike = [each for group in sizes.values() if len(group) > 1 for each in group]
    for (_, member), digest in zip(alike, map_in_order(_hash, alike), strict=True):
        same[digest].append(member)
    groups = (sorted(group, key=lambda member: member[2]) for group in same.values())
    return sorted((group for group in groups if len(group) > 1), key=lambda group: group[0][2])


def _hash(file: tuple[Path, object]) -> bytes:
    with file[0].open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()


def _images_in(folder: Path) -> list[str]:
    entries = [entry for entry in folder.iterdir() if not is_hidden(entry.name)]
    return sorted(entry.name for entry in entries if entry.is_file() and is_image(entry.name))
