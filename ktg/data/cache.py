"""Decoded images in memory-mapped files, made once and read by every worker.

An entry is a folder `<key>.pixels` with `pixels.npy` (N, H, W, C) and `index.npz`, or `<key>.index`
with the index alone where pixels are not kept. It is made under a lock in a temporary folder and
renamed when complete, so that a process killed in the middle leaves nothing that looks like an
entry.
"""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from filelock import FileLock

from ktg.data.decode import Geometry, Header
from ktg.data.index import Index, Progress, decode_all, load_index
from ktg.data.parallel import in_order
from ktg.data.pictures import Pictures
from ktg.data.source import listed
from ktg.errors import DataError
from ktg.local import cache_folder

FORMAT = 1
SIDE = 224
MARGIN_BYTES = 2**30
_LARGEST_OWN_SIDE = 2048


@dataclass(frozen=True)
class Wish:
    """What decoded images shall be like, and whether to keep them: the fields of `ktg.graph.Data` of these names.

    `geometry` forces the form, as for a val or test split that follows train. Without it `size` is
    the side (None: the images' own if they share one, else 224) and they are grey if all of them
    are.
    """

    size: int | None
    geometry: Geometry | None
    cache: str
    corrupt: str


@dataclass(frozen=True)
class Entry:
    """The index of decoded images, and the file of their pixels, or None where these are not kept."""

    index: Index
    pixels: Path | None


def open_entry(
    pictures: Pictures, wish: Wish, title: str, progress: Progress | None = None
) -> Entry:
    """Return the decoded form of `pictures`, made now unless some process has made it before.

    Raises DataError that names the files which cannot be decoded (unless they are to be skipped),
    and where there is no room or no right to write.
    """
    home = cache_folder() / "images"
    key = _key(pictures, wish)
    full, lean = home / f"{key}.pixels", home / f"{key}.index"
    if wish.cache != "never" and full.is_dir():
        entry = _read(full)
    else:
        known = load_index(lean / "index.npz").geometry if lean.is_dir() else None
        form = known or wish.geometry or probe(pictures, wish.size)
        try:
            home.mkdir(parents=True, exist_ok=True)
            keep = wish.cache == "always" or (
                wish.cache == "auto" and _fits(len(pictures), form, home)
            )
            entry = _made(pictures, form, full if keep else lean, wish.corrupt, title, progress)
        except OSError as error:
            remedy = "make room there, set KTG_CACHE to another folder, or set data.cache: never"
            raise DataError(
                f"{title}: decoded images cannot be kept in {home} ({error}); {remedy}"
            ) from error
    _refuse(pictures, entry.index, wish.corrupt, title)
    return entry


def probe(pictures: Pictures, size: int | None) -> Geometry:
    """Return the form for these pictures from their headers; those that are broken do not vote."""
    headers = [
        header
        for header in in_order(lambda row: _header(pictures, row), range(len(pictures)))
        if header
    ]
    grey = bool(headers) and all(header.grey for header in headers)
    sides = {header.sides for header in headers}
    own = min(sides.pop()) if len(sides) == 1 else SIDE
    return Geometry(size or (own if own <= _LARGEST_OWN_SIDE else SIDE), 1 if grey else 3)


def _header(pictures: Pictures, row: int) -> Header | None:
    try:
        return pictures.header(row)
    except Exception:
        return None  # decoding meets the same fault and reports it


def _key(pictures: Pictures, wish: Wish) -> str:
    # Another version of Pillow may decode the same file to other bytes.
    form = f"{FORMAT} {PIL.__version__} {wish.size} {wish.geometry} {pictures.identity()}"
    return hashlib.sha256(form.encode()).hexdigest()[:32]


def _fits(images: int, form: Geometry, home: Path) -> bool:
    return images * int(np.prod(form.shape)) + MARGIN_BYTES <= shutil.disk_usage(home).free


def _read(folder: Path) -> Entry:
    pixels = folder / "pixels.npy"
    return Entry(load_index(folder / "index.npz"), pixels if pixels.is_file() else None)


def _made(
    pictures: Pictures,
    form: Geometry,
    target: Path,
    corrupt: str,
    title: str,
    progress: Progress | None,
) -> Entry:
    if not target.is_dir():
        with FileLock(target.with_suffix(".lock")):
            if not target.is_dir():  # else it was made while this process waited
                _make(pictures, form, target, corrupt, title, progress)
    return _read(target)


def _make(
    pictures: Pictures,
    form: Geometry,
    target: Path,
    corrupt: str,
    title: str,
    progress: Progress | None,
) -> None:
    temporary = target.with_name(f"{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # left by a process that was killed
    temporary.mkdir()
    try:
        if target.suffix == ".pixels":
            index = _decode_into(temporary / "pixels.npy", pictures, form, progress)
        else:
            index = decode_all(pictures, form, len, progress)
        _refuse(pictures, index, corrupt, title)
        index.save(temporary / "index.npz")
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _decode_into(
    path: Path, pictures: Pictures, form: Geometry, progress: Progress | None
) -> Index:
    """Decode into an .npy file, written in order: through a memory map a full disk would be a SIGBUS."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(pictures), *form.shape)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        index = decode_all(pictures, form, file.write, progress)
        file.flush()
        os.fsync(file.fileno())
    return index


def _refuse(pictures: Pictures, index: Index, corrupt: str, title: str) -> None:
    if index.faults and corrupt == "error":
        named = [f"{pictures.name(row)} ({reason})" for row, reason in index.faults.items()]
        raise DataError(
            f"{title}: {len(named)} of {len(pictures)} images cannot be read: {listed(named)}; "
            "mend or remove them, or set data.corrupt: skip"
        )
