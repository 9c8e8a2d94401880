"""A search read back: as it ended, while it runs, and the ways in which there is nothing to report."""

import json

import pytest
from ktg.reporting.record import read_search
from records import PLAIN, going_on, written

from ktg.errors import UserError
from ktg.graph.yaml_files import loads
from ktg.tracking import MlflowTracker, find_experiment


def made(uri, experiment, *trials, **how):
    """Write a search and read it back."""
    written(uri, experiment, *trials, **how)
    return read_search(find_experiment(experiment, uri))


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
    assert record.graph(record.best).nodes.keys() == {"n0", "n1"}
    for trial in record.sampled:
        assert record.space.bind(trial.values).train.epochs == trial.epochs


def test_trials_of_an_older_version_have_the_time_of_their_epochs(uri):
    record = made(uri, "older", ("finished", [0.1, 0.5, 0.7]), ("stopped", [0.2]))
    found = {trial.name: (trial.train_s, trial.epoch, trial.epochs) for trial in record.trials}
    assert found == {"trial-0001": (6.0, 3, 3), "trial-0002": (2.0, 1, 3)}
    assert record.best.name == "trial-0001"
    assert record.best.values == {"edges.n1.n0.gate": "cutoff"}


def test_a_search_that_still_runs_can_be_read_once_a_trial_is_done(uri):
    with going_on(uri, "running", ("finished", [0.1, 0.2, 0.3]), ("running", [0.9])):
        record = read_search(find_experiment("running", uri))
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
        read_search(find_experiment("hopeless", uri))
    with pytest.raises(UserError, match=f"{said}search again"):
        read_search(find_experiment("hopeless", uri))


def test_an_experiment_without_a_search(uri):
    with MlflowTracker("trained", uri) as tracker:
        tracker.end(tracker.start("train", tags={"kind": "train"}), "finished")
    with pytest.raises(
        UserError,
        match="experiment 'trained' holds no search; run `ktg search SPACE --name trained`",
    ):
        read_search(find_experiment("trained", uri))


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


def test_the_space_is_that_of_the_file(record, searched):
    plain = loads((searched.folder / "space.yaml").read_text(), "space.yaml")
    assert json.dumps(record.space.template["train"]) == json.dumps(plain["train"])
