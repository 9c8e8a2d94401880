"""A search read back: as it ended, while it runs, and the ways in which there is nothing to report."""

import json

import pytest

from ktg.errors import UserError
from ktg.files import loads
from ktg.reporting.record import read_search
from ktg.tracking import MlflowTracker, find_experiment

SPACE = """\
data: {name: digits}
train: {epochs: 3}
nodes: {n0: {model: resnet8}, n1: {model: resnet8}}
edges:
  label -> n0: {loss: ce}
  n1 -> n0: {loss: kl, gate: {choice: [through, cutoff]}}
"""


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


def written(uri, experiment, *trials, space=SPACE, end="finished", kind="trial"):
    """Write a search as the journal does, with trials (state, validation accuracies)."""
    with MlflowTracker(experiment, uri) as tracker:
        run = tracker.start("made", tags={"kind": "search", "version.ktg-automl": "0.0.1"})
        tracker.artifact(run, "space.yaml", space)
        for number, (state, accuracies) in enumerate(trials, 1):
            params = {"edges.n1.n0.gate": "cutoff"}
            trial = tracker.start(f"trial-{number:04d}", parent=run, params=params, tags={"kind": kind})
            for epoch, accuracy in enumerate(accuracies, 1):
                tracker.log(trial, {"val_accuracy": accuracy, "val_loss": 1 - accuracy, "epoch_s": 2.0}, epoch)
            if state != "running":
                tracker.end(trial, state)
        assert tracker.flush()
        if end == "running":
            return read_search(find_experiment(experiment, uri))
        tracker.end(run, end)
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
    record = written(uri, "older", ("finished", [0.1, 0.5, 0.7]), ("stopped", [0.2]))
    assert [(trial.train_s, trial.epoch, trial.epochs) for trial in record.trials] == [(6.0, 3, 3), (2.0, 1, 3)]
    assert record.best.name == "trial-0001"
    assert record.best.values == {"edges.n1.n0.gate": "cutoff"}


def test_a_search_that_still_runs_can_be_read_once_a_trial_is_done(uri):
    record = written(uri, "running", ("finished", [0.1, 0.2, 0.3]), ("running", [0.9]), end="running")
    assert record.run.state == "running"
    assert [trial.state for trial in record.trials] == ["finished", "running"]
    assert record.best.name == "trial-0001"


@pytest.mark.parametrize(
    ("name", "kwargs", "said"),
    [
        ("waiting", {"end": "running"}, "experiment 'waiting' has no finished trial; its search is still running"),
        ("hopeless", {}, "experiment 'hopeless' has no finished trial; search again"),
    ],
)
def test_without_a_finished_trial_there_is_nothing_to_report(uri, name, kwargs, said):
    with pytest.raises(UserError, match=said):
        written(uri, name, ("stopped", [0.1]), **kwargs)


def test_an_experiment_without_a_search(uri):
    with MlflowTracker("trained", uri) as tracker:
        tracker.end(tracker.start("train", tags={"kind": "train"}), "finished")
    with pytest.raises(UserError, match="experiment 'trained' holds no search; run `ktg search SPACE --name trained`"):
        read_search(find_experiment("trained", uri))


@pytest.mark.parametrize(
    ("name", "kwargs", "why"),
    [
        ("strange", {"space": SPACE.replace("gate", "valve")}, "valve"),
        ("unmarked", {"kind": "run"}, "its trials are not marked as such"),
    ],
)
def test_another_version_s_search_is_one_sentence(uri, name, kwargs, why):
    with pytest.raises(UserError, match=rf"search 'made' was made by ktg 0\.0\.1 and cannot be read by .*{why}"):
        written(uri, name, ("finished", [0.1, 0.2, 0.3]), **kwargs)


def test_the_last_search_with_a_finished_trial_is_reported(uri):
    written(uri, "twice", ("finished", [0.1, 0.2, 0.3]))
    with pytest.raises(UserError):
        written(uri, "twice other", ("failed", []))
    record = written(uri, "twice", ("finished", [0.1, 0.2, 0.25]))
    assert record.best.accuracy == 0.25


def test_the_space_is_that_of_the_file(record, searched):
    plain = loads((searched.folder / "space.yaml").read_text(), "space.yaml")
    assert json.dumps(record.space.template["train"]) == json.dumps(plain["train"])
