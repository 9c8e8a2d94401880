"""What a confirmation has stored, read back."""

import json

from ktg.searching.confirm.store import find_confirmations, read_result
from ktg.tracking import MlflowTracker, find_experiment


def test_a_result_stays_while_more_is_trained_and_where_that_is_interrupted(new_store):
    uri, found = new_store(), {"sentence": "It is better."}
    with MlflowTracker("some", uri) as tracker:
        run = tracker.start("confirm", tags={"kind": "confirm"})
        assert tracker.flush()
        experiment = find_experiment("some", uri)

        def read():
            assert tracker.flush()
            (stored,) = find_confirmations(experiment)
            return stored.state, read_result(experiment, stored)

        assert read() == ("running", {})
        tracker.artifact(run, "confirm.json", json.dumps(found))
        tracker.end(run, "finished")
        assert read() == ("finished", found)
        tracker.start("confirm", run=run)
        assert read() == ("running", found)
        tracker.end(run, "interrupted")
        assert read() == ("interrupted", found)
