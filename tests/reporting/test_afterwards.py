"""What was made of a search after its end, and how its page tells of it."""

import json
from pathlib import Path

import pytest
from records import written
from webpage import read

from ktg.api.deliver import Delivered
from ktg.api.delivery import attach_delivered
from ktg.api.listener import QUIET, Listener
from ktg.class_scores import ClassScores
from ktg.reporting.afterwards import DELIVERED_FILE, read_delivered, read_distilled
from ktg.reporting.page import render_report
from ktg.reporting.report import make_report
from ktg.searching.history import read_last_search
from ktg.searching.pool import DISTILLED_FILE
from ktg.tracking import attach, find_experiment

DELIVERED = Delivered(
    folder=Path("birds"),
    what="trial-0001",
    model="resnet8",
    parameters=78_042,
    trained_on=300,
    images=40,
    official=True,
    metrics={
        "accuracy": 0.75,
        "balanced_accuracy": 0.7,
        "macro_f1": 0.65,
        "loss": 0.5,
        "auroc": None,
    },
    classes={"St. <b>": ClassScores(0.6, 0.5, 0.55, 10), "wren": ClassScores(0.8, 0.9, 0.75, 30)},
    train_s=12.0,
)


def find(uri: str):
    return read_last_search(find_experiment("made", uri))


@pytest.fixture
def uri(new_store) -> str:
    """A store with a search that is over."""
    made = new_store()
    written(made, "made", ("finished", [0.5, 0.8]))
    return made


def test_the_model_that_a_search_ended_in_is_on_its_page(uri):
    search = find(uri)
    data = make_report(search, retrain=False)
    assert data["delivered"] is None
    assert "The model" not in read(render_report(data, search.space.holes)).text
    attach_delivered("made", uri, DELIVERED, "The test images are of another kind", QUIET)
    found = read_delivered(find(uri))
    assert found["scores"][1] == {
        "class": "wren",
        "precision": 0.8,
        "recall": 0.9,
        "f1": 0.75,
        "support": 30,
    }
    page = read(render_report(make_report(find(uri), retrain=False), search.space.holes))
    assert DELIVERED.sentence in page.text
    assert "The test images are of another kind." in page.text
    assert "St. <b>" in page.text
    assert "ROC" not in page.text
    numbers = {path: float(value) for path, (value, _) in page.numbers.items()}
    assert numbers["delivered.accuracy"] == 0.75
    assert numbers["delivered.scores.0.recall"] == 0.5


def test_the_confusions_of_the_model_are_on_its_page_where_they_were_kept(uri):
    search = find(uri)
    told = DELIVERED.to_json() | {"sentence": "It is good.", "warning": "Mind this."}

    def store(confusion):
        text = json.dumps(told | {"confusion": confusion})
        attach("made", uri, search.run.run, DELIVERED_FILE, text)
        return make_report(find(uri), retrain=False)

    data = store([[5, 5], [3, 27]])
    page = read(render_report(data, search.space.holes))
    assert "Confusion matrix, on the test images" in page.text
    assert float(page.numbers["delivered.confusion.1.0"][0]) == 3
    assert "Mind this." in page.text
    assert "Mind this.." not in page.text
    for other in (None, 3, [[1]], [[1, 2], [3]], [[1, 2], 3]):
        data = store(other)
        assert data["delivered"]["confusion"] is None
    assert "on the test images" not in read(render_report(data, search.space.holes)).text.replace(
        "Each class, on the test images", ""
    )


def test_a_file_that_says_nothing_costs_its_part_of_the_page_alone(uri):
    search = find(uri)
    whole = DELIVERED.to_json() | {"sentence": "s", "warning": None}
    partial = [whole | {"classes": each} for each in (3, [5], {"wren": None}, {"wren": {}})]
    for text in ("", "[]", "{}", *map(json.dumps, partial)):
        for name in (DELIVERED_FILE, DISTILLED_FILE):
            attach("made", uri, search.run.run, name, text)
        assert read_delivered(search) is None
        assert "sentence" in text or read_distilled(search) is None


def test_a_store_that_is_gone_costs_a_sentence(tmp_path):
    said = []
    store, listener = f"sqlite:///{tmp_path}/none.db", Listener(warn=said.append)
    attach_delivered("made", store, DELIVERED, None, listener)
    (sentence,) = said
    assert sentence.startswith("how good the model is could not be kept with its search: there is")
