"""Names the functions through which a command says what it does while it works."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_logger = logging.getLogger(__name__)


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
