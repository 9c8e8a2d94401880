"""Reads images in a .zip or .tar where they lie: nothing in an archive is ever written by its name.

A compressed .tar can only be read from its start, so it is unpacked once, as one .tar, into the
cache.
"""

import bz2
import functools
import gzip
import hashlib
import io
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ktg.data.cache_entries import make_entry
from ktg.data.cache_kinds import ARCHIVES
from ktg.data.cache_limit import Hold, read_limit_bytes
from ktg.data.decode import Geometry, Header, Pixels, decode, read_header, read_peak
from ktg.data.undecoded import Rows
from ktg.data.walk import is_hidden, is_image
from ktg.errors import DataError
from ktg.local import FileStamp, file_stamp

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAX_FILE_BYTES = 2**29  # of one image in an archive: more is no image, but a bomb
_PIECE = 2**20
_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
# Copies in the cache: they are opened anew for every image, so none is removed before the process
# ends.
_held: dict[Path, Hold | None] = {}
_BROKEN = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class Member:
    """One file in an archive: of a .tar its place and its bytes, of a .zip its number there."""

    name: str
    place: int
    size_bytes: int


@dataclass(frozen=True)
class ArchiveImages:
    """Images in an archive; `origin` is what the user gave, `path` what is read."""

    origin: Path
    path: Path
    members: tuple[Member, ...]

    def __len__(self) -> int:
        return len(self.members)

    def identity(self) -> str:
        """Return a hash of the archive (path, size, time of change) and of the names in it."""
        digest = hashlib.sha256(f"{file_stamp(self.origin)[:3]}\n".encode("utf-8", "replace"))
        for member in self.members:
            digest.update(f"{member}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def take(self, rows: Rows) -> "ArchiveImages":
        """Return the images of these rows."""
        return replace(self, members=tuple(self.members[row] for row in rows))

    def name(self, row: int) -> str:
        """Return the image's name in the archive."""
        return self.members[row].name

    def header(self, row: int) -> Header:
        """Return sides and greyness."""
        return read_header(io.BytesIO(self._read(row)))

    def peak(self, row: int) -> int:
        """Return the largest value of an image with more than 8 bits, 0 for others."""
        return read_peak(io.BytesIO(self._read(row)))

    def open(self, row: int, geometry: Geometry) -> tuple[bytes, Pixels]:
        """Return the hash of the file and its pixels."""
        content = self._read(row)
        return hashlib.sha256(content).digest(), decode(content, geometry)

    def _read(self, row: int) -> bytes:
        member = self.members[row]
        if member.size_bytes > MAX_FILE_BYTES:
            raise OSError(f"takes {member.size_bytes:,} bytes unpacked")
        if zipfile.is_zipfile(self.path):
            # By process, because a file that is open before a fork has one place to read at.
            archive = _open_zip(file_stamp(self.path), os.getpid())
            with archive.open(archive.infolist()[member.place]) as file:
                return file.read(member.size_bytes)
        with self.path.open("rb") as file:
            file.seek(member.place)
            return file.read(member.size_bytes)


def read_archive(path: Path, title: str) -> ArchiveImages:
    """Return the visible images of an archive, sorted by name; only its table is read.

    Links, devices and hidden files are passed over. Raises DataError, which begins with `title`,
    for what is no archive, is encrypted, or takes more room unpacked than the cache may.
    """
    try:
        if zipfile.is_zipfile(path):
            return ArchiveImages(path, path, _list_zip(path, title))
        plain = _unpack_once(path, title)
        return ArchiveImages(path, plain, _list_tar(plain))
    except _BROKEN as error:
        problem = "cannot be read as an archive, or is damaged"
        raise DataError(f"{title} {problem} ({error or type(error).__name__})") from error


def _list_zip(path: Path, title: str) -> tuple[Member, ...]:
    found = {}
    with zipfile.ZipFile(path) as archive:
        for place, info in enumerate(archive.infolist()):
            if not info.is_dir() and _is_shown(info.filename):
                if info.flag_bits & 1:
                    raise DataError(f"{title} is encrypted; unpack it")
                found[info.filename] = Member(info.filename, place, info.file_size)
    return tuple(found[name] for name in sorted(found))


def _list_tar(path: Path) -> tuple[Member, ...]:
    found = {}
    with tarfile.open(path, "r:") as archive:
        for info in archive:
            if info.isreg() and not info.issparse() and _is_shown(info.name):
                found[info.name] = Member(info.name, info.offset_data, info.size)
    return tuple(found[name] for name in sorted(found))


def _is_shown(name: str) -> bool:
    return is_image(name) and not any(is_hidden(part) for part in PurePosixPath(name).parts)


def _unpack_once(path: Path, title: str) -> Path:
    """Return the .tar itself, or the copy in the cache of what a compressed one holds."""
    with path.open("rb") as file:
        start = file.read(max(map(len, _OPENERS)))
    opener = next((each for magic, each in _OPENERS.items() if start.startswith(magic)), None)
    if opener is None:
        return path
    key = hashlib.sha256(str(file_stamp(path)).encode("utf-8", "replace")).hexdigest()[:32]
    entry = ARCHIVES.place(key)
    _held[entry] = make_entry(entry, functools.partial(_unpack, path, opener, title))
    return entry / "images.tar"


def _unpack(path: Path, opener: Callable[..., Any], title: str, folder: Path) -> None:
    room = min(read_limit_bytes(), shutil.disk_usage(folder).free)
    with opener(path) as file, (folder / "images.tar").open("wb") as plain:
        while piece := file.read(_PIECE):
            if plain.tell() + len(piece) > room:
                problem = f"takes more than {room / 2**30:.1f} GiB unpacked, the room"
                raise DataError(f"{title} {problem} that the cache has; unpack it")
            plain.write(piece)


@functools.lru_cache(maxsize=4)
def _open_zip(stamp: FileStamp, process: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(stamp[0])
