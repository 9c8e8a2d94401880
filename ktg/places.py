"""Where ktg keeps what it may delete and make again: decoded images and downloaded data sets."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of decoded images: $KTG_CACHE, or ~/.cache/ktg. It need not exist yet."""
    return _folder("KTG_CACHE", "~/.cache/ktg")


def data_folder() -> Path:
    """Return the folder of downloaded data sets: $KTG_DATA, or ~/.cache/ktg/data. It need not exist yet."""
    return _folder("KTG_DATA", "~/.cache/ktg/data")


def _folder(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or default).expanduser().absolute()
