"""Keeps decoded images in memory-mapped files, which are made once and read by every worker.

An entry is a folder `<key>.pixels` with `pixels.npy` (N, H, W, C) and `index.npz`, or `<key>.index`
with the index alone where pixels are not kept. It is made under a lock in a temporary folder and
renamed when complete: a process that is killed leaves nothing that looks like an entry.
"""

import contextlib
import errno
import functools
import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from filelock import FileLock

from ktg.data.cache_entries import sync
from ktg.data.cache_kinds import IMAGES
from ktg.data.cache_limit import hold, read_limit_bytes, trim
from ktg.data.decode import MAX_PIXELS, Geometry, Header, count_bits, max_pixels
from ktg.data.image_index import DecodeProgress, ImageIndex, decode_all, load_index
from ktg.data.threads import map_in_order
from ktg.data.undecoded import UndecodedImages, explain_fault
from ktg.errors import DataError, join_names
from ktg.local import atomic_write, cache_folder

FORMAT = 1  # of the entries: raise it when the same images begin to give other files
SIDE = 224
MARGIN_BYTES = 2**30
_LARGEST_OWN_SIDE = 2048


@dataclass(frozen=True)
class DecodeOptions:
    """The form of decoded images, and whether to keep them: fields of `ktg.graph.Data`, by name.

    `geometry` forces the form, as for a val or test split that follows train. Without it `size` is
    the side (None: the images' own if they share one, else 224) and they are grey if all of them
    are. Images with more than 8 bits fill as many as their largest value needs.
    """

    size: int | None
    resize: str
    geometry: Geometry | None
    cache: str
    corrupt: str


@dataclass(frozen=True)
class CachedImages:
    """The index of decoded images, and the file of their pixels (None where these are not kept)."""

    index: ImageIndex
    pixels: Path | None


def open_cached(
    images: UndecodedImages,
    options: DecodeOptions,
    title: str,
    progress: DecodeProgress | None = None,
) -> CachedImages:
    """Return the decoded form of `images`, made now unless some process has made it before.

    Raises DataError that names the files which cannot be decoded (unless they are to be skipped),
    and where there is no room or no right to write.
    """
    read_limit_bytes()  # a mistake in it is said before hours of decoding
    home = cache_folder() / IMAGES.folder
    key = _key(images, options)
    full, lean = (home / f"{key}{ending}" for ending in IMAGES.endings)
    try:
        if options.geometry is None:
            _bring_up_to_date(images, (full, lean))
        if options.cache != "never" and hold(full):
            entry = _read(full)
        else:
            # A lean entry knows the form, which saves reading the header of every image again.
            known = load_index(lean / "index.npz").geometry if hold(lean) else None
            form = known or options.geometry or probe(images, options)
            home.mkdir(parents=True, exist_ok=True)
            fits = options.cache == "auto" and _fits(len(images), form, home)
            target = full if options.cache == "always" or fits else lean
            entry = _read_or_make(images, form, target, options.corrupt, title, progress)
    except OSError as error:
        remedy = "make room there or set KTG_CACHE to another folder"
        # Without pixels an index is written all the same, into the same folder.
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and options.cache != "never":
            remedy += ", or set data.cache: never"
        raise DataError(
            f"{title}: decoded images cannot be kept in {home} ({error}); {remedy}"
        ) from error
    _refuse_faults(images, entry.index, options.corrupt, title)
    return entry


def probe(images: UndecodedImages, options: DecodeOptions) -> Geometry:
    """Return the form for these images from their headers; broken ones do not vote."""
    found = _read_headers(images)
    headers = [header for header in found if header]
    grey = bool(headers) and all(header.grey for header in headers)
    sides = {header.sides for header in headers}
    own = min(sides.pop()) if len(sides) == 1 else SIDE
    deep = [row for row, header in enumerate(found) if header and header.deep]
    bits = count_deep_bits(images, deep)
    side = options.size or (own if own <= _LARGEST_OWN_SIDE else SIDE)
    return Geometry(side, 1 if grey else 3, bits, stretch=options.resize == "stretch")


def count_deep_bits(images: UndecodedImages, rows: Sequence[int]) -> int:
    """Return how many bits images with more than 8 fill, all of them together; 16 for none."""
    peak = 0 if rows else 2**16 - 1
    for each in map_in_order(functools.partial(_read_peak, images), rows):
        peak = max(peak, each)
        if count_bits(peak) == 16:
            break
    return count_bits(peak)


