"""Reads what was made of a search after its end: the model it was trained for, and what it taught.

Both are files that the command which made them has stored with the search.
"""

import json
import time
from typing import Any

from ktg.errors import UserError
from ktg.searching.pool import DISTILLED_FILE
from ktg.searching.result import Result
from ktg.searching.stored_search import StoredSearch
from ktg.wording import format_utc

DELIVERED_FILE = "delivered.json"  # that of a search that ended in a model

_TOLD = {"sentence", "warning", "accuracy", "loss", "auroc", "images", "classes"}
_SCORES = {"precision", "recall", "f1", "support"}


def read_distilled(search: StoredSearch) -> dict[str, Any] | None:
    """Return what the last `ktg distill` of a search said, None where there was none."""
    found = _read_file(search, DISTILLED_FILE)
    return found if found is not None and "sentence" in found else None


def make_early_report(name: str, told: dict[str, Any], result: Result | None) -> dict[str, Any]:
    """Return the report of a search whose first model is all there is.

    name: of the experiment. told: what is kept with other searches of the model that they ended in.
    result: of a search that has ended without a finished training, None of one that has not ended.
    """
    kept = ("interrupted", "commonest_failure", "stopped", "failed", "wall_s")
    return {
        "experiment": name,
        "delivered": list_scores(told),
        "ended": result and {one: getattr(result, one) for one in kept},
        "reported": format_utc(time.time()),
    }


def read_delivered(search: StoredSearch) -> dict[str, Any] | None:
    """Return the model that a search ended in, and how it does on test images; None without one.

    Its classes are a list, `scores`; `warning` is one sentence or several, or None. `confusion`
    counts test images by class (row) and answer; None where that was not kept.
    """
    found = _read_file(search, DELIVERED_FILE)
    return None if found is None else list_scores(found)


def list_scores(found: dict[str, Any]) -> dict[str, Any] | None:
    """Return what is told of a delivered model with its classes as a list; None where that lacks.

    found: what is kept with a search of the model that it ended in.
    """
    if not _TOLD.issubset(found) or not isinstance(found["classes"], dict):
        return None
    classes = found["classes"].items()
    if not all(isinstance(one, dict) and _SCORES.issubset(one) for _, one in classes):
        return None
    table = found.get("confusion")
    square = isinstance(table, list) and all(
        isinstance(row, list) and len(row) == len(table) == len(classes) for row in table
    )
    scores = [{"class": name, **one} for name, one in classes]
    return {**found, "scores": scores, "confusion": table if square else None}


def _read_file(search: StoredSearch, name: str) -> dict[str, Any] | None:
    if name not in search.experiment.artifacts(search.run):
        return None
    try:
        found = json.loads(search.experiment.read_artifact(search.run, name))
    except (ValueError, UserError):  # a page without it is better than none
        return None
    return found if isinstance(found, dict) else None
