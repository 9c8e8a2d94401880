"""Shows how a command goes: sentences, and a bar or a line that is gone when its work is done."""

import csv
import io
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from ktg.api.listener import Listener
from ktg.errors import make_printable
from ktg.wording import format_duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.status import Status

    from ktg.api.train import EpochMetrics

_MEGABYTE = 1e6


class Screen:
    """What one command prints while it works; bars and the line are drawn on a terminal only.

    Leaving its `with` block takes away what is still drawn.
    """

    def __init__(self, console: "Console | None" = None, *, stderr: bool = False) -> None:
        self.console = console or make_console(stderr=stderr)
        self._status: Status | None = None
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    @property
    def listener(self) -> Listener:
        """The functions that a command of `ktg.api` calls while it works."""
        return Listener(self.say, self.warn, self.status, self.count, self.console)

    def say(self, text: str, style: str | None = None) -> None:
        """Print a sentence as it is, however long."""
        text = make_printable(text)
        self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print a warning without harm to what is drawn."""
        self.say(text, "yellow")

    def status(self, text: str) -> None:
        """Write a line over the one before, for what is being done now."""
        if not self.console.is_terminal:
            return
        from rich.text import Text

        line = Text(text, no_wrap=True, overflow="ellipsis")
        if self._status is None:
            self._status = self.console.status(line)
            self._status.start()
        self._status.update(line)

    def count(self, what: str, done: int, total: int) -> None:
        """Draw a bar for `done` of `total`; it comes with the first step and goes with the last."""
        self._draw(what, done, total, f"{done}/{total}")

    def transfer(self, name: str, done: int, total: int) -> None:
        """Draw a bar for a file: `done` of `total` bytes have arrived."""
        self._draw(name, done, total, f"{done / _MEGABYTE:.1f}/{total / _MEGABYTE:.1f} MB")

    def epochs(self, what: str) -> "Callable[[EpochMetrics, int], None]":
        """Return a function to call with each epoch of a training and how many there are.

        On a terminal each takes the line of the one before; elsewhere all are printed.
        """
        started, seen = time.perf_counter(), 0

        def show(epoch: "EpochMetrics", epochs: int) -> None:
            nonlocal seen
            seen += 1
            text = f"{what}: {format_epoch(epoch, epochs)}"
            if self.console.is_terminal:
                # A training that goes on after an interruption does not begin with epoch 1.
                left_s = (time.perf_counter() - started) / seen * (epochs - epoch.number)
                self.status(f"{text}, {format_duration(left_s)} left")
            else:
                self.say(f"{text}, {epoch.images_per_s:.0f} images/s")

        return show

    def clear(self) -> None:
        """Take away what is drawn, for something else to be printed."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self._bars is not None:
            self._bars.stop()
            self._bars, self._tasks = None, {}

    def _draw(self, what: str, done: int, total: int, amount: str) -> None:
        if not self.console.is_terminal:
            return
        if self._bars is None:
            self.clear()  # a bar and a line at once would draw over each other
            self._bars = self._start_bars()
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, amount=amount)
        self._bars.update(self._tasks[what], completed=done, total=total, amount=amount)
        if self._bars.finished:
            self.clear()

    def _start_bars(self) -> "Progress":
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        texts = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[amount]}")
        columns = texts[0], BarColumn(), texts[1], TimeRemainingColumn()
        bars = Progress(*columns, console=self.console, transient=True)
        bars.start()
        return bars


def format_epoch(epoch: "EpochMetrics", epochs: int) -> str:
    """Return an epoch in a few words."""
    figures = {"train": epoch.nodes[epoch.target].train_accuracy, "val": epoch.val_accuracy}
    told = [f"{name} {value:.1%}" for name, value in figures.items() if value is not None]
    return ", ".join([f"epoch {epoch.number}/{epochs}", *told])


def make_console(*, stderr: bool = False, highlight: bool = False) -> "Console":
    """Return a console that shows what a terminal would obey, in tables and titles too."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class PrintableConsole(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterator[Segment]:
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else make_printable(text), style, control)

    # Names are shown as they are: a class, a file or a label may be called `[old]` or `a:b:c`.
    return PrintableConsole(stderr=stderr, highlight=highlight, markup=False, emoji=False)


def echo(text: str, *, err: bool = False) -> None:
    """Print lines as they are but for what a terminal would obey, which is escaped."""
    click.echo(make_printable(text), err=err)


def open_csv() -> Callable[[Iterable[str]], None]:
    """Return a function that prints a row of a table on standard output, comma-separated.

    A file gets every name as its bytes are, UTF-8 or not; a terminal what it cannot obey.
    """
    rows = csv.writer(sys.stdout, lineterminator="\n")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")
    show = make_printable if sys.stdout.isatty() else str
    return lambda cells: rows.writerow([show(cell) for cell in cells])


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print plain data as JSON on standard output."""
    click.echo(format_json(value, indent))


def format_json(value: Any, indent: int | None = None) -> str:
    """Return plain data as JSON that every reader takes: a number that is not finite is null."""
    text = json.dumps(_replace_infinite(value), indent=indent, ensure_ascii=False, allow_nan=False)
    return make_printable(text)


def _replace_infinite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _replace_infinite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_infinite(each) for each in value]
    return value
