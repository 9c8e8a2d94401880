"""A search read back: its space, the order of its trials, one of another version."""

import json
from dataclasses import replace

import pytest
from records import GRAPH, PLAIN, read_back, run, search, trial

import ktg
from ktg.errors import UserError
from ktg.exporting.graph_files import TrialChoice, choose_trials
from ktg.graph.yaml_files import loads
from ktg.reporting.status import read_status
from ktg.searching.confirm.finalists import read_finalists
from ktg.searching.expectation import JUDGES
from ktg.searching.history import read_last_search
from ktg.searching.stored_search import StoredSearch
from ktg.tracking import MlflowTracker, find_experiment


@pytest.fixture(scope="module")
def uri(new_store) -> str:
    return new_store()


@pytest.fixture(scope="module")
def record(searched) -> StoredSearch:
    return read_last_search(find_experiment("a search", searched.uri))


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
def test_the_space_is_that_of_the_file(record, searched):
    plain = loads((searched.folder / "space.yaml").read_text(), "space.yaml")
    assert json.dumps(record.space.template["train"]) == json.dumps(plain["train"])


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
        read_back(uri, name, ("finished", [0.1, 0.2, 0.3]), **kwargs)


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


@pytest.mark.slow
def test_trials_of_an_older_version_have_the_time_of_their_epochs(uri):
    record = read_back(uri, "older", ("finished", [0.1, 0.5, 0.7]), ("stopped", [0.2]))
    found = {trial.name: (trial.train_s, trial.epoch, trial.epochs) for trial in record.trials}
    assert found == {"trial-0001": (6.0, 3, 3), "trial-0002": (2.0, 1, 3)}
    assert record.best.name == "trial-0001"
    assert record.best.values == {"edges.n1.n0.gate": "cutoff"}


@pytest.mark.parametrize(("metric", "images"), [("balanced_accuracy", 36.0), ("auroc", None)])
def test_images_judge_accuracies_alone_whatever_an_old_version_recorded(metric, images):
    found = search(trial(1), **{JUDGES: 36})
    object.__setattr__(found, "run", replace(found.run, params={"search.metric": metric}))
    assert found.images == images


def test_a_graph_of_which_a_new_seed_failed_is_not_the_best():
    found = search(trial(1, curve=(0.9,)), trial(2, curve=(0.8,)))
    raced = [trial(3, curve=(0.9,), race_of=1), trial(4, curve=(0.8,), race_of=2)]
    broken = trial(5, "failed", (), race_of=1)
    for each in (*raced, broken):
        object.__setattr__(each, "search", found)
    found.__dict__["repeats"] = raced
    assert found.best.number == 1
    again = search(*found.trials)
    again.__dict__["repeats"] = [*raced, broken]
    assert again.best.number == 2


def test_a_run_with_another_name_has_no_number():
    assert [one.number for one in (trial(7), trial(12, baseline="alone"))] == [7, 12]
    nameless = search(trial(1))
    object.__setattr__(nameless.trials[0], "run", run("odd"))
    assert nameless.trials[0].number == 0


@pytest.mark.slow
def test_a_search_with_folds_knows_its_images_again(tmp_path):
    space = {
        "name": "folded",
        "data": {"name": "digits", "per_class": 10, "batch_size": 20},
        "train": {"epochs": 1, "lr": 0.05},
        "nodes": {"n0": {"model": "resnet8"}},
        "edges": {"label -> n0": {"weight": {"choice": [1.0, 2.0]}}},
        "search": {"trials": 2, "folds": 2, "race_share": 0},
    }
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    ktg.search(space, tracking_uri=uri)
    found = read_last_search(find_experiment("folded", uri))
    assert found.data.folds == 2
    assert found.has_same_images()
    files = {"weights": tmp_path / "m.safetensors"}
    assert ktg.export("folded", tmp_path / "b.yaml", tracking_uri=uri, **files).same_data
    assert "confusion" in ktg.report("folded", tracking_uri=uri, retrain=True)["mistakes"]
    assert ktg.confirm("folded", top=1, seeds=2, tracking_uri=uri).rows
    tags = {**found.run.tags, "data.fingerprint": "another"}
    assert not replace(found, run=replace(found.run, tags=tags)).has_same_images()
