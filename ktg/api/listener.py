"""Names the functions through which a command says what it does while it works."""

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_logger = logging.getLogger(__name__)
SECONDS_APART = 5.0  # of lines that say what is being done now


def ignore(*_: object) -> None:
    """Take any arguments and do nothing."""


@dataclass(frozen=True)
class Listener:
    """Functions that a command calls while it works. Whoever has a screen replaces them.

    say: a sentence worth knowing. warn: a sentence about what went wrong without ending the work.
    status: what is being done now; each text takes the place of the one before.
    count: what is being count_images, how many of it are done, how many there are.
    console: a console of rich, on which a search draws its progress; None draws nothing.
    """

    say: Callable[[str], None] = ignore
    warn: Callable[[str], None] = _logger.warning
    status: Callable[[str], None] = ignore
    count: Callable[[str, int, int], None] = ignore
    console: Any = None

    def decoding(self, done: int, total: int) -> None:
        """Count images that are decoded, which happens once for a data set."""
        self.count("decoding images", done, total)


QUIET = Listener()


def find_listener() -> Listener:
    """Return who hears a command that is called from Python: in a notebook, its reader."""
    return make_notebook_listener() if is_notebook() else QUIET


def is_notebook() -> bool:
    """Return whether this runs in a kernel of Jupyter, whose output a person reads."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    return getattr(shell, "kernel", None) is not None


def make_notebook_listener() -> Listener:
    """Return a listener that prints what it hears, and the progress of a search, line by line."""
    from rich.console import Console

    # As plain text: pages of a kernel need not have the widgets that a live display asks for.
    console = Console(
        file=sys.stdout,
        force_terminal=False,
        force_jupyter=False,
        width=100,
        highlight=False,
        markup=False,
        emoji=False,
    )
    lines = SparseLines()
    return Listener(print, print, status=lines.tell, count=lines.tell_count, console=console)


class SparseLines:
    """Prints what is being done now, at most once in SECONDS_APART, where lines cannot be replaced.

    clock: in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last_s, self._last = clock, -SECONDS_APART, ""

    def tell(self, text: str) -> None:
        """Print a text unless it was the last, or another one has just been printed."""
        now_s = self._clock()
        if text != self._last and now_s - self._last_s >= SECONDS_APART:
            print(text)
            self._last_s, self._last = now_s, text

    def tell_count(self, what: str, done: int, total: int) -> None:
        """Print how many of all are done, as rarely."""
        self.tell(f"{what}: {done:,} of {total:,}")
