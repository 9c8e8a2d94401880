"""Walks folders of images: each real folder and each real file once, whatever links lead there."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ktg.data.decode import list_extensions
from ktg.errors import DataError

# Folders that systems, archives and network storage leave behind, with thumbnails or deleted files.
_SYSTEM = frozenset(
    {
        "@eaDir",
        "@Recently-Snapshot",
        "@Recycle",
        "#recycle",
        "#snapshot",
        "__MACOSX",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
    }
)
# Inside a class these hold small copies of its images; a class itself may be called so.
_THUMBNAILS = frozenset({"Thumbs", "thumbs", "Thumbnails", "thumbnails"})


@dataclass(frozen=True)
class Walk:
    """What lies below a folder, by names relative to the root of the walk.

    `images` maps the name of each image file to its real place. `others` are visible files without
    the ending of an image, `system` the folders that were passed over, `again` links to what was
    met already.
    """

    images: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    system: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)


def walk(root: Path, folder: str, *, once: bool = True) -> Walk:
    """Return what lies anywhere below `folder`, which is relative to `root`. Only names are read.

    Links are followed, but a folder or file that was met before is not met again, so that circles
    of links end and no image counts twice. once: False for an image under each name that it has.
    Raises DataError for a link to a folder around `folder`, and where a folder cannot be listed.
    """
    found, seen = Walk(), set()
    top = os.path.realpath(root / folder)
    waiting, links = [(Path(folder).as_posix(), top)], list[tuple[str, str]]()
    # Links wait until nothing else is left: what has a name of its own keeps it.
    while waiting or links:
        name, place = waiting.pop() if waiting else links.pop()
        is_file = place != top and not os.path.isdir(place)  # noqa: PTH112 - of a text, for speed
        if place in seen and (once or not is_file):
            found.again.append(name)
            continue
        seen.add(place)
        if is_file:
            found.images[name] = place
            continue
        if top.startswith(f"{place.rstrip(os.sep)}{os.sep}"):
            raise DataError(
                f"{root / name} is a link to {place}, which lies around it, so that all images "
                "there would be its own; remove the link"
            )
        name = name.removeprefix("./")
        for entry in _list(place):
            below = f"{name}/{entry.name}"
            if _is_met(entry, below, found):
                link = entry.is_symlink()
                (links if link else waiting).append(
                    (below, os.path.realpath(entry.path) if link else entry.path)
                )
    return found


def list_folders(root: Path) -> tuple[str, ...]:
    """Return the sorted names of the visible folders in `root`; none where there is no `root`."""
    if not root.is_dir():
        return ()
    found = (entry for entry in _list(str(root)) if not is_hidden(entry.name))
    return tuple(entry.name for entry in found if _is_folder(entry))


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is none of the user's."""
    return name.startswith(".") or name in _SYSTEM


def is_image(name: str) -> bool:
    """Return whether a file of this name counts as an image, going by its ending."""
    return os.path.splitext(name)[1].lower() in list_extensions()  # noqa: PTH122 - for speed


def _is_met(entry: "os.DirEntry[str]", name: str, found: Walk) -> bool:
    """Return whether an entry is a folder to enter or an image; note in `found` what is neither."""
    folder = _is_folder(entry)
    if is_hidden(entry.name) or (folder and entry.name in _THUMBNAILS):
        if folder and not entry.name.startswith("."):
            found.system.append(name)
        return False
    if not folder and not is_image(entry.name):
        found.others.append(name)
        return False
    return True


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    # `entry.is_dir()` raises an error where links lead in a circle.
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()  # noqa: PTH112


def _list(place: str) -> Iterator["os.DirEntry[str]"]:
    try:
        with os.scandir(place) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{place}: this folder cannot be listed ({error.strerror})") from error
