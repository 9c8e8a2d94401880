"""A confirmation as seen in the terminal."""

from rich.console import Console
from rich.text import Text

from ktg.searching.confirm.queue import Agenda
from ktg.searching.progress import Progress


class Trainings(Progress):
    """Shows how many trainings are done, and how long the rest will take; no result before all are in."""

    def __init__(self, agenda: Agenda, console: Console, *, slots: int) -> None:
        # An agenda has of a ledger what is looked at in a `Progress` with these rows.
        total = agenda.planned
        super().__init__(agenda, console, total=total, slots=slots)  # type: ignore[arg-type]

    def rows(self) -> dict[str, str]:
        """Return the lines of the block, by their names."""
        return {"trainings": self.counts(), "time": self.time()}

    def counts(self) -> str:
        """Return how many trainings are in which state."""
        states = ("running", "finished", "failed")
        parts = [f"{len(self.ledger.in_state(state))} {state}" for state in states]
        return f"{self.closed_count()}/{self.total} done: " + ", ".join(parts)


def headline(agenda: Agenda, name: str) -> Text:
    """Return what is about to be done."""
    graphs, seeds, done = len(agenda.graphs), len(agenda.seeds), len(agenda.jobs) - agenda.planned
    known = f", {done} of them done before" if done else ""
    what = f"{graphs} graphs with {seeds} seeds each: {len(agenda.jobs)} trainings{known}"
    return Text.assemble("confirming ", (name, "bold"), f": {what}")
