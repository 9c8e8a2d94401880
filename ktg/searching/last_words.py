"""Says how to go on where this process cannot: when it is killed, or ended by Ray on the spot.

Ray's core ends its process with code 1, past all handlers, when its raylet dies while it starts or
while it shuts down. The kernel does so for want of memory.
"""

import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

# It reads a sentence, and says it unless a null byte follows before the pipe is closed.
_LISTENER = """
import sys
told = sys.stdin.buffer.read()
if told and not told.endswith(b"\\0"):
    sys.stderr.write("\\nktg: " + told.decode() + "\\n")
"""
_listeners: "list[subprocess.Popen[bytes]]" = []


def resume_command(name: str, places: Sequence[str] = ()) -> str:
    """Return what to type to go on with a search; places: options that name its store and so on."""
    return shlex.join(["ktg", "search", name, "--resume", *places])


@contextmanager
def leave_last_words(again: str) -> Iterator[None]:
    """Have a small process say how to go on if this one dies within the block.

    again: what to type. The process costs 10 MB and no time; it is in a session of its own, so that
    Ctrl-C does not end it.
    """
    listener = subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-S", "-c", _LISTENER],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    _tell(
        listener,
        "this process was ended from outside, or by Ray; what was found so far is kept, go on "
        f"with: {again}".encode(errors="replace"),
    )
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
        _dismiss(listener)


def fall_silent() -> None:
    """Let nothing be said after this process, which is about to say it itself."""
    for listener in _listeners:
        _dismiss(listener)


def _dismiss(listener: "subprocess.Popen[bytes]") -> None:
    _tell(listener, b"\0")
    if listener.stdin:
        with suppress(OSError):
            listener.stdin.close()
    listener.wait()


def _tell(listener: "subprocess.Popen[bytes]", words: bytes) -> None:
    if listener.stdin and not listener.stdin.closed:
        with suppress(OSError):  # somebody has killed it: then nobody says it
            listener.stdin.write(words)
            listener.stdin.flush()
