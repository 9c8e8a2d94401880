"""Asking a search to stop through its store."""

import time

import pytest

from ktg.errors import UserError
from ktg.tracking import MlflowTracker, find_experiment, make_stop_check, request_stop


@pytest.mark.slow
def test_a_running_search_hears_that_it_is_asked_to_stop_once(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with MlflowTracker("space", uri) as tracker:
        tracker.end(tracker.start("an older search", tags={"kind": "search"}), "finished")
        time.sleep(0.002)  # MLflow orders runs by milliseconds
        run = tracker.start("search", tags={"kind": "search"})
        assert tracker.flush()
        asked = make_stop_check("space", uri, {})
        assert not asked(run)
        request_stop("space", uri)
        assert asked(run)
        going_on = make_stop_check("space", uri, find_experiment("space", uri).tags(run))
        assert not going_on(run)  # it was asked before it was resumed
        request_stop("space", uri)
        assert going_on(run)
    with pytest.raises(
        UserError, match="no search of 'space' is running; its last one is interrupted"
    ):
        request_stop("space", uri)


@pytest.mark.slow
def test_a_run_that_is_not_in_the_store_yet_was_not_asked(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with MlflowTracker("space", uri) as tracker:
        tracker.start("another")
        assert tracker.flush()
    assert not make_stop_check("space", uri, {})("unknown")
