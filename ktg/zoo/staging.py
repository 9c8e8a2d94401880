"""Holds files on their way into a zoo until they are whole, checked and hashed.

They lie in a hidden folder of the zoo itself, so that moving them in is one atomic rename.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ktg.errors import UserError, WeightsError

STAGING = ".incoming"
_CHUNK_BYTES = 2**20
_STALE_S = 7 * 24 * 3600


@contextmanager
def open_staging(folder: Path) -> Iterator[Path]:
    """Yield a new folder inside the zoo `folder`, which is deleted when the block ends."""
    home = folder / STAGING
    home.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=home))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed left behind a week ago or earlier."""
    for left in (folder / STAGING).glob("*"):
        with suppress(FileNotFoundError):  # another process sweeps too
            if time.time() - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def copy_and_hash(file: Path, target: Path) -> str:
    """Copy a file to the disk (not only its cache), and return the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    with file.open("rb") as source, target.open("wb") as copy:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()


def check_safetensors(file: Path, shown: Path) -> None:
    """Raise WeightsError, which names the file `shown`, unless `file` is a whole .safetensors."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as content:
            names = content.keys()
    except SafetensorError as error:
        raise WeightsError(f"{shown}: is not a whole .safetensors file ({error})") from error
    if not names:
        raise WeightsError(f"{shown}: holds no tensors")


def check_room(folder: Path, needed_bytes: int) -> None:
    """Raise UserError if the disk of `folder` has less room than that."""
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        needs = f"{needed_bytes / 1e6:,.0f} MB are needed there and {free / 1e6:,.0f} MB are free"
        raise UserError(f"{folder}: {needs}; make room, or set KTG_ZOO to another folder")
