"""The ensemble of a search's trainings as one model."""

import dataclasses

import numpy as np
import pytest

import ktg
from ktg.api.listener import Listener
from ktg.data import open_data
from ktg.errors import UserError
from ktg.exporting import pooled
from ktg.exporting.distill import choose_ensemble, train_member
from ktg.exporting.model_file import read_model
from ktg.exporting.pooled import train_pool
from ktg.graph import dump, parse
from ktg.searching.history import read_last_search
from ktg.searching.pool import Member
from ktg.tracking import find_experiment

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture
def search(searched):
    return read_last_search(find_experiment("a search", searched.uri))


@pytest.fixture
def two(search, monkeypatch):
    """The ensemble of its first two trainings, of which one counts twice."""
    first, second = search.pooled[:2]
    members = (Member(first.trial, 2, None), Member(second.trial, 1, None))
    chosen = dataclasses.replace(choose_ensemble(search), members=members)
    monkeypatch.setattr(pooled, "choose_ensemble", lambda _: chosen)
    return first, second


def test_it_says_the_weighted_mean_of_what_its_members_say(searched, two, tmp_path):
    first, second = two
    files = {"weights": tmp_path / "all.safetensors", "onnx": tmp_path / "all.onnx"}
    files |= {"card": tmp_path / "README.md"}
    said = []
    listener = Listener(say=said.append)
    done = ktg.export(
        "a search", pooled=True, device="cpu", tracking_uri=searched.uri, listener=listener, **files
    )
    assert said[0] == f"exporting: member 1 of 2: {first.trial}"
    assert done.graphs == ()
    assert done.written.differences["onnx"] < 1e-4
    network, about = read_model(files["weights"])
    assert network.names == (first.trial, second.trial)
    assert (network.times, about.times) == ((2, 1), {first.trial: 2})
    apart = [
        train_member(one.graph, tmp_path / f"{one.trial}.safetensors", "cpu")
        for one in (first, second)
    ]
    val = open_data(first.graph.data).val
    model = ktg.load(files["weights"], device="cpu")
    logits = model.run(val.read(range(len(val)))) * about.temperature
    together = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    np.testing.assert_allclose(together, (2 * apart[0] + apart[1]) / 3, rtol=1e-4, atol=1e-6)
    assert about.accuracy.mean == pytest.approx((together.argmax(1) == val.labels).mean())
    assert about.held_out.split == "val" and sum(about.held_out.support) == len(val.labels)
    assert about.graph.provenance["pooled"] == f"{first.trial} x2, {second.trial} x1"
    assert parse(dump(about.graph)) == about.graph
    card = files["card"].read_text(encoding="utf-8")
    assert "An ensemble, which says the mean of what its networks say" in card
    assert "A search chose by these images" in card


def test_a_member_that_is_an_ensemble_brings_all_its_networks(search, two, monkeypatch):
    first, second = two
    whole = dataclasses.replace(second.graph, ensemble=True)
    monkeypatch.setitem(
        search.__dict__, "pooled", [first, dataclasses.replace(second, graph=whole)]
    )
    found = train_pool(search, device="cpu")
    parts = [name for name in found.network.names if name.startswith(f"{second.trial}-")]
    assert found.network.names == (first.trial, *parts)
    assert found.network.times == (2 * len(parts), *[1] * len(parts))


def test_what_cannot_be_pooled_is_a_sentence(search, two, monkeypatch):
    first, second = two
    other = parse(
        dump(second.graph) | {"data": {**dump(second.graph)["data"], "val_fraction": 0.4}}
    )
    monkeypatch.setitem(
        search.__dict__, "pooled", [first, dataclasses.replace(second, graph=other)]
    )
    with pytest.raises(UserError, match="do not share their images and splits"):
        train_pool(search, device="cpu")
    one = dataclasses.replace(pooled.choose_ensemble(search), members=(Member("t", 1, None),))
    monkeypatch.setattr(pooled, "choose_ensemble", lambda _: one)
    with pytest.raises(UserError, match=r"No ensemble of the .* trainings is better than t alone"):
        train_pool(search, device="cpu")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trial": 3, "weights": "a.safetensors"}, "--trial, --top, --baseline, --all-nodes and"),
        ({"final": True, "weights": "a.safetensors"}, "are for one graph"),
        ({"output": "a.yaml", "weights": "a.safetensors"}, "no one graph trains its members"),
        ({}, "--pooled: give --weights, the file of the ensemble"),
    ],
)
def test_what_makes_no_sense_with_it_is_refused(searched, given, message):
    with pytest.raises(UserError, match=message):
        ktg.export("a search", pooled=True, tracking_uri=searched.uri, **given)


def test_a_model_file_has_no_trainings_to_pool(trained):
    with pytest.raises(UserError, match="--pooled is for an experiment, not for a model file"):
        ktg.export(trained.file, pooled=True, weights="a.safetensors")
