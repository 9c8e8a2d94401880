"""Which search of an experiment is meant, and what reads as interrupted."""

import subprocess
import sys

import pytest
from records import GRAPH, PLAIN, going_on, read_back, written

from ktg.errors import UserError
from ktg.exporting.graph_files import TrialChoice, choose_trials
from ktg.reporting.curves import trace_best
from ktg.reporting.status import read_status, read_statuses
from ktg.searching.confirm.finalists import read_finalists
from ktg.searching.driver_lock import driver_tags, find_state
from ktg.searching.history import find_searches, read_last_search, read_newest_search, read_search
from ktg.tracking import MlflowTracker, find_experiment, request_stop


@pytest.fixture(scope="module")
def uri(new_store) -> str:
    return new_store()


@pytest.fixture
def dead() -> dict[str, str]:
    """The tags of a driver that was on this machine and has died."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return driver_tags() | {"driver.pid": str(process.pid)}


def abandoned(uri, experiment, *trials, tags):
    """Write a search whose driver is killed: nothing in the store is ended."""
    with MlflowTracker(experiment, uri) as tracker:
        parent = tracker.start("made", tags={"kind": "search", **tags})
        tracker.artifact(parent, "space.yaml", PLAIN)
        for number, (state, accuracy) in enumerate(trials, 1):
            run = tracker.start(f"trial-{number:04d}", parent=parent, tags={"kind": "trial"})
            tracker.artifact(run, "graph.yaml", GRAPH)
            tracker.log(run, {"val_accuracy": accuracy, "val_loss": 0.5}, 1)
            if state != "running":
                tracker.end(run, state)
        assert tracker.flush()
        tracker._running.clear()


def test_a_search_that_still_runs_can_be_read_once_a_trial_is_done(uri):
    with going_on(uri, "running", ("finished", [0.1, 0.2, 0.3]), ("running", [0.9])):
        record = read_last_search(find_experiment("running", uri))
    assert record.run.state == "running"
    assert {trial.name: trial.state for trial in record.trials} == {
        "trial-0001": "finished",
        "trial-0002": "running",
    }
    assert record.best.name == "trial-0001"


def test_without_a_finished_trial_there_is_nothing_to_report(uri):
    said = "experiment 'hopeless' has no finished trial; "
    with (
        going_on(uri, "hopeless", ("stopped", [0.1])),
        pytest.raises(UserError, match=f"{said}its search is still"),
    ):
        read_last_search(find_experiment("hopeless", uri))
    with pytest.raises(UserError, match=f"{said}search again"):
        read_last_search(find_experiment("hopeless", uri))


def test_an_experiment_without_a_search(uri):
    with MlflowTracker("trained", uri) as tracker:
        tracker.end(tracker.start("train", tags={"kind": "train"}), "finished")
    with pytest.raises(
        UserError,
        match="experiment 'trained' holds no search; run `ktg search SPACE --name trained`",
    ):
        read_last_search(find_experiment("trained", uri))


def test_the_last_search_with_a_finished_trial_is_reported(uri):
    read_back(uri, "twice", ("finished", [0.1, 0.2, 0.3]))
    with pytest.raises(UserError):
        read_back(uri, "twice other", ("failed", []))
    record = read_back(uri, "twice", ("finished", [0.1, 0.2, 0.25]))
    assert record.best.accuracy == 0.25


def test_after_a_search_that_died_early_every_command_says_which_one_it_speaks_of(uri, dead):
    experiment = "died early"
    written(uri, experiment, ("finished", [0.1, 0.2, 0.9]))
    abandoned(uri, experiment, ("running", 0.95), tags=dead)
    found = find_experiment(experiment, uri)
    last, newest = read_last_search(found), read_newest_search(found)
    assert ((last.number, last.of), (newest.number, newest.of)) == ((1, 2), (2, 2))
    assert last.sentence.startswith("died early: search 1 of 2, begun ")
    assert last.sentence.endswith("; the newer one has no finished trial")
    assert newest.run.id in newest.sentence
    assert "newer" not in newest.sentence
    # Commands that need a result answer from the one that has it, the others from the newest.
    assert read_finalists(found, 1).search.run.id == last.run.id
    (best,) = choose_trials(found, TrialChoice())
    assert best.search.run.id == last.run.id
    status = read_status(found)
    assert status.search == newest.to_json()
    assert (status.search["run"], status.search["number"]) == (newest.run.id, 2)
    assert read_statuses([found])[0].search == status.search
    # A trial that is named is looked for in all of them.
    with pytest.raises(UserError, match="no trial '9'"):
        choose_trials(found, TrialChoice(trial="9"))


def test_a_search_whose_driver_is_dead_reads_as_interrupted_and_is_left_as_it_is(uri, dead):
    abandoned(uri, "dead", ("finished", 0.7), ("running", 0.6), tags=dead)
    found = find_experiment("dead", uri)
    search = read_newest_search(found)
    assert (search.run.state, search.state) == ("running", "interrupted")
    states = {one.name: one.state for one in search.trials}
    assert states == {"trial-0001": "finished", "trial-0002": "interrupted"}
    status = read_status(found)
    assert (status.state, status.going_on, status.running) == ("interrupted", False, ())
    assert (status.counts["interrupted"], status.counts["running"]) == (1, 0)
    assert status.wall_s < 60  # as far as something is known of it, not until now
    assert read_finalists(found, 1).graphs[0].trial == "trial-0001"  # it need not be waited for
    assert [point["trial"] for point in trace_best(search)] == ["trial-0001", "trial-0002"]
    with pytest.raises(UserError, match="no search of 'dead' is running; its last one is interr"):
        request_stop("dead", uri, find_state)
    assert read_newest_search(found).run.state == "running"  # nothing was written


def test_a_driver_that_lives_or_is_on_another_machine_is_running(uri):
    for name, tags in (("alive", driver_tags()), ("far", driver_tags() | {"driver.host": "x"})):
        abandoned(uri, name, ("finished", 0.7), tags=tags)
        assert read_newest_search(find_experiment(name, uri)).state == "running"


def test_a_search_that_is_meant_is_read_whatever_has_begun_since(uri):
    for accuracy in (0.3, 0.9):
        written(uri, "one of two", ("finished", [0.1, 0.2, accuracy]))
    written(uri, "one of two", ("failed", []))
    found = find_experiment("one of two", uri)
    failed, _, first = find_searches(found)
    assert read_last_search(found).best.accuracy == 0.9
    for run in (first.run.run, first.run.id):
        assert read_search(found, run).run.id == first.run.id
        assert read_last_search(found, run).best.accuracy == 0.3
    assert "newer" not in read_search(found, first.run.run).sentence
    assert read_finalists(found, 1, first.run.run).search.run.id == first.run.id
    with pytest.raises(UserError, match="has no finished trial"):
        read_last_search(found, failed.run.run)
    with pytest.raises(UserError, match="'one of two' does not hold the search of run gone"):
        read_search(found, "gone")
