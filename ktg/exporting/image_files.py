"""Finds the images that a list of files, folders and patterns names."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from ktg.data.folder import list_images
from ktg.errors import DataError
from ktg.exporting.pixels import Picture, PictureError


def find_images(places: Iterable[str]) -> Iterator[tuple[str, PictureError | None]]:
    """Yield the path of every image that `places` name, in order, with an error where it is none.

    A place is a file, whatever it is called; a folder, for all images anywhere below it; or a
    pattern such as `photos/**/*.jpg`, unless there is a file of that very name.
    """
    for place in places:
        try:
            found, fault = _find(place)
        except OSError as error:  # a name that is too long, a folder that may not be read
            found, fault = [], (error.strerror or "cannot be read").lower()
        yield from ((name, None) for name in found)
        if not found:
            yield place, PictureError(fault)


def _find(place: str) -> tuple[list[str], str]:
    """Return the images that a place names, and what is wrong with it where there are none."""
    path = Path(place)
    if path.is_dir():
        # Under every name: who asks of three files, links among them, wants three answers.
        found = [str(path / name) for name in list_images(path, "", once=False)]
        return found, "there are no images in this folder"
    if not os.path.lexists(place) and glob.has_magic(place):
        matches = glob.glob(place, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute one
        return sorted(name for name in matches if Path(name).is_file()), "no file fits this pattern"
    fault = "is no file" if os.path.lexists(place) else "there is no such file"
    return [place] if path.is_file() else [], fault


def expand_paths(pictures: Picture | Iterable[Picture]) -> list[Picture]:
    """Return images with folders and patterns replaced by the files they name.

    One image becomes a list of one. Raises DataError for a path that names none.
    """
    one = isinstance(pictures, str | Path | bytes | np.ndarray | Image.Image)
    found: list[Picture] = []
    for picture in cast(Iterable[Picture], [pictures] if one else pictures):
        if not isinstance(picture, str | Path):
            found.append(picture)
            continue
        for name, fault in find_images([str(picture)]):
            if fault is not None:
                raise DataError(f"{name}: {fault}")
            found.append(name)
    return found
