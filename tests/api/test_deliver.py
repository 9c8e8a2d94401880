"""A graph trained for the last time, written and measured."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webpage import read

import ktg
from ktg.api import deliver
from ktg.api.deliver import (
    GRAPH,
    MODEL,
    MORE_IMAGES,
    deliver_graph,
    fit_into,
    has_own_split,
    measure_growth,
    read_confusion,
    write_early_page,
)
from ktg.api.listener import QUIET, Listener
from ktg.exporting.metadata import HeldOut
from ktg.exporting.model_file import read_model, write_model
from ktg.graph import parse
from ktg.graph.yaml_files import load_graph
from ktg.searching.result import Result


def graph(photos, epochs: int = 2):
    return parse(
        {
            "data": {"path": str(photos), "size": 16, "batch_size": 8},
            "train": {"epochs": epochs, "lr": 0.05},
            "nodes": {"n0": {"model": "resnet8"}},
            "edges": {"label -> n0": {}},
        }
    )


@pytest.mark.slow
def test_the_model_in_the_file_does_what_was_said(photos, tmp_path):
    told = deliver_graph(graph(photos), tmp_path, "trial-0001", QUIET)
    assert load_graph(tmp_path / GRAPH) == graph(photos)
    found = ktg.evaluate(tmp_path / MODEL, photos, split="test")
    assert found.accuracy == pytest.approx(told.metrics["accuracy"])
    assert found.macro_f1 == pytest.approx(told.metrics["macro_f1"])
    assert {name: scores.support for name, scores in told.classes.items()} == {
        "night": 4,
        "noon": 4,
    }
    assert (told.trained_on, told.images, told.official) == (28, 8, True)
    calibration = ktg.load(tmp_path / MODEL).about.calibration
    assert calibration.by == "a training without the validation split"
    assert f"{100 * found.accuracy:.1f} % of 8 test images" in told.sentence
    assert json.loads(json.dumps(told.to_json()))["split"] == "test"


def test_images_that_were_held_out_are_called_so(photos, tmp_path):
    told = deliver_graph(graph(photos / "train", 1), tmp_path, "alone", QUIET, left_s=0.0)
    assert not told.official
    assert ktg.load(tmp_path / MODEL).about.calibration is None  # there was no time for it
    assert "held out from the rest" in told.sentence


def test_the_model_is_as_it_was_until_the_new_one_is_measured(photos, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(deliver, "measure_delivered", interrupt)
    with pytest.raises(KeyboardInterrupt):
        deliver_graph(graph(photos, 1), tmp_path / "out", "alone", QUIET, left_s=0.0)
    assert not list(tmp_path.iterdir())


def test_splits_of_their_own_are_seen_and_images_by_formula_have_none(photos):
    drawn = {"name": "fractaldb", "size": 32, "formula": {"classes": 4}}
    nodes, edges = {"n0": {"model": "resnet8"}}, {"label -> n0": {}}
    by_formula = parse({"data": drawn, "nodes": nodes, "edges": edges})
    for known, own in ((graph(photos), True), (graph(photos / "train"), False)):
        assert has_own_split(known, "val") is has_own_split(known, "test") is own
    assert not has_own_split(by_formula, "test")


@given(st.integers(1, 50), st.floats(0.1, 1e4), st.floats(-100, 1e4))
def test_the_last_training_fits_into_the_time_that_is_left(epochs, expected_s, left_s):
    nodes, edges = {"n0": {"model": "resnet8"}}, {"label -> n0": {}}
    plain = {"data": {"name": "digits"}, "train": {"epochs": epochs}, "nodes": nodes}
    given_graph = parse({**plain, "edges": edges})
    fitted = fit_into(given_graph, expected_s, left_s).train.epochs
    per_epoch_s = expected_s / epochs
    assert 1 <= fitted <= epochs
    assert fitted == 1 or fitted * per_epoch_s <= max(left_s, 1.0) * (1 + 1e-9)
    assert fitted == epochs or math.floor(max(left_s, 1.0) / per_epoch_s) <= fitted + 1
    assert fit_into(given_graph, expected_s, None) == given_graph


def test_the_last_training_is_longer_by_the_images_that_were_held_out(photos):
    def grow(path, **train):
        known = graph(path)
        held_out = dataclasses.replace(known.data, val_fraction=0.4)
        longer = dataclasses.replace(known.train, **train)
        return measure_growth(dataclasses.replace(known, data=held_out, train=longer))

    assert grow(photos / "train") == pytest.approx(1 / 0.6)
    assert grow(photos / "train", steps=100) == MORE_IMAGES  # these are as many


def test_a_graph_without_epochs_always_fits(photos):
    as_it_is = dataclasses.replace(graph(photos).train, epochs=0)
    begun = dataclasses.replace(graph(photos), train=as_it_is)
    assert fit_into(begun, 100.0, 1.0) == begun


def test_the_confusions_of_a_model_are_those_in_its_file(trained, tmp_path):
    network, about = read_model(trained.file)
    table = ((3, 1), (0, 4))
    shares = dict.fromkeys(("precision", "recall", "f1"), (0.9, 0.8))
    found = HeldOut(split="test", support=(4, 4), confusion=table, **shares)
    for name, held_out in (
        ("tested", found),
        ("validated", dataclasses.replace(found, split="val")),
        ("unknown", None),
    ):
        about = dataclasses.replace(about, held_out=held_out)
        write_model(tmp_path / f"{name}.safetensors", network, about)
    assert read_confusion(tmp_path / "tested.safetensors") == [[3, 1], [0, 4]]
    for name in ("validated", "unknown", "gone"):
        assert read_confusion(tmp_path / f"{name}.safetensors") is None


def test_the_page_of_a_first_model_says_that_nothing_was_compared_with_it(photos, tmp_path):
    told = deliver_graph(graph(photos, epochs=1), tmp_path, "<b>probe</b>", QUIET)
    write_early_page("my <i>pets</i>", told, QUIET)
    page = (tmp_path / "report.html").read_text()
    assert "<i>pets" not in page
    found = read(page)
    assert float(found.numbers["delivered.accuracy"][0]) == told.metrics["accuracy"]
    assert "had not ended when this page was written. Its first model is the <b>" in found.text
    assert "Confusion matrix, on the test images" in found.text

    plain = {field.name: None for field in dataclasses.fields(Result)}
    ended = {"wall_s": 70.0, "stopped": 2, "failed": 1, "interrupted": True}
    why = {"commonest_failure": "nodes.n0: no memory"}
    said = []
    listener = Listener(say=said.append, warn=said.append)
    write_early_page("pets", told, listener, Result(**(plain | ended | why)))
    assert said == [f"Report: {tmp_path / 'report.html'}"]
    text = read((tmp_path / "report.html").read_text()).text
    assert "No training of this search has finished: it was interrupted." in text
    assert "1 training failed; most often: nodes.n0: no memory" in text
    (tmp_path / "report.html").unlink()
    (tmp_path / "report.html").mkdir()  # in the way, and no reason to lose a search
    write_early_page("pets", told, listener)
    assert said[1].startswith("no report was written: ")
