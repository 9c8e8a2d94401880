"""Shows in the terminal what runs, what is done, what is best, and how long the rest will take."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ktg.graph import SearchSpace
from ktg.searching.score import WORDS, format_score
from ktg.searching.trial import State, Trial
from ktg.searching.trials import TrialQueue
from ktg.wording import count, format_duration

PLAIN_EVERY_S = 10.0
MOST_SHOWN = 6  # running trials on the line of epochs


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
        self._begun_s = queue.now_s
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
        rows = {"trials": self.counts(), "best": self.best()}
        if self.queue.in_state("running"):
            rows["epochs"] = self.running()
        return rows | {"time": self.time()}

    def counts(self) -> str:
        """Return how many trials are in which state."""
        states: list[State] = ["running", "finished", "stopped", "failed"]
        if self.queue.final:
            states.remove("stopped")
        parts = [f"{len(self.queue.in_state(state))} {state}" for state in states]
        if self.queue.duplicates:
            parts.append(f"{count(len(self.queue.duplicates), 'duplicate')} not trained")
        planned = self.queue.planned
        of = "" if planned is None else f"/{planned}"
        if any(trial.race_of is not None for trial in self.queue.trials):  # they come on top
            of = ""
        return f"{len(self.queue.closed)}{of} done: " + ", ".join(parts)

    def running(self) -> str:
        """Return how far each running trial is."""
        shown = self.queue.in_state("running")[:MOST_SHOWN]
        return ", ".join(
            f"{trial.number}: {trial.epoch}/{trial.graph.train.epochs}" for trial in shown
        )

    def best(self) -> str:
        """Return the best finished trial so far."""
        best = self.queue.best
        if best is None:
            return "none finished yet"
        metric = self.queue.metric
        one = next(one for one in self.queue.contestants if one.number == best.number)
        how = f" (mean of {count(one.runs, 'new seed')})" if one.runs else ""
        said = f"{format_score(metric, one.mean)} validation {WORDS[metric]}{how}"
        return f"{said}, {best.name}"

    def time(self) -> str:
        """Return the time spent and the time left, as far as that can be known."""
        left = self.seconds_left()
        spent = f"{format_duration(self._clock() - self._started)} spent"
        return spent if left is None else f"{spent}, about {format_duration(left)} left"

    def seconds_left(self) -> float | None:
        """Return the seconds left: of the budget, or if trials to come are as long as those so far.

        With 2 slots, 4 of 10 trials over after 60 s each, and 2 running for 30 s each:
        (60 * 6 - 30 * 2) / 2 = 150; a race of a quarter of the time adds a third to the 600 s of
        all ten. None before any epoch is over.
        """
        end_s = self.queue.end_s
        if end_s is not None:
            return max(0.0, end_s - self._begun_s - (self._clock() - self._started))
        trained = [trial for trial in self.queue.trials if not trial.is_exact]
        over = [trial for trial in trained if trial.state != "running"]
        lengths = [trial.train_s for trial in over] or [
            trial.epoch_s * trial.graph.train.epochs for trial in trained if trial.epoch_s
        ]
        if not lengths or self.queue.planned is None:
            return None
        closed = len(self.queue.closed)
        spent_s = sum(trial.train_s for trial in self.queue.trials)
        waiting = max(0, self.queue.planned - closed)
        expected_s = spent_s - sum(one.train_s for one in self.queue.in_state("running"))
        expected_s += waiting * sum(lengths) / len(lengths)
        share = self.queue.race_share
        return max(0.0, (expected_s / (1 - share) - spent_s) / self.slots)

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
    graphs = "a continuum of graphs" if size is None else count(size, "graph")
    most = search.most_trials
    length = [count(most, "trial")] if most is not None else []
    if search.budget_s is not None:
        length.append(format_duration(search.budget_s))
    kind = f"{', '.join(length)}, sampler {search.sampler}, scheduler {search.scheduler}"
    holes = count(len(space.holes), "hole")
    return Text.assemble((name, "bold"), f": {holes}, {graphs}; {kind}")
