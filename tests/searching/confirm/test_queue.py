"""What earlier confirmations have done already."""

import pytest

from ktg.searching.confirm.queue import read_done
from ktg.searching.seed_queue import SeedRun
from ktg.tracking import MlflowTracker, find_experiment
from ktg.version import __version__

LAST = {"test_accuracy": 0.5, "test_loss": 0.7}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """Write trainings; one alone is of use for data of the fingerprint f with two test images."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    good = {"key": "good", "data.fingerprint": "f", "version.ktg-automl": __version__}
    good |= {"data.test": "t"}
    older = {key: value for key, value in good.items() if key != "data.test"}
    variants = [
        (good | {"data.test": "wrong labels"}, "finished", "01"),
        (good, "finished", "10"),
        (older | {"key": "older"}, "finished", "11"),
        (good | {"key": "other test images", "data.test": "u"}, "finished", "10"),
        (good | {"key": "other data", "data.fingerprint": "g"}, "finished", "10"),
        (good | {"key": "other version", "version.ktg-automl": "0.0.1"}, "finished", "10"),
        (good | {"key": "interrupted"}, "interrupted", "10"),
        (good | {"key": "other test split"}, "finished", "101"),
    ]
    with MlflowTracker("some", uri) as tracker:
        parent = tracker.start("confirm", tags={"kind": "confirm"})
        for tags, state, right in variants:
            run = tracker.start(
                tags["key"],
                parent=parent,
                params={"seed": 1000},
                tags={"kind": "confirmation", **tags},
            )
            tracker.log(run, LAST, 3)
            tracker.artifact(run, "right.txt", right)
            tracker.end(run, state, {"train_s": "4.500"})
        tracker.end(parent, "interrupted")
    return find_experiment("some", uri)


@pytest.mark.slow
def test_what_was_done_counts_if_it_was_the_same(experiment):
    images = [{"data.fingerprint": name, "data.test": "t"} for name in ("f", "h")]
    assert read_done(experiment, images, 2) == {
        "good": SeedRun(1000, 0.5, 0.7, 4.5, "10"),
        # An older ktg did not record the test images.
        "older": SeedRun(1000, 0.5, 0.7, 4.5, "11"),
    }
    assert not read_done(experiment, images[1:], 2)
