"""The result of a search in Python: its model predicts, its trials are a table, it shows itself."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from records import written
from webpage import read

from ktg.api.search_result import SearchResult
from ktg.errors import UserError
from ktg.searching.history import read_last_search
from ktg.searching.result import Result, ResultRow
from ktg.tracking import find_experiment


def result(**how):
    rows = (ResultRow("best <b>graph</b>", "trial-0002", 0.9, 0.3, 1.0, score=0.9),)
    plain = {
        "name": "mine", "best": None, "rows": rows, "finished": 2, "stopped": 0, "failed": 0,
        "duplicates": 0, "epochs": 6, "epochs_saved": 0, "wall_s": 2.0, "interrupted": False,
        "exhausted": False, "commonest_failure": None, **how,
    }  # fmt: skip
    return Result(**plain)


@pytest.mark.usefixtures("one_thread")
def test_the_model_is_the_best_graph_trained_once_more_and_calibrated(trained, photos):
    found = SearchResult.of(result(best=trained.graph), None)
    files = sorted((photos / "val").rglob("*.*"))
    answers = found.model.predict(files)
    assert found.model is found.model
    assert found.model.about.calibration.by == "this training"
    labels = trained.training.predict(trained.training.dataset.val).argmax(dim=1).tolist()
    order = [
        path for name in ("night", "noon") for path in sorted((photos / "val" / name).iterdir())
    ]
    expected = dict(zip(order, labels, strict=True))
    classes = found.model.classes
    assert [classes.index(each.label) for each in answers] == [expected[file] for file in files]
    # What was asked for is no part of its data.
    plain = result(best=trained.graph).to_json()
    assert json.dumps(found.to_json()) == json.dumps(plain)
    assert "model" not in found.to_json()


def test_a_delivered_model_is_read_and_nothing_trained(trained):
    delivered = SimpleNamespace(folder=trained.file.parent)
    found = SearchResult.of(result(delivered=delivered), None)
    assert found.model.about.training.fingerprint == trained.training.dataset.fingerprint
    with pytest.raises(UserError, match="mine: no trial finished, so there is no model"):
        _ = SearchResult.of(result(), None).model


def test_trials_are_a_table_with_the_best_first_and_a_column_for_each_hole(new_store):
    uri = new_store()
    written(
        uri, "mine", ("finished", [0.1, 0.4, 0.5]), ("stopped", [0.7]), ("finished", [0.1, 0.8])
    )
    table = SearchResult.of(result(), uri).trials
    search = read_last_search(find_experiment("mine", uri))
    ranked = [trial.name for trial in search.ranked]
    assert table.index.tolist()[: len(ranked)] == ranked
    assert set(table.index) == {trial.name for trial in search.trials}
    wrong = {trial.name: trial.fault for trial in search.trials}
    assert table["note"].to_dict() == wrong
    assert list(table.columns[-len(search.space.holes) :]) == list(search.space.holes)
    assert table.loc[ranked[0], "val_accuracy"] == search.best.accuracy
    assert table["score"].dtype == np.float64
    assert table["state"].value_counts()["stopped"] == 1


def test_without_a_store_there_is_no_table():
    with pytest.raises(UserError, match="trials: were not recorded"):
        _ = SearchResult.of(result(), None).trials


def test_a_notebook_shows_table_and_drawing_with_all_names_escaped(trained):
    page = SearchResult.of(
        result(best=trained.graph, warnings=("<i>careful</i>",)), None
    )._repr_html_()
    found = read(page)
    assert "best <b>graph</b>" in found.text
    assert "<i>careful</i>" in found.text
    assert {"b", "i", "script"} & found.elements.keys() == set()
    assert found.elements["svg"] == 1
    assert "90.00 %" in found.text
    assert "No trial finished." in SearchResult.of(result(rows=()), None)._repr_html_()
    assert trained.graph._repr_svg_().lstrip().startswith("<")


def test_trials_are_those_of_this_search_and_not_of_a_newer_one(new_store):
    uri = new_store()
    written(uri, "mine", ("finished", [0.1, 0.2, 0.3]))
    run = read_last_search(find_experiment("mine", uri)).run.run
    first, newest = (SearchResult.of(result(run=each), uri) for each in (run, None))
    written(uri, "mine", ("finished", [0.1, 0.8]), ("stopped", [0.7]))
    assert first.trials["val_accuracy"].tolist() == [0.3]
    assert len(newest.trials) == 2
    assert "run" not in first.to_json()
