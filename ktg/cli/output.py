"""Keeps a command going when nobody can read what it prints: a closed pipe, or a full disk."""

import errno
import io
import sys
from collections.abc import Callable
from typing import Any, TextIO


class Output(io.FileIO):
    """Writes to a file descriptor until that fails; from then on it takes everything and drops it.

    A search trains for hours, and must not end because `head` has read enough or a disk with its
    log is full. `lost`: why something is lost that somebody wanted to read. `ends_with_reader`:
    raise BrokenPipeError when nobody reads any more, once.
    """

    def __init__(self, descriptor: int, tell: Callable[[str], None]) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.lost: str | None = None
        self.ends_with_reader = False
        self._tell, self._closed = tell, False

    def write(self, data: Any) -> int:
        """Return the number of bytes, written or dropped."""
        size = memoryview(data).nbytes
        if self._closed:
            return size
        try:
            return super().write(data)
        except OSError as error:
            self._closed = True
            if error.errno != errno.EPIPE:
                self.lost = error.strerror
            elif self.ends_with_reader:
                raise
            self._tell(describe_loss(error))
            return size


def describe_loss(error: OSError) -> str:
    """Return in a sentence that standard output takes nothing any more."""
    if error.errno == errno.EPIPE:
        return "nobody reads standard output any more; the rest of it is dropped"
    return f"standard output cannot be written: {error.strerror}; the rest of it is dropped"


def protect_outputs(tell: Callable[[str], None]) -> Output | None:
    """Put an `Output` below standard output and standard error; return that of the first.

    tell: prints a sentence on standard error, once, when standard output fails. None is returned,
    and nothing done, where standard output is no file of this process: a test's, or a notebook's.
    """
    stdout, stderr = sys.__stdout__, sys.__stderr__
    if stdout is None or sys.stdout is not stdout:
        return None
    out = Output(stdout.fileno(), tell)
    sys.stdout = _wrap(out, stdout)
    if stderr is not None and sys.stderr is stderr:
        sys.stderr = _wrap(Output(stderr.fileno(), lambda _: None), stderr)
    return out


def end_with_reader() -> None:
    """Let this command meet BrokenPipeError: it makes nothing but lines for whoever reads them."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, Output):
        raw.ends_with_reader = True


def _wrap(raw: Output, like: TextIO) -> TextIO:
    """Return a text stream on `raw` with the settings of another stream."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=like.encoding,
        errors=like.errors,
        line_buffering=bool(getattr(like, "line_buffering", False)),
        write_through=bool(getattr(like, "write_through", False)),
    )
