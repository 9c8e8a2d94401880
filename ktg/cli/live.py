"""How a training goes: one line that is written over on a terminal, a line for each epoch elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from ktg.training import Epoch


class LiveLine:
    """Shows the epochs of one training after the other; the line goes with the block."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._status: Status | None = None

    def about(self, what: str) -> "Callable[[Epoch, int], None]":
        """Return a function to call with each epoch of a training and how many there are; lines begin with `what`."""
        started, seen = time.perf_counter(), 0

        def show(epoch: "Epoch", epochs: int) -> None:
            nonlocal seen
            seen += 1
            text = f"{what}: {told(epoch, epochs)}"
            if self._console.is_terminal:
                left = (time.perf_counter() - started) / seen * (epochs - epoch.number)
                self._write(f"{text}, {duration(left)} left")
            else:
                speed = f"{epoch.images_per_s:.0f} images/s"
                self._console.print(
                    f"{text}, {speed}", highlight=False, markup=False, soft_wrap=True
                )

        return show

    def rest(self) -> None:
        """Take the line away until the next epoch, for something else to be printed."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def __enter__(self) -> "LiveLine":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.rest()

    def _write(self, text: str) -> None:
        from rich.text import Text

        line = Text(text, no_wrap=True, overflow="ellipsis")
        if self._status is None:
            self._status = self._console.status(line)
            self._status.start()
        self._status.update(line)


def told(epoch: "Epoch", epochs: int) -> str:
    """Return an epoch in a few words."""
    validation = "" if epoch.val_accuracy is None else f", val {epoch.val_accuracy:.1%}"
    return f"epoch {epoch.number}/{epochs}, train {epoch.nodes[epoch.target].train_accuracy:.1%}{validation}"


def duration(seconds: float) -> str:
    """Return a time as 40 s, 12 min or 3 h 5 min."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
