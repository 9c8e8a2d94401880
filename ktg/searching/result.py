"""What a search comes to: the best graph, the baselines beside it, and what was spent and saved."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ktg.graph import Graph, dump
from ktg.searching.trials import Entry, Ledger


@dataclass(frozen=True)
class Row:
    """One line of the final table. Accuracy in [0, 1] and loss in nats, both on the validation split."""

    what: str
    trial: str
    accuracy: float
    loss: float
    train_s: float


@dataclass(frozen=True)
class Result:
    """The end of a search. `best` is None when no trial finished.

    `wall_s` counts from the first record in the tracking store, once Ray has started: so do `ktg
    status` and the pages. `confirmation` is what `ktg confirm --json` prints of it, None where that
    was not asked for.
    """

    name: str
    best: Graph | None
    rows: tuple[Row, ...]
    finished: int
    stopped: int
    failed: int
    duplicates: int
    epochs: int
    epochs_saved: int
    wall_s: float
    interrupted: bool
    exhausted: bool
    commonest_failure: str | None
    confirmation: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        plain = {key: value for key, value in vars(self).items() if key not in ("best", "rows")}
        plain["rows"] = [vars(row) for row in self.rows]
        return plain | {"best": None if self.best is None else dump(self.best)}


def result_of(ledger: Ledger, name: str, wall_s: float, interrupted: bool) -> Result:
    """Sum up a search from its ledger."""
    best = ledger.best
    baselines = [entry for entry in ledger.entries if entry.baseline and entry.state == "finished"]
    rows = [row("best graph", best)] if best else []
    failures = [entry.reason or "" for entry in ledger.in_state("failed")]
    stopped = ledger.in_state("stopped")
    return Result(
        name=name,
        best=best.graph if best else None,
        rows=tuple(rows + [row(entry.baseline or "", entry) for entry in baselines]),
        finished=len(ledger.in_state("finished")),
        stopped=len(stopped),
        failed=len(failures),
        duplicates=len(ledger.duplicates),
        epochs=sum(entry.epoch for entry in ledger.entries),
        epochs_saved=sum(entry.graph.train.epochs - entry.epoch for entry in stopped)
        + sum(duplicate.of.epoch for duplicate in ledger.duplicates),
        wall_s=wall_s,
        interrupted=interrupted,
        exhausted=ledger.exhausted,
        commonest_failure=max(failures, key=failures.count, default=None),
    )


def row(what: str, entry: Entry) -> Row:
    """Return a finished trial's line."""
    return Row(what, entry.name, entry.accuracy, entry.loss, entry.train_s)
