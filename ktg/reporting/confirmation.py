"""What `ktg confirm` has found out about a search, where it was asked."""

from typing import Any

from ktg.errors import KtgError
from ktg.reporting.record import SearchRecord, utc
from ktg.searching.confirm.store import confirmations_of, result

VERSION = 1


def confirmation(record: SearchRecord) -> dict[str, Any] | None:
    """Return the confirmation of a search as `ktg confirm --json` prints it, and when it ended; None without one."""
    experiment = record.experiment
    for run in confirmations_of(experiment, record.run.id):
        try:
            found = result(experiment, run)
        except (KtgError, ValueError):  # a page without it is better than none
            continue
        if found.get("version") == VERSION:
            return {**found, "run": run.id, "ended": utc(run.end_s or run.start_s)}
    return None
