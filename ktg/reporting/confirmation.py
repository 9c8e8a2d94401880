"""What `ktg confirm` has found out about a search, where it was asked."""

import json
from typing import Any

from ktg.confirming.store import RESULT_FILE, confirmations
from ktg.errors import KtgError
from ktg.reporting.record import SearchRecord, utc

VERSION = 1


def confirmation(record: SearchRecord) -> dict[str, Any] | None:
    """Return the confirmation of a search as `ktg confirm --json` prints it, and when it ended; None without one."""
    experiment = record.experiment
    for run in confirmations(experiment):
        if run.tags.get("search") == record.run.id and run.state == "finished":
            try:
                found = json.loads(experiment.read_artifact(run, RESULT_FILE))
            except (KtgError, ValueError):  # a page without it is better than none
                continue
            if found.get("version") == VERSION:
                return {**found, "run": run.id, "ended": utc(run.end_s or run.start_s)}
    return None
