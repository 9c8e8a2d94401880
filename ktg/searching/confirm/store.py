"""What confirmations are called in a store. Light, so that whoever reads them need not load what makes them."""

import json
from typing import Any

from ktg.tracking import Experiment, RunRecord

KIND, TRAINING = (
    "confirm",
    "confirmation",
)  # the tag `kind` of the run of all, and of that of each training
RIGHT_FILE = "right.txt"
RESULT_FILE = "confirm.json"
TRAININGS_TAG = "trainings"  # how many the last call asked for, with those that were done before


def confirmations(experiment: Experiment) -> list[RunRecord]:
    """Return the runs of an experiment's confirmations, the newest first."""
    return experiment.of_kind(KIND)


def confirmations_of(experiment: Experiment, search: str) -> list[RunRecord]:
    """Return the runs of the confirmations of the search with this id, the newest first."""
    return [run for run in confirmations(experiment) if run.tags.get("search") == search]


def result(experiment: Experiment, run: RunRecord) -> dict[str, Any]:
    """Return what a confirmation has written down, nothing when it has not come to its end."""
    if run.state != "finished" or RESULT_FILE not in experiment.artifacts(run):
        return {}
    return dict(json.loads(experiment.read_artifact(run, RESULT_FILE)))
