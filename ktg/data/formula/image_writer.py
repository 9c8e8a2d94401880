"""Writes the pictures of a generator into a folder, in the layout of the official FractalDB.

A picture is called 00000/00000_00_count_0_flip0.png. The settings lie beside the classes.
"""

import json
import shutil
import struct
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from ktg.data.decode import Pixels
from ktg.data.formula.stream import PictureGenerator
from ktg.errors import DataError

CARD = "fractal.json"

Settings = Mapping[str, str | int | float | bool]
OnWritten = Callable[[int], None]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_LEVEL = 1


def write_folder(
    generator: PictureGenerator,
    folder: Path,
    settings: Settings,
    *,
    resume: bool = False,
    threads: int = 1,
    progress: OnWritten | None = None,
) -> int:
    """Write every picture, one folder for each class; return how many were written now.

    `settings` are kept in a file beside the classes. With `resume`, classes that exist are left as
    they are, provided that the settings are those they were drawn with. `progress` gets the number
    of further pictures each time.
    Raises DataError for a folder that cannot be used and when the disk is full.
    """
    try:
        _begin(folder, dict(settings), resume)
        written = 0
        for label in range(generator.classes):
            if not _class_folder(folder, label).is_dir():
                _write_class(generator, folder, label, threads, progress)
                written += generator.instances
            elif progress is not None:
                progress(generator.instances)
        return written
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"{folder}: cannot be written: {reason}; mend that, then go on with --resume"
        ) from error


def encode_png(picture: Pixels) -> bytes:
    """Return the PNG file of a picture (H, W, 3)."""
    # Several times as fast as an image library: run-length compression at the lowest level suits
    # these flat areas, and zlib releases the interpreter lock, so that threads help.
    height, width, _ = picture.shape
    lines = np.zeros((height, 1 + 3 * width), np.uint8)  # each line begins with its filter: 0, none
    lines[:, 1:] = picture.reshape(height, 3 * width)
    packer = zlib.compressobj(_PNG_LEVEL, strategy=zlib.Z_RLE)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, colour, no interlace
    data = packer.compress(lines.tobytes()) + packer.flush()
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    return _PNG_SIGNATURE + chunks


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _class_folder(folder: Path, label: int) -> Path:
    return folder / f"{label:05d}"


def _begin(folder: Path, settings: dict[str, str | int | float | bool], resume: bool) -> None:
    """Make the folder with its settings, or check that an existing one was begun with the same."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file; give the name of a folder")
    card = folder / CARD
    if card.is_file():
        if not resume:
            raise DataError(
                f"{folder}: was begun before; add --resume to go on, or give another folder"
            )
        _check_same(folder, _read_card(card), settings)
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder}: holds other files; give a new or empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{CARD}.tmp"
    temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    temporary.replace(card)


def _read_card(card: Path) -> dict[str, object]:
    try:
        read = json.loads(card.read_text(encoding="utf-8"))
    except ValueError:
        read = None
    if not isinstance(read, dict):
        problem = "is damaged, so it is not known how the pictures were drawn"
        raise DataError(f"{card}: {problem}; give another folder")
    return read


def _check_same(
    folder: Path, before: dict[str, object], now: dict[str, str | int | float | bool]
) -> None:
    for name in {**before, **now}:
        had, got = before.get(name), now.get(name)
        if had != got:
            problem = f"was begun with {name} {had}, not {got}"
            raise DataError(f"{folder}: {problem}; give the same, or another folder")


def _write_class(
    generator: PictureGenerator,
    folder: Path,
    label: int,
    threads: int,
    progress: OnWritten | None,
) -> None:
    target = _class_folder(folder, label)
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # left by a process that was killed
    temporary.mkdir()

    def write(instance: int) -> None:
        path = temporary / f"{target.name}_{generator.name(instance)}.png"
        path.write_bytes(encode_png(generator.draw(label, instance)))

    try:
        _write_each(write, generator.instances, threads, progress)
        # Renamed when complete: a class folder that exists is whole, which `resume` relies on.
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_each(
    write: Callable[[int], None], count: int, threads: int, progress: OnWritten | None
) -> None:
    pool = ThreadPoolExecutor(threads)
    try:
        for done in as_completed([pool.submit(write, instance) for instance in range(count)]):
            done.result()
            if progress is not None:
                progress(1)
    finally:
        pool.shutdown(cancel_futures=True)  # after an error, such as a full disk, write no more