def _read_peak(images: UndecodedImages, row: int) -> int:
    try:
        return images.peak(row)
    except Exception as error:
        explain_fault(error, images.name(row))  # raises what may pass, so that no form comes of it
        return 0  # decoding meets the same fault and reports it


def _read_headers(images: UndecodedImages) -> list[Header | None]:
    return list(map_in_order(functools.partial(_read_header, images), range(len(images))))


def _read_header(images: UndecodedImages, row: int) -> Header | None:
    try:
        return images.header(row)
    except Exception as error:
        explain_fault(error, images.name(row))
        return None  # decoding meets the same fault and reports it


def _key(images: UndecodedImages, options: DecodeOptions) -> str:
    # With the version of Pillow, since another one may decode the same file to other bytes. The
    # text of `geometry` contains the name of its class: renaming that would empty every cache.
    form = f"{FORMAT} {PIL.__version__} {options.size} {options.geometry} {images.identity()}"
    if options.resize != "crop" and options.geometry is None:
        form += f" {options.resize}"
    if max_pixels() != MAX_PIXELS:  # which decides what images are faults
        form += f" {max_pixels()}"
    return hashlib.sha256(form.encode()).hexdigest()[:32]


def _bring_up_to_date(images: UndecodedImages, folders: Iterable[Path]) -> None:
    """Remove entries from before bits were counted, if images fill fewer than 16; mark others."""
    for folder in folders:
        if not folder.is_dir() or load_index(folder / "index.npz").counted:
            continue
        deep = [row for row, each in enumerate(_read_headers(images)) if each and each.deep]
        # A cache that cannot be written is looked through again next time, and that is all.
        with contextlib.suppress(OSError), FileLock(folder.with_suffix(".lock")):
            if count_deep_bits(images, deep) < 16:
                shutil.rmtree(folder)
            else:
                with atomic_write(folder / "index.npz") as temporary, temporary.open("wb") as file:
                    load_index(folder / "index.npz").save(file)
                    file.flush()
                    sync(temporary)


def _fits(images: int, form: Geometry, home: Path) -> bool:
    return images * int(np.prod(form.shape)) + MARGIN_BYTES <= shutil.disk_usage(home).free


def _read(folder: Path) -> CachedImages:
    pixels = folder / "pixels.npy"
    return CachedImages(load_index(folder / "index.npz"), pixels if pixels.is_file() else None)


def _read_or_make(
    images: UndecodedImages,
    form: Geometry,
    target: Path,
    corrupt: str,
    title: str,
    progress: DecodeProgress | None,
) -> CachedImages:
    if not hold(target):
        with FileLock(target.with_suffix(".lock")):
            if not hold(target):  # else it was made while this process waited
                _make(images, form, target, corrupt, title, progress)
                hold(target)
                trim(IMAGES.find())
    return _read(target)


def _make(
    images: UndecodedImages,
    form: Geometry,
    target: Path,
    corrupt: str,
    title: str,
    progress: DecodeProgress | None,
) -> None:
    temporary = target.with_name(f"{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # left by a process that was killed
    temporary.mkdir()
    try:
        if target.suffix == IMAGES.endings[0]:
            index = _decode_into(temporary / "pixels.npy", images, form, progress)
        else:
            index = decode_all(images, form, len, progress)  # `len` takes the pixels, writes none
        _refuse_faults(images, index, corrupt, title)
        index.save(temporary / "index.npz")
        sync(temporary)
        # Renaming a folder is atomic: readers, who take no lock, see all of it or nothing.
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _decode_into(
    path: Path, images: UndecodedImages, form: Geometry, progress: DecodeProgress | None
) -> ImageIndex:
    """Decode into an .npy file, image after image."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(images), *form.shape)}
    # Written, not memory-mapped: through a map a full disk would be a SIGBUS, not an OSError.
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        return decode_all(images, form, file.write, progress)


def _refuse_faults(images: UndecodedImages, index: ImageIndex, corrupt: str, title: str) -> None:
    if index.faults and corrupt == "error":
        named = [f"{images.name(row)} ({reason})" for row, reason in index.faults.items()]
        raise DataError(
            f"{title}: {len(named)} of {len(images)} images cannot be read: {join_names(named)}; "
            "mend or remove them, or set data.corrupt: skip"
        )
