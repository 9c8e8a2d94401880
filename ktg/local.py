"""Deals with this machine: atomic writes, hashes of files, ktg's folders, and hosts that answer."""

import ctypes
import errno
import functools
import hashlib
import os
import queue
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ktg.errors import UserError, show

LONGEST_NAME = 255  # bytes, of a file, on every common file system


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file name beside `path`, and move that file to `path` after the block.

    A reader sees the old file or the new one, never half of it. When the block raises, the old
    file stays and the temporary one is removed.
    """
    # In the same folder, because only within one file system is a rename atomic; with the process
    # id, because workers may write the same file at the same time.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    if len(os.fsencode(temporary.name)) > LONGEST_NAME:  # though that of `path` is not
        digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
        temporary = path.with_name(f".{digest}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all: see `atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_ending(path: str | Path, what: str, *endings: str) -> Path:
    """Return the path. Raises UserError unless it is named as what is written.

    So that no command writes its page over a graph whose name stands in the wrong place.

    >>> check_ending("page.HTML", "a page is HTML", ".html", ".htm").suffix
    '.HTML'
    """
    path = Path(path)
    if path.suffix.lower() not in endings:
        raise UserError(f"{path}: {what}; give a name that ends in {' or '.join(endings)}")
    return path


def check_name_length(file: Path) -> None:
    """Raise UserError for a path with a name that no file can have."""
    long = next((part for part in file.parts if len(os.fsencode(part)) > LONGEST_NAME), None)
    if long is not None:
        raise UserError(
            f"{show(long)}: the name of this file has {len(os.fsencode(long))} bytes; at most "
            f"{LONGEST_NAME} are allowed"
        )


# Of mallopt(3). Where the environment says how glibc allocates memory, that is left as it is.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_MOST_KEPT = 2**31 - 1  # bytes
_MALLOC_SETTINGS = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process use memory that it has freed again, and return whether it does now.

    glibc gives blocks of more than 32 MiB back to the system at once, which then clears each page
    of the next such block. The activations of 32 images of 160 pixels are such blocks, and that is
    a third of the time of a training step of MobileNetV2-1.0. At most 2 GiB are kept. Nothing is
    done without glibc.
    """
    if any(name in os.environ for name in _MALLOC_SETTINGS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or another system
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT))


FileStamp = tuple[str, int, int, int]


def file_stamp(file: Path) -> FileStamp:
    """Return path, size and times in ns: a key for what was read from a file, new when it changes.

    The time of the change of the inode is included, because a program may set the other one back.
    Size and times of a file that cannot be reached are 0; reading it then says what is wrong.
    """
    path = str(file.resolve())
    try:
        stat = file.stat()
    except OSError:
        return path, 0, 0, 0
    return path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal. Reads it again only if it has changed.

    Raises OSError, also for a pipe or a device, which may never end.
    """
    if file.exists() and not file.is_file():
        raise OSError(errno.EINVAL, "it is no regular file", str(file))
    return _sha256(file_stamp(file))


@functools.lru_cache(maxsize=256)
def _sha256(stamp: FileStamp) -> str:
    with Path(stamp[0]).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """Return the folder of decoded images: $KTG_CACHE, or ~/.cache/ktg. It need not exist yet."""
    return _folder("KTG_CACHE", "~/.cache/ktg")


def data_folder() -> Path:
    """Return the folder of downloaded data sets: $KTG_DATA, or ~/.cache/ktg/data.

    It need not exist yet.
    """
    return _folder("KTG_DATA", "~/.cache/ktg/data")


def _folder(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or default).expanduser().absolute()


TIMEOUT_S = 1.5
_PORTS = {"http": 80, "https": 443}


def is_reachable(url: str, timeout_s: float = TIMEOUT_S) -> bool:
    """Return whether the host of `url`, or its proxy, accepts a connection in time."""
    # In a thread, because looking up a name without a network can hang for far longer than any
    # timeout of a socket; as a daemon, because nothing can stop it then.
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    args = (_through_proxy(url), timeout_s, answers)
    threading.Thread(target=_connect, args=args, daemon=True).start()
    try:
        return answers.get(timeout=timeout_s)
    except queue.Empty:
        return False


def _through_proxy(url: str) -> str:
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy is None or urllib.request.proxy_bypass(parts.hostname or ""):
        return url
    return proxy if "//" in proxy else f"http://{proxy}"


def _connect(url: str, timeout_s: float, answers: "queue.SimpleQueue[bool]") -> None:
    parts = urlsplit(url)
    try:
        address = (parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443))
        socket.create_connection(address, timeout=timeout_s).close()
    except (OSError, ValueError):
        answers.put(False)
    else:
        answers.put(True)
