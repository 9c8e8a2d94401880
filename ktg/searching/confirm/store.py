"""Names what a confirmation stores, and reads it back, without loading what makes it."""

import json
from typing import Any

from ktg.tracking import Experiment, RunRecord

KIND = "confirm"  # the tag `kind` of the run of all trainings
TRAINING = "confirmation"  # the tag `kind` of the run of each training
RIGHT_FILE = "right.txt"
RESULT_FILE = "confirm.json"
TRAININGS_TAG = "trainings"  # how many the last call asked for, with those that were done before


def find_confirmations(experiment: Experiment, search: str | None = None) -> list[RunRecord]:
    """Return the runs of an experiment's confirmations, the newest first.

    search: MLflow's id of a search; those of others are left out.
    """
    found = experiment.of_kind(KIND)
    return [run for run in found if search is None or run.tags.get("search") == search]


def read_result(experiment: Experiment, run: RunRecord) -> dict[str, Any]:
    """Return the last result that a confirmation has stored, empty where it has come to no end yet.

    It stays while more seeds are trained, also where that is interrupted.
    """
    if RESULT_FILE not in experiment.artifacts(run):
        return {}
    return dict(json.loads(experiment.read_artifact(run, RESULT_FILE)))
