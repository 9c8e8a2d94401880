"""Searches read back: which is meant, the order of trials, what reads as interrupted."""

import json
import subprocess
import sys

import pytest
from records import GRAPH, PLAIN, going_on, run, search, trial, written

from ktg.errors import UserError
from ktg.exporting.graph_files import TrialChoice, choose_trials
from ktg.graph.yaml_files import loads
from ktg.reporting.curves import trace_best
from ktg.reporting.status import read_status, read_statuses
from ktg.searching.confirm.finalists import read_finalists
from ktg.searching.driver_lock import driver_tags, find_state
from ktg.searching.history import StoredSearch, read_last_search, read_newest_search
from ktg.tracking import MlflowTracker, find_experiment, request_stop


@pytest.fixture(scope="module")
def uri(new_store) -> str:
    return new_store()


@pytest.fixture(scope="module")
def record(searched) -> StoredSearch:
    return read_last_search(find_experiment("a search", searched.uri))


def made(uri, experiment, *trials, **how):
    """Write a search and read it back."""
    written(uri, experiment, *trials, **how)
    found = read_last_search(find_experiment(experiment, uri))
    found.check_readable()
    return found


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


@pytest.mark.slow
def test_a_real_search_comes_back_as_it_was_told(record, searched):
    result, best = searched.result, searched.result["rows"][0]
    assert record.best.run.name == best["trial"]
    assert (record.best.accuracy, record.best.loss) == (best["accuracy"], best["loss"])
    assert record.best.train_s == pytest.approx(best["train_s"], abs=1e-3)
    states = [trial.state for trial in record.trials]
    assert [states.count(state) for state in ("finished", "stopped", "failed")] == [
        result[state] for state in ("finished", "stopped", "failed")
    ]
    assert len(record.duplicates) == result["duplicates"]
    assert sum(trial.epoch for trial in record.trials) == result["epochs"]
    assert record.best.graph.nodes.keys() == {"n0", "n1"}
    for one in record.sampled:
        assert record.space.bind(one.values).train.epochs == one.epochs


@pytest.mark.slow
def test_trials_of_an_older_version_have_the_time_of_their_epochs(uri):
    record = made(uri, "older", ("finished", [0.1, 0.5, 0.7]), ("stopped", [0.2]))
    found = {trial.name: (trial.train_s, trial.epoch, trial.epochs) for trial in record.trials}
    assert found == {"trial-0001": (6.0, 3, 3), "trial-0002": (2.0, 1, 3)}
    assert record.best.name == "trial-0001"
    assert record.best.values == {"edges.n1.n0.gate": "cutoff"}


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


@pytest.mark.parametrize(
    ("name", "kwargs", "why"),
    [
        ("strange", {"space": PLAIN.replace("gate", "valve")}, "valve"),
        ("unmarked", {"kind": "run"}, "its trials are not marked as such"),
    ],
)
def test_another_version_s_search_is_one_sentence(uri, name, kwargs, why):
    with pytest.raises(
        UserError, match=rf"search 'made' was made by ktg 0\.0\.1 and cannot be read by .*{why}"
    ):
        made(uri, name, ("finished", [0.1, 0.2, 0.3]), **kwargs)


def test_the_last_search_with_a_finished_trial_is_reported(uri):
    made(uri, "twice", ("finished", [0.1, 0.2, 0.3]))
    with pytest.raises(UserError):
        made(uri, "twice other", ("failed", []))
    record = made(uri, "twice", ("finished", [0.1, 0.2, 0.25]))
    assert record.best.accuracy == 0.25


@pytest.mark.slow
def test_the_space_is_that_of_the_file(record, searched):
    plain = loads((searched.folder / "space.yaml").read_text(), "space.yaml")
    assert json.dumps(record.space.template["train"]) == json.dumps(plain["train"])


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


def test_the_best_has_the_highest_accuracy_then_the_lowest_loss_then_the_lowest_number():
    trials = [
        trial(1, curve=(0.8,)),  # its loss is missing: the worst of equals
        trial(5, curve=(0.8,), metrics={"val_loss": 0.5}),
        trial(4, curve=(0.8,), metrics={"val_loss": 0.2}),
        trial(3, curve=(0.8,), metrics={"val_loss": 0.2}),
        trial(2, curve=(0.9,), metrics={"val_loss": 9.0}),
        trial(6, "stopped", (1.0,)),
    ]
    found = search(*trials)
    assert [one.number for one in found.ranked] == [2, 3, 4, 5, 1]
    assert found.best is trials[4]


def test_a_missing_loss_is_no_error_anywhere(uri):
    with MlflowTracker("no loss", uri) as tracker:
        parent = tracker.start("made", tags={"kind": "search"})
        tracker.artifact(parent, "space.yaml", PLAIN)
        for number, metrics in enumerate(({}, {"val_loss": 0.3}), 1):
            one = tracker.start(f"trial-{number:04d}", parent=parent, tags={"kind": "trial"})
            tracker.artifact(one, "graph.yaml", GRAPH.replace("epochs: 3", f"epochs: {number}"))
            tracker.log(one, {"val_accuracy": 0.5, **metrics}, number)
            tracker.end(one, "finished")
        tracker.end(parent, "finished")
    found = find_experiment("no loss", uri)
    assert read_status(found).best == "trial-0002"
    assert choose_trials(found, TrialChoice(top=2))[0].name == "trial-0002"
    assert [one.trial for one in read_finalists(found, 2).graphs][:2] == [
        "trial-0002",
        "trial-0001",
    ]
    assert read_last_search(found).best.name == "trial-0002"


def test_a_run_with_another_name_has_no_number():
    assert [one.number for one in (trial(7), trial(12, baseline="alone"))] == [7, 12]
    nameless = search(trial(1))
    object.__setattr__(nameless.trials[0], "run", run("odd"))
    assert nameless.trials[0].number == 0
