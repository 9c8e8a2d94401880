"""Mistakes: tables against a plain count, and the network trained again, bit for bit."""

import base64
import io
import json

import numpy as np
import pytest
from command import graph_file
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ktg.errors import UserError
from ktg.graph.yaml_files import dumps, load
from ktg.reporting import mistakes
from ktg.reporting.mistakes import (
    ARTIFACT,
    MOST_CLASSES,
    MOST_PAIRS,
    VERSION,
    describe_answers,
    find_doubtful,
    find_mistakes,
    find_most_confused,
    find_most_wrong,
    make_thumbnail,
)
from ktg.searching.history import read_last_search
from ktg.tracking import MlflowTracker, attach, find_experiment

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@given(PAIRS)
def test_the_tables_count_pairs_and_the_bins_hold_all_images(pairs):
    labels, predicted = np.array(pairs).T
    probabilities = np.full((len(pairs), 5), 0.05, np.float32)
    probabilities[np.arange(len(pairs)), predicted] = 0.8
    found = json.loads(json.dumps(describe_answers(probabilities, labels, "abcde")))
    assert found["confusion"] == [[pairs.count((a, b)) for b in range(5)] for a in range(5)]
    for a, row in enumerate(found["scores"]):
        assert (row["class"], row["support"]) == ("abcde"[a], sum(one == a for one, _ in pairs))
        if row["support"]:
            assert row["recall"] == pytest.approx(pairs.count((a, a)) / row["support"])
    for bins in found["calibration"]["bins"].values():
        assert sum(each["images"] for each in bins) == len(pairs)
    right = np.mean([a == b for a, b in pairs])
    assert found["calibration"]["errors"]["before"] == pytest.approx(abs(0.8 - right), abs=1e-6)


def test_no_matrix_of_very_many_classes():
    classes = MOST_CLASSES + 1
    found = describe_answers(np.eye(classes, dtype=np.float32), np.arange(classes), range(classes))
    assert found["confusion"] is None


@given(PAIRS)
def test_the_most_frequent_confusions_come_first(pairs):
    labels, predicted = np.array(pairs).T
    rows = find_most_confused(labels, predicted, "abcde")
    counts = [row["images"] for row in rows]
    assert counts == sorted(counts, reverse=True)
    wrong = {(a, b) for a, b in pairs if a != b}
    assert len(rows) == min(len(wrong), MOST_PAIRS)
    for row in rows:
        a, b = "abcde".index(row["label"]), "abcde".index(row["predicted"])
        assert a != b
        assert (row["images"], row["of"]) == (
            pairs.count((a, b)),
            sum(one == a for one, _ in pairs),
        )


def test_exchanged_labels_are_doubted_and_the_most_doubtful_comes_first():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 40)
    probabilities = np.full((120, 3), 0.05)
    probabilities[np.arange(120), labels] = random.uniform(0.7, 0.9, 120)
    probabilities[7] = (0.001, 0.949, 0.05)  # an image of class 1 that is labelled 0
    probabilities[90] = (0.9, 0.05, 0.05)
    probabilities[50] = (0.5, 0.4, 0.1)  # wrong, but no surer than an image of class 0 usually is
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert find_doubtful(probabilities.astype(np.float32), labels) == [7, 90]
    assert find_doubtful(probabilities.astype(np.float32), labels, 1) == [7]


@given(st.integers(0, 2**32 - 1))
def test_the_most_confidently_wrong_come_first(seed):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(3), 30).astype(np.float32)
    labels = random.integers(0, 3, 30)
    places = find_most_wrong(probabilities, labels, 5)
    wrong = [place for place in range(30) if probabilities[place].argmax() != labels[place]]
    assert sorted(probabilities[places].max(1), reverse=True) == list(probabilities[places].max(1))
    assert set(places) <= set(wrong)
    assert len(places) == min(5, len(wrong))
    rest = set(wrong) - set(places)
    assert not rest or max(probabilities[list(rest)].max(1)) <= min(probabilities[places].max(1))


@pytest.mark.parametrize(
    ("shape", "kind"), [((8, 8, 3), "png"), ((48, 30, 1), "png"), ((200, 100, 3), "jpeg")]
)
def test_pictures_are_small_and_tiny_ones_exact(shape, kind):
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    head, _, data = make_thumbnail(pixels).partition(",")
    assert head == f"data:image/{kind};base64"
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    if kind == "png":
        assert np.array_equal(np.asarray(image).reshape(shape), pixels)
    else:
        assert max(image.size) == 112


