"""The search as seen in the terminal: what runs, what is done, what is best, how long it will take."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ktg.graph import SearchSpace
from ktg.searching.trials import Entry, Ledger

PLAIN_EVERY_S = 10.0


class Progress:
    """An observer that keeps one live block on a terminal, and prints a line now and then elsewhere."""

    def __init__(
        self,
        ledger: Ledger,
        console: Console,
        *,
        total: int,
        slots: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger, self.console, self.total, self.slots = ledger, console, total, slots
        self._clock = clock
        self._started = self._printed = clock()
        self._live = (
            Live(self, console=console, refresh_per_second=2, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def __rich__(self) -> Table:
        """Draw the block."""
        grid = Table.grid(padding=(0, 2))
        for name, text in self.rows().items():
            grid.add_row(Text(name, style="dim"), text)
        return grid

    def rows(self) -> dict[str, str]:
        """Return the lines of the block, by their names."""
        return {"trials": self.counts(), "best": self.best(), "time": self.time()}

    def counts(self) -> str:
        """Return how many trials are in which state."""
        states = ("running", "finished", "stopped", "failed")
        parts = [f"{len(self.ledger.in_state(state))} {state}" for state in states]
        if self.ledger.duplicates:
            parts.append(f"{len(self.ledger.duplicates)} duplicates not trained")
        return f"{self.closed_count()}/{self.total} done: " + ", ".join(parts)

    def best(self) -> str:
        """Return the best finished trial so far."""
        best = self.ledger.best
        return (
            "none finished yet"
            if best is None
            else f"{100 * best.accuracy:.2f} % validation accuracy, {best.name}"
        )

    def time(self) -> str:
        """Return the time spent and the time left, as far as that can be told."""
        left = self.seconds_left()
        spent = f"{duration(self._clock() - self._started)} spent"
        return spent if left is None else f"{spent}, about {duration(left)} left"

    def seconds_left(self) -> float | None:
        """Return the seconds left, if trials still to come take as long as those that are over; None before any is."""
        over = [entry for entry in self.ledger.entries if entry.state != "running"]
        if not over:
            return None
        mean_s = sum(entry.train_s for entry in over) / len(over)
        running_s = sum(entry.train_s for entry in self.ledger.in_state("running"))
        return max(0.0, (mean_s * (self.total - len(over)) - running_s) / self.slots)

    def closed_count(self) -> int:
        """Return how many trials are over."""
        return sum(entry.state != "running" for entry in self.ledger.entries)

    def started(self, entry: Entry) -> None:
        """See a trial begin."""
        self._refresh()

    def reported(self, entry: Entry) -> None:
        """See an epoch."""
        self._refresh()

    def closed(self, entry: Entry) -> None:
        """See a trial end."""
        if entry.state == "failed":
            self.console.print(
                f"{entry.name} failed: {entry.reason}",
                style="yellow",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        self._refresh()

    def _refresh(self) -> None:
        if self._live is None and self._clock() - self._printed >= PLAIN_EVERY_S:
            self._printed = self._clock()
            line = " | ".join(
                f"{name}: {text}" if name == "best" else text for name, text in self.rows().items()
            )
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def headline(space: SearchSpace, name: str) -> Text:
    """Return what is about to be done."""
    size, search = space.size(), space.search
    graphs = "a continuum of graphs" if size is None else f"{size:,} graphs"
    kind = f"{search.trials} trials, sampler {search.sampler}, scheduler {search.scheduler}"
    return Text.assemble((name, "bold"), f": {len(space.holes)} holes, {graphs}; {kind}")


def duration(seconds: float) -> str:
    """Return a duration as a person would say it: 42 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
