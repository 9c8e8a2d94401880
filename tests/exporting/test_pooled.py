"""The ensemble of a search's trainings as one model."""

import dataclasses

import numpy as np
import pytest

import ktg
from ktg.api.export import dump_exported
from ktg.api.listener import Listener
from ktg.data import open_data
from ktg.errors import UserError
from ktg.exporting import pooled
from ktg.exporting.distill import choose_ensemble, train_member
from ktg.exporting.model_card import format_model_card
from ktg.exporting.model_file import read_model
from ktg.exporting.pooled import train_pool
from ktg.graph import SourceFile, dump, parse
from ktg.graph.canonical import live_nodes
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
    assert said[-2:] == [f"member 1 of 2: {first.trial}", f"member 2 of 2: {second.trial}"]
    assert done.graphs == ()
    assert done.weights == {"ensemble": files["weights"]}
    plain = dump_exported(done)
    assert (plain["experiment"], plain["pooled"]) == ("a search", about_pool(first, second))
    assert done.written.differences["onnx"] < 1e-4
    network, about = read_model(files["weights"])
    assert network.names == ("m1", "m2")
    assert (network.times, about.times) == ((2, 1), {"m1": 2})
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
    assert about.graph.provenance["pooled"] == about_pool(first, second)
    assert about.graph.provenance["search_run"] == first_run(searched)
    assert parse(dump(about.graph)) == about.graph
    card = files["card"].read_text(encoding="utf-8")
    assert "An ensemble, which says the weighted mean of what its networks say" in card
    assert "A search chose by these images" in card
    assert f"{about_pool(first, second)}: each as its own trial says" in card
    assert "trains this again" not in card
    with pytest.raises(UserError, match="no one graph trains its networks, which are of trial-"):
        ktg.export(files["weights"], tmp_path / "graph.yaml")


def about_pool(first, second) -> str:
    return f"{first.trial} x2, {second.trial} x1"


def first_run(searched) -> str:
    return read_last_search(find_experiment("a search", searched.uri)).run.id


def test_what_its_networks_began_with_is_known_for_its_licence(search, two, monkeypatch, tmp_path):
    first, second = two
    file = tmp_path / "mine.safetensors"
    train_member(first.graph, file, "cpu")
    source = SourceFile(path=str(file), origin="my own, CC0", mean=(0.5,), std=(0.5,))
    nodes = {
        name: dataclasses.replace(node, source="mine") for name, node in first.graph.nodes.items()
    }
    begun = dataclasses.replace(first.graph, nodes=nodes, sources={"mine": source})
    monkeypatch.setitem(
        search.__dict__, "pooled", [dataclasses.replace(first, graph=begun), second]
    )
    found = train_pool(search, device="cpu", calibrated=False)
    assert found.about.calibration is None
    card = format_model_card(found.about, {}, tmp_path)
    assert "fine-tuned from `mine`: my own, CC0" in card
    assert "trained from nothing" in card  # the other one
    helped = {
        f"{node.model}@{node.source}"
        for graph in (begun, second.graph)
        for name, node in graph.nodes.items()
        if name in live_nodes(graph) and name != graph.target
    }
    assert found.about.graph.provenance.get("helped_by", "") == ", ".join(sorted(helped))
    assert ("they had helpers, which are not in it" in card) == bool(helped)


def test_a_member_that_is_an_ensemble_brings_all_its_networks(search, two, monkeypatch):
    first, second = two
    whole = dataclasses.replace(second.graph, ensemble=True)
    monkeypatch.setitem(
        search.__dict__, "pooled", [first, dataclasses.replace(second, graph=whole)]
    )
    found = train_pool(search, device="cpu")
    names = found.network.names
    assert names == tuple(f"m{place}" for place in range(1, len(names) + 1))
    own = len(names) - 1
    assert found.network.times == (2 * own, *[1] * own)
    assert own == len(live_nodes(whole))


def test_what_cannot_be_pooled_is_a_sentence(search, two, monkeypatch):
    first, second = two
    plain = dump(second.graph)
    other = parse(plain | {"data": {**plain["data"], "size": 12}})
    monkeypatch.setitem(
        search.__dict__, "pooled", [first, dataclasses.replace(second, graph=other)]
    )
    monkeypatch.setattr(pooled, "retrain", None)  # before any training
    with pytest.raises(UserError, match="do not see the same images at the same size"):
        train_pool(search, device="cpu")
    monkeypatch.setitem(search.run.tags, "data.fingerprint", "another")
    with pytest.raises(UserError, match="the data are not those of the search any more"):
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
