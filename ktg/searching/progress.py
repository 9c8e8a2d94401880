"""Shows in the terminal what runs, what is done, what is best, and how long the rest will take."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ktg.graph import SearchSpace
from ktg.searching.trials import State, Trial, TrialQueue
from ktg.wording import format_duration, format_percent

PLAIN_EVERY_S = 10.0


class Progress:
    """Keeps one live block on a terminal, and prints a line now and then elsewhere.

    An observer of trials, for a search and for a confirmation. The latter shows no result before
    all are in, for nobody should stop it at a lucky moment.
    """

    def __init__(
        self,
        queue: TrialQueue,
        console: Console,
        *,
        slots: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.queue, self.console, self.slots, self._clock = queue, console, slots, clock
        self._started = self._printed = clock()
        self._live = None
        if console.is_terminal:
            self._live = Live(self, console=console, refresh_per_second=2, transient=True)

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
        if self.queue.final:
            return {"trainings": self.counts(), "time": self.time()}
        return {"trials": self.counts(), "best": self.best(), "time": self.time()}

    def counts(self) -> str:
        """Return how many trials are in which state."""
        states: list[State] = ["running", "finished", "stopped", "failed"]
        if self.queue.final:
            states.remove("stopped")
        parts = [f"{len(self.queue.in_state(state))} {state}" for state in states]
        if self.queue.duplicates:
            parts.append(f"{len(self.queue.duplicates)} duplicates not trained")
        return f"{len(self.queue.closed)}/{self.queue.planned} done: " + ", ".join(parts)

    def best(self) -> str:
        """Return the best finished trial so far."""
        best = self.queue.best
        if best is None:
            return "none finished yet"
        return f"{format_percent(best.accuracy)} validation accuracy, {best.name}"

    def time(self) -> str:
        """Return the time spent and the time left, as far as that can be known."""
        left = self.seconds_left()
        spent = f"{format_duration(self._clock() - self._started)} spent"
        return spent if left is None else f"{spent}, about {format_duration(left)} left"

    def seconds_left(self) -> float | None:
        """Return the seconds left if trials to come take as long as those that are over.

        With 2 slots, 4 of 10 trials over after 60 s each, and 2 running for 30 s each:
        (60 * 6 - 60) / 2 = 150. None before any trial is over.
        """
        over = self.queue.closed
        if not over:
            return None
        mean_s = sum(trial.train_s for trial in over) / len(over)
        running_s = sum(trial.train_s for trial in self.queue.in_state("running"))
        return max(0.0, (mean_s * (self.queue.planned - len(over)) - running_s) / self.slots)

    def on_start(self, trial: Trial) -> None:
        """Refresh the block."""
        self._refresh()

    def on_epoch(self, trial: Trial) -> None:
        """Refresh the block."""
        self._refresh()

    def on_end(self, trial: Trial) -> None:
        """Print why a trial failed, and refresh the block."""
        if trial.state == "failed":
            print_warning(self.console, f"{trial.name} failed: {trial.reason}")
        self._refresh()

    def _refresh(self) -> None:
        if self._live is None and self._clock() - self._printed >= PLAIN_EVERY_S:
            self._printed = self._clock()
            rows = self.rows().items()
            line = " | ".join(f"{name}: {text}" if name == "best" else text for name, text in rows)
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_warning(console: Console, message: str) -> None:
    """Print a warning on a line of its own."""
    console.print(message, style="yellow", markup=False, highlight=False, soft_wrap=True)


def format_headline(space: SearchSpace, name: str) -> Text:
    """Return what a search is about to do: its holes, its graphs, its settings."""
    size, search = space.size(), space.search
    graphs = "a continuum of graphs" if size is None else f"{size:,} graphs"
    kind = f"{search.trials} trials, sampler {search.sampler}, scheduler {search.scheduler}"
    return Text.assemble((name, "bold"), f": {len(space.holes)} holes, {graphs}; {kind}")
