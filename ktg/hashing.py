"""The SHA-256 of files, each read once for as long as it stays the same."""

import functools
import hashlib
from pathlib import Path

Stamp = tuple[int, int, int]


def stamp(file: Path) -> Stamp:
    """Return the size and the times in ns of a file: what changes when its content does. Raises OSError."""
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; it is read again when its stamp has changed. Raises OSError."""
    return _sha256(str(file.resolve()), stamp(file))


@functools.lru_cache(maxsize=256)
def _sha256(path: str, _: Stamp) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
