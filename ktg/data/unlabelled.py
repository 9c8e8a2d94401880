"""Images without labels, in a folder: whatever lies there but what is validated or tested on."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ktg.data.folder import images_below
from ktg.data.pictures import Files
from ktg.data.source import Part
from ktg.errors import DataError, did_you_mean_path

NO_LABEL = -1


def find_unlabelled(folder: str, held: Iterable[Part], base: Path | None = None) -> Part:
    """Return the images anywhere below `folder`, all with the label `NO_LABEL`, without files that are in `held`.

    So the folder of a data set may stand for its own unlabelled images. Files are compared by where
    they lie and not by content, for which the test images would have to be read: a copy elsewhere
    goes unnoticed.
    Raises DataError where there is no such folder, or no image in it.
    """
    root, title = (base or Path.cwd()) / Path(folder).expanduser(), f"data.unlabelled: {folder}"
    if not root.is_dir():
        raise DataError(
            f"{title} is no folder (looked for {root.absolute()}).{did_you_mean_path(root)}"
        )
    files = [part.pictures for part in held if isinstance(part.pictures, Files)]
    apart = {os.path.realpath(each.root / name) for each in files for name in each.names}
    found = images_below(root, "")
    names = tuple(name for name in found if os.path.realpath(root / name) not in apart)
    if not names:
        raise DataError(
            f"{title} has no images{' but those of the validation and test splits' if found else ''}"
        )
    return Part(Files(root, names), np.full(len(names), NO_LABEL, dtype=np.int64))