@pytest.fixture
def made(tiny, tmp_path, uri):
    """Return a function that writes a search with one finished trial, and reads it back."""

    def write(experiment, train_s=1.0, images=tiny, keep="last", metric="accuracy", **tags):
        train = {"epochs": 1, "keep": keep}
        file = graph_file(tmp_path / "graph.yaml", images, train=train)
        space = {
            **load(file),
            "train": {**train, "lr": {"choice": [0.05, 0.1]}},
            "search": {"trials": 1, "metric": metric},
        }
        with MlflowTracker(experiment, uri) as tracker:
            params = {"search.metric": metric}
            run = tracker.start("made", params=params, tags={"kind": "search", **tags})
            tracker.artifact(run, "space.yaml", dumps(space))
            trial = tracker.start(
                "trial-0001", parent=run, params={"train.lr": 0.05}, tags={"kind": "trial"}
            )
            tracker.artifact(trial, "graph.yaml", file.read_text())
            tracker.log(trial, {"val_accuracy": 0.5, "val_loss": 1.0}, 1)
            tracker.end(trial, "finished", {"train_s": str(train_s)})
            tracker.end(run, "finished")
        return read_last_search(find_experiment(experiment, uri))

    return write


@pytest.mark.slow
def test_the_graph_is_trained_again_to_the_same_network(record, reported):
    found = reported["mistakes"]
    assert found["device"] == "cpu"
    assert found["val_accuracy"] == found["recorded_val_accuracy"] == record.best.accuracy
    table = np.array(found["confusion"])
    assert table.sum() == found["images"]
    assert table.trace() / table.sum() == found["val_accuracy"]
    assert [row["confidence"] for row in found["wrong"]] == sorted(
        r["confidence"] for r in found["wrong"]
    )[::-1]
    assert len(found["wrong"]) == min(12, table.sum() - table.trace())
    assert json.loads(json.dumps(found)) == found


@pytest.mark.slow
def test_what_was_found_is_kept_with_the_search(record, reported):
    def fail(*_):
        raise AssertionError("trained again")

    assert ARTIFACT in record.experiment.artifacts(record.run)
    assert find_mistakes(record, retrain=True, on_epoch=fail) == reported["mistakes"]


@pytest.mark.parametrize(
    "kept", ["[]", "no json", '{"version": 1, "trial_run": "another"}', '{"version": 99}']
)
def test_what_was_kept_of_something_else_is_not_taken(made, kept):
    record = made("kept")
    attach("kept", record.experiment.uri, record.run.run, ARTIFACT, kept)
    assert find_mistakes(record, retrain=False) == {
        "why": "The best graph was not trained again for this page."
    }


@pytest.mark.parametrize(
    ("keep", "told", "taken"),
    [
        ("best", {"metric": "balanced_accuracy"}, True),
        ("best", {"metric": "accuracy"}, False),
        ("best", {}, False),  # as an older ktg stored it
        ("last", {}, True),
    ],
)
def test_what_another_metric_kept_is_not_taken(made, keep, told, taken):
    record = made("by metric", keep=keep, metric="balanced_accuracy")
    kept = {"version": VERSION, "trial_run": record.best.run.id, **told}
    attach("by metric", record.experiment.uri, record.run.run, ARTIFACT, json.dumps(kept))
    assert (find_mistakes(record, retrain=False) == kept) == taken


def test_the_graph_is_trained_again_by_the_metric_of_the_search(made, monkeypatch):
    metrics = []

    class Noted(mistakes.Training):
        def __init__(self, *given, **named):
            super().__init__(*given, **named)
            metrics.append(self.metric)

    monkeypatch.setattr(mistakes, "Training", Noted)
    found = find_mistakes(made("metric", keep="best", metric="loss"), retrain=True)
    assert metrics == [found["metric"]] == ["loss"]


def test_another_figure_than_the_search_had_is_told(made):
    told = []
    found = find_mistakes(made("other"), retrain=None, on_epoch=lambda *epoch: told.append(epoch))
    assert told == [(1, 1)]
    assert found["recorded_val_accuracy"] == 0.5
    assert found["val_accuracy"] == np.trace(found["confusion"]) / found["images"]


def test_long_trainings_are_repeated_only_when_asked_for(made):
    assert "--retrain does" in find_mistakes(made("long", train_s=61), retrain=None)["why"]
    assert "confusion" in find_mistakes(made("long", train_s=61), retrain=True)


def test_other_data_than_those_of_the_search_are_not_used(made):
    record = made("changed", **{"data.fingerprint": "another"})
    assert "their fingerprint differs" in find_mistakes(record, retrain=None)["why"]
    with pytest.raises(UserError, match="the data are not those of the search any more"):
        find_mistakes(record, retrain=True)


def test_data_that_are_gone_cost_the_section_and_no_more(made, tmp_path):
    why = find_mistakes(made("gone", images=tmp_path / "gone.npz"), retrain=None)["why"]
    assert why.startswith("The best graph could not be trained again: ")
    assert "gone.npz" in why
