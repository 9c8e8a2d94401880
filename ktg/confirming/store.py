"""What confirmations are called in a store. Light, so that whoever reads them need not load what makes them."""

from ktg.tracking import Experiment, RunRecord

KIND, TRAINING = "confirm", "confirmation"  # the tag `kind` of the run of all, and of that of each training
RIGHT_FILE = "right.txt"
RESULT_FILE = "confirm.json"


def confirmations(experiment: Experiment) -> list[RunRecord]:
    """Return the runs of an experiment's confirmations, the newest first."""
    return experiment.of_kind(KIND)
