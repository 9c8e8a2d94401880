"""Distilling an ensemble: its gradient is that of the mean, and what is kept is the better."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from zoos import card

from ktg.data import open_data
from ktg.errors import UserError
from ktg.exporting import distill
from ktg.exporting.distill import (
    ALONE,
    DISTILLED,
    Distillation,
    build_alone,
    build_distillation,
    choose_best,
    choose_ensemble,
    distill_search,
    train_member,
)
from ktg.exporting.model_file import read_model
from ktg.exporting.retrain import write_weights
from ktg.graph import LABEL, Node, dump, parse
from ktg.graph.canonical import teachers
from ktg.graph.yaml_files import load_graph
from ktg.models.architectures import build_body
from ktg.searching.history import read_last_search
from ktg.tracking import find_experiment
from ktg.training import Training
from ktg.training.edge_losses import edge_losses, sum_per_node
from ktg.zoo import default_zoo

pytestmark = pytest.mark.usefixtures("one_thread")


def make(tiny, target="resnet8", edges=None, **train):
    return parse(
        {
            "data": {"path": str(tiny), "batch_size": 16},
            "train": {"epochs": 2, "lr": 0.05, "precision": "float32", **train},
            "nodes": {"n0": {"model": target}, "n1": {"model": "resnet8"}},
            "edges": {"label -> n0": {}, "n1 -> n0": {}} if edges is None else edges,
        }
    )


@pytest.fixture
def files(tiny, tmp_path):
    """Two trained members, by name: their graphs and files."""
    found = {}
    for seed in (0, 1):
        graph = build_alone(make(tiny, seed=seed))
        file = tmp_path / f"trial-{seed}.safetensors"
        train_member(graph, file, "cpu")
        found[file.stem] = (graph, file)
    return found


@pytest.mark.slow
def test_members_are_frozen_teachers_whose_edges_are_weighed_as_they_count(tiny, files):
    given = make(tiny, edges={"label -> n0": {}, "n1 -> n0": {"weight": 2.0, "temperature": 3.0}})
    graph = build_distillation(given, files, {"trial-0": 3, "trial-1": 1})
    assert list(graph.nodes) == ["n0", "teacher1", "teacher2"]
    assert teachers(graph) == ("teacher1", "teacher2")
    weights = [graph.edges[name, "n0"].weight for name in ("teacher1", "teacher2")]
    assert weights == [1.5, 0.5]
    assert {graph.edges[name, "n0"].temperature for name in ("teacher1", "teacher2")} == {3.0}
    assert parse(dump(graph)) == graph
    dataset = open_data(graph.data)
    training = Training(graph, dataset, device="cpu")
    for name, own in training.names.items():
        if own != "n0":
            place = f"trial-{int(own[-1]) - 1}"
            network, _ = read_model(files[place][1])
            state = network.body.state_dict()
            for key, value in training.teachers[name].body.state_dict().items():
                assert torch.equal(value, state[key])


@pytest.mark.slow
def test_its_gradient_is_that_of_one_teacher_with_the_mean_probabilities(tiny, files):
    given = make(tiny, edges={"n1 -> n0": {"temperature": 2.0}})
    graph = build_distillation(given, files, {"trial-0": 1, "trial-1": 3})
    training = Training(graph, open_data(graph.data), device="cpu")
    target = training.target
    batch = next(iter(training._batches(0, {}, {})))
    outputs = training.forward(batch)
    logits = {training.names[name]: value for name, value in outputs.logits.items()}
    losses = edge_losses(training.graph, outputs, 0.0, training.adapters)
    sum(sum_per_node(training.graph, losses).values()).backward()
    found = [each.grad.clone() for each in target.parameters() if each.grad is not None]
    target.zero_grad()
    mean = sum(
        share * (logits[name].detach() / 2).softmax(dim=1)
        for name, share in (("teacher1", 0.25), ("teacher2", 0.75))
    )
    own = training.forward(batch).logits[training._target]
    loss = -4 * (mean * (own / 2).log_softmax(dim=1)).sum(dim=1).mean()
    loss.backward()
    expected = [each.grad for each in target.parameters() if each.grad is not None]
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_the_edge_from_the_label_is_as_in_the_best_graph(tiny):
    cut = make(tiny, edges={"n1 -> n0": {}, "label -> n1": {}})
    assert (LABEL, "n0") not in build_distillation(cut, {}, {}).edges
    for gate, kept in (("agree", "through"), ("small_loss", "small_loss"), ("linear", "linear")):
        label = {"gate": gate} | ({} if gate == "linear" else {"peer": "n1"})
        gated = make(tiny, edges={"label -> n0": label, "n1 -> n0": {}})
        for made in (build_distillation(gated, {}, {}), build_alone(gated)):
            edge = made.edges[LABEL, "n0"]
            assert (edge.gate, edge.peer) == (kept, None)
            assert parse(dump(made)) == made
    alone = build_alone(cut)
    assert list(alone.nodes) == ["n0"]
    assert alone.edges[LABEL, "n0"].gate == "through"
    assert alone.train == cut.train


def test_without_an_open_kl_edge_the_temperature_is_two(tiny, tmp_path):
    graph = make(tiny, edges={"label -> n0": {}, "n1 -> n0": {"loss": "dist"}})
    made = build_distillation(graph, {"a": (graph, tmp_path / "a.safetensors")}, {"a": 1})
    edge = made.edges["teacher1", "n0"]
    assert (edge.loss, edge.temperature, edge.weight) == ("kl", 2.0, 1.0)
    named = dataclasses.replace(graph, nodes={"teacher1": graph.nodes["n0"]}, edges={})
    made = build_distillation(named, {"a": (graph, tmp_path / "a.safetensors")}, {"a": 1})
    assert list(made.nodes) == ["teacher1", "teacher1_"]


@pytest.mark.slow
def test_a_member_is_not_trained_again_and_says_the_same(tiny, tmp_path, monkeypatch):
    graph, file = make(tiny), tmp_path / "m.safetensors"
    first = train_member(graph, file, "cpu")
    assert first.shape == (len(open_data(graph.data).val), 4)
    assert np.allclose(first.sum(axis=1), 1, atol=1e-5)
    monkeypatch.setattr(distill, "retrain", None)
    assert np.array_equal(train_member(graph, file, "cpu"), first)
    monkeypatch.undo()
    other = train_member(make(tiny, seed=5), file, "cpu")  # another graph: trained anew
    assert not np.array_equal(other, first)


def test_a_member_that_inherits_arguments_from_the_zoo_is_not_trained_again(
    tiny, tmp_path, monkeypatch
):
    made = Node(model="wide_resnet16_1", model_args={"drop_rate": 0.3})
    save_file(build_body(made, classes=4, size=8).state_dict(), tmp_path / "wide.safetensors")
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))
    wide = card("wide", made.model, model_args=made.model_args)
    default_zoo().add(wide, tmp_path / "wide.safetensors")
    graph = make(tiny)
    nodes = {"n0": Node(model=made.model, source="zoo/wide"), "n1": graph.nodes["n1"]}
    graph = dataclasses.replace(graph, nodes=nodes)
    training = Training(graph, open_data(graph.data), device="cpu")
    file = tmp_path / "m.safetensors"
    write_weights(file, graph, training, {})
    monkeypatch.setattr(distill, "retrain", None)
    assert train_member(graph, file, "cpu").shape == (len(training.dataset.val), 4)


@pytest.mark.slow
def test_a_search_is_distilled_and_the_better_is_kept(searched, tmp_path):
    search = read_last_search(find_experiment("a search", searched.uri))
    ensemble = choose_ensemble(search)
    out, said = tmp_path / "out", []
    found = distill_search(search, out, seeds=2, device="cpu", say=said.append)
    assert found.members == tuple(one.trial for one in ensemble.members)
    assert found.ensemble == pytest.approx(ensemble.chosen_score, abs=0.07)
    assert found.kept == (DISTILLED if found.distilled > found.alone else ALONE)
    assert found.interval[0] <= found.distilled - found.alone <= found.interval[1]
    assert (found.seeds, found.images) == (2, search.pooled[0].said.labels.size)
    assert json.loads(json.dumps(found.to_json()))["sentence"] == found.sentence
    graph = load_graph(out / "best.yaml")
    _, about = read_model(out / "model.safetensors")
    assert about.accuracy.mean == graph.provenance["val_accuracy"]
    assert (len(graph.nodes) > 1) == (found.kept == DISTILLED)
    assert len(list((out / "teachers").glob("*.safetensors"))) == len(found.members)
    again = distill_search(search, out, seeds=5, budget_s=0.0, device="cpu", say=said.append)
    assert again.seeds == 1
    assert said[-1] == "the budget is over after 1 training of each"


@pytest.mark.slow
def test_without_an_ensemble_or_with_one_as_target_it_is_a_sentence(searched, monkeypatch):
    search = read_last_search(find_experiment("a search", searched.uri))
    monkeypatch.setitem(search.__dict__, "pooled", [])
    with pytest.raises(UserError, match="'a search' has no ensemble: fewer than two"):
        choose_ensemble(search)
    best = search.best
    monkeypatch.setitem(best.__dict__, "graph", dataclasses.replace(best.graph, ensemble=True))
    with pytest.raises(UserError, match="an ensemble already"):
        choose_best(search)


def test_what_was_gained_is_one_sentence(tmp_path):
    found = Distillation(
        "birds",
        tmp_path / "small",
        "accuracy",
        DISTILLED,
        ("trial-0001", "trial-0002"),
        3,
        200,
        0.912,
        0.88,
        0.93,
        (-0.01, 0.074),
        1000,
        7000,
        60.0,
    )
    assert found.sentence == (
        "Distilled from 2 trainings, the target has 91.20 % accuracy on 200 validation images, "
        "alone at equal length 88.00 % (+3.20 points, 95 % -1.00 to +7.40; 3 trainings each), "
        f"the ensemble itself 93.00 % with 7.0 times the parameters: {tmp_path}/small has the "
        "distilled one."
    )
    plain = dataclasses.replace(found, metric="loss", distilled=-0.25, alone=-0.3, interval=None)
    assert "0.2500 loss" in plain.sentence
    assert "(+0.0500; 3 trainings each)" in plain.sentence
