import copy
import re

import pytest
from hypothesis import given
from strategies import graphs

from ktg.errors import SpecError
from ktg.graph import GATES, LABEL, Node, dump, edge_key, edge_path, parse
from ktg.graph.parse import normalise, split_edge
from ktg.graph.recipes import FROM_FORMULA, FROM_NOTHING, PRETRAINED

RAW = {
    "data": {"name": "cifar100", "val_fraction": 0.2, "batch_size": 64, "augment": "basic"},
    "train": {"epochs": 200, "optimizer": "sgd", "lr": 0.1, "seed": 0},
    "nodes": {
        "n0": {"model": "resnet32", "source": "none"},
        "n1": {"model": "wide_resnet28_2", "source": "imagenet", "frozen_epochs": 5},
    },
    "edges": {
        "label -> n0": {"loss": "ce", "gate": "through"},
        "label -> n1": {"loss": "ce", "gate": "linear"},
        "n1 -> n0": {"loss": "kl", "gate": "correct", "temperature": 1.0},
    },
}


def changed(**sections):
    return copy.deepcopy(RAW) | sections


def test_a_graph_from_the_documentation():
    graph = parse(RAW)
    assert graph.target == "n0"
    assert graph.edges["n1", "n0"].gate == "correct"
    assert graph.nodes["n1"].frozen_epochs == 5


def test_a_file_that_stands_for_imagenet_is_a_path_or_says_more():
    graph = parse(
        changed(weights={"resnet18": "a.pth", "timm/resnet34": {"path": "b.pth", "mean": 0.5}})
    )
    assert graph.weights["resnet18"].path == "a.pth"
    assert dump(graph)["weights"] == {
        "resnet18": "a.pth",
        "timm/resnet34": {"path": "b.pth", "mean": [0.5]},
    }
    assert graph.sources_for("timm/resnet34")["imagenet"].mean == (0.5,)
    assert graph.sources_for("resnet34") == graph.sources == {}
    assert graph.imagenet_models == {"wide_resnet28_2"}
    assert graph.with_needed_weights() == parse(RAW)


@pytest.mark.slow
@given(graphs())
def test_dump_loses_nothing(graph):
    again = parse(dump(graph))
    assert again == graph
    assert list(again.nodes) == list(graph.nodes)


def pretrained(train: dict | None = None, **node) -> dict:
    """Return a graph of one node from ImageNet."""
    node = {"model": "resnet18", "source": "imagenet", **node}
    return changed(train=train or {}, nodes={"n0": node}, edges={"label -> n0": {}})


def test_a_pretrained_node_gets_its_recipe_and_one_of_version_1_does_not():
    found = parse(pretrained())
    assert found == parse(pretrained(**PRETRAINED)) == parse(pretrained() | {"version": 2})
    assert (found.nodes["n0"].lr, found.nodes["n0"].head) == (0.0003, "probe")
    old = parse(pretrained() | {"version": 1})
    assert old == parse(pretrained({"lr": 0.1, "optimizer": "sgd"}))
    assert old.nodes["n0"] == Node(model="resnet18", source="imagenet")
    for graph in (found, old):
        assert parse(dump(graph)) == graph
    assert dump(old)["train"] == {"optimizer": "sgd", "lr": 0.1}
    assert "train" in dump(found) and "lr" not in dump(found)["train"]


@pytest.mark.parametrize("source", ["none", "fractaldb", "zoo/fractals"])
def test_files_of_version_2_keep_what_they_meant(source):
    raw = pretrained(source=source)
    new, old, oldest = (parse(raw | {"version": version}) for version in (3, 2, 1))
    recipe = FROM_NOTHING if source == "none" else FROM_FORMULA
    assert parse(raw) == new == parse(pretrained(source=source, **recipe))
    assert old == (oldest if source == "none" else parse(pretrained(source=source, **PRETRAINED)))
    for graph in (new, old, oldest):
        assert parse(dump(graph)) == graph


def test_the_network_as_it_begins_needs_no_epochs():
    graph = parse(pretrained({"epochs": 0}, frozen_epochs=3))
    assert (graph.train.epochs, graph.nodes["n0"].warmup_epochs) == (0, 1)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "expected a mapping"),
        (
            changed(edgs={}),
            "edgs: unknown key; allowed here: version, data, train, target, sources, weights, "
            "nodes, edges, provenance",
        ),
        (
            changed(edges={"label -> n0": {"loss": "emd"}}),
            "edges.label.n0.loss: 'emd' does not fit an edge from `label`; allowed: ce",
        ),
        (
            changed(edges={"n1 -> n0": {"loss": "ce"}}),
            "edges.n1.n0.loss: 'ce' does not fit an edge between nodes; allowed: kl, js, dkd, "
            "emd, dist, attention, feature, embedding",
        ),
        (
            changed(edges={"n1 -> n0": {"weight": "lerned"}}),
            "edges.n1.n0.weight: 'lerned' is not a value of `weight`; allowed: a number, learned. "
            "Did you mean",
        ),
        (
            changed(edges={"n1 -> n0": {"weight": 0}}),
            "edges.n1.n0.weight: must be greater than 0, got 0",
        ),
        (
            changed(
                nodes={
                    "n0": {"model": "resnet8", "frozen_epochs": 2, "frozen_views": 3},
                    "n1": {"model": "resnet8"},
                },
                edges={"label -> any": {}, "n1 -> n0": {"loss": "attention"}},
            ),
            "nodes.n0.frozen_views: n1 -> n0 compares maps, and of fixed views only the input of "
            "the head is stored; leave out one",
        ),
        (
            changed(
                data={"path": "images", "unlabelled": "more"},
                nodes={
                    "n0": {"model": "resnet8", "frozen_epochs": 2, "frozen_views": 3},
                    "n1": {"model": "resnet8"},
                },
                edges={"label -> any": {}, "n1 -> n0": {"gate": "linear"}},
            ),
            "nodes.n0.frozen_views: n1 -> n0 is shown new images of data.unlabelled in every "
            "step, and of fixed views",
        ),
        (
            changed(data={"name": "digits", "labels": "labels.csv"}),
            "data.labels: goes with data.path, not with the data set digits",
        ),
        (
            changed(data={"name": "ofdb", "unlabelled": "more"}),
            "data.unlabelled: does not go with images drawn by a formula (ofdb); leave it out, or "
            "give auto",
        ),
        (
            changed(data={"name": "ofdb", "views": 2}),
            "data.views: does not go with images drawn by a formula (ofdb); leave it out",
        ),
        (changed(data={"name": "digits", "unlabelled": []}), "data.unlabelled: is empty; name"),
        (
            changed(data={"name": "ofdb", "label_noise": 0.4}),
            "data.label_noise: does not go with images drawn by a formula (ofdb); leave it out",
        ),
        (
            changed(data={"name": "digits", "label_noise": 1.0}),
            "data.label_noise: ",
        ),
        (
            changed(data={"name": "digits", "views": 2, "augment": "cutmix_or_mixup"}),
            "data.views: data.augment: cutmix_or_mixup mixes each batch differently, so that no",
        ),
        (
            changed(data={"name": "digits", "views": 2, "cache": "never"}),
            "data.views: views are drawn once and kept in the cache; leave out data.cache: never",
        ),
        (
            changed(
                data={"name": "digits", "views": 2},
                nodes={"n0": {"model": "resnet8", "frozen_epochs": 1, "frozen_views": 2}},
                edges={"label -> n0": {}},
            ),
            "nodes.n0.frozen_views: data.views draws the views of all nodes; leave out one",
        ),
        (
            changed(data={"name": "digits", "unlabelled_share": 1}),
            "data.unlabelled_share: must be less than 1, got 1",
        ),
        (changed(target="n1"), "target: 'n1' is not a value of `target`; allowed: first, ensemble"),
        (changed(version=4), "version: 4 is not a format this ktg reads; allowed: 1, 2, 3"),
        (changed(version=True), "version: True is not a format this ktg reads; allowed: 1, 2"),
        (
            changed(train={"epochs": 30, "steps": 20}),
            "train.steps: 20 are fewer than train.epochs (30), each of which needs one",
        ),
        (
            changed(nodes={"n0": {"model": "resnet8", "warmup_epochs": 201}}, edges={}),
            "nodes.n0.warmup_epochs: 201 is more than train.epochs (200)",
        ),
        ({"data": {}, "nodes": {}}, "edges: this section is missing"),
        (changed(nodes={}), "nodes: at least one node is needed; the first is the target"),
        (changed(nodes={"label": {}}), "nodes.label: 'label' is a reserved word"),
        (changed(nodes={"a b": {}}), "nodes.a b: a node's name has letters, digits, _ and - only"),
        (changed(nodes={"n0": None, "n1": {}}), "nodes.n0: expected a mapping"),
        (
            changed(data={}),
            "data: give either `name` (a known data set) or `path` (your own images)",
        ),
        (changed(data={"name": "a", "path": "b"}), "data: give either `name`"),
        (
            changed(data={"name": "digits", "formula": {}}),
            "data.formula: is for data drawn by a formula, not",
        ),
        (
            changed(data={"name": "svd", "formula": {"classes": 1}}),
            "data.formula.classes: must be at least 2, got 1",
        ),
        (
            changed(data={"name": "svd", "formula": {"class": 3}}),
            "data.formula.class: unknown key; allowed here:",
        ),
        (
            changed(data={"name": "digits", "only": []}),
            "data.only: is empty; name at least two classes",
        ),
        (changed(edges={"n1": {}}), "edges.n1: an edge is written `source -> target`"),
        (changed(edges={"n1 -> label": {}}), "edges.n1 -> label: an edge cannot end at `label`"),
        (changed(edges={"n1 -> n1": {}}), "edges.n1 -> n1: an edge from 'n1' to itself"),
        (
            changed(edges={"n1 -> n00": {}}),
            "there is no node 'n00'; nodes: n0, n1. Did you mean 'n0'?",
        ),
        (
            changed(edges={"label -> n0": {"loss": "kl"}}),
            "edges.label.n0.loss: 'kl' does not fit an edge from `label`",
        ),
        (
            changed(edges={"n1 -> n0": {"loss": "ce"}}),
            "edges.n1.n0.loss: 'ce' does not fit an edge between nodes",
        ),
        (
            changed(edges={"n1 -> n0": {"gate": "open"}}),
            "edges.n1.n0.gate: 'open' is not a value of `gate`",
        ),
        (changed(sources={"none": {"path": "a"}}), "sources.none: 'none' cannot name a source"),
        (changed(sources={"a": {}}), "sources.a.path: is missing"),
        (changed(weights={"resnet18": {"mean": 0.5}}), "weights.resnet18.path: is missing"),
        (
            changed(weights={"resnet18": 3}),
            "weights.resnet18: expected a mapping (key: value), got 3",
        ),
        (changed(weights="a.pth"), "weights: expected a mapping (key: value), got 'a.pth'"),
        (
            changed(edges={"label -> any": {"gate": "opne"}}),
            "edges.label -> any.gate: 'opne' is not",
        ),
        (
            changed(edges={"label -> any": {}, "label->n0": {"gate": "opne"}}),
            "edges.label.n0.gate: 'opne' is not",
        ),
        (changed(provenance={"a": {"b": 1}}), "provenance.a: expected a single value"),
        (
            changed(train={"milestones": [3, 2]}),
            "train.milestones: must rise from one to the next, got [3, 2]",
        ),
        (
            changed(train={"epochs": 5, "warmup_epochs": 6}),
            "train.warmup_epochs: 6 is more than train.epochs (5)",
        ),
        (changed(train={"epochs": 4}), "nodes.n1.frozen_epochs: 5 is more than train.epochs (4)"),
    ],
)
def test_mistakes_are_explained(raw, message):
    with pytest.raises(SpecError) as caught:
        parse(raw)
    assert message in str(caught.value)


def test_any_stands_for_every_node_and_the_more_exact_line_wins():
    edges = {
        "n1 -> n0": {"gate": "correct"},
        "any -> any": {"gate": "linear"},
        "any -> n2": {"gate": "inverse"},
        "label -> any": {"gate": "through"},
        "label -> n2": {"gate": "cutoff"},
    }
    graph = parse(
        changed(nodes={name: {"model": "resnet8"} for name in ("n0", "n1", "n2")}, edges=edges)
    )
    gates = {pair: edge.gate for pair, edge in graph.edges.items()}
    assert gates == {
        (LABEL, "n0"): "through",
        (LABEL, "n1"): "through",
        (LABEL, "n2"): "cutoff",
        ("n1", "n0"): "correct",
        ("n2", "n0"): "linear",
        ("n0", "n1"): "linear",
        ("n2", "n1"): "linear",
        ("n0", "n2"): "inverse",
        ("n1", "n2"): "inverse",
    }


def test_of_two_equally_exact_lines_the_later_wins():
    edges = {"any -> n0": {"gate": "linear"}, "n1 -> any": {"gate": "correct"}}
    assert parse(changed(edges=edges)).edges["n1", "n0"].gate == "correct"


def test_normalise_leaves_the_input_and_its_holes_alone():
    raw = changed(edges={"any -> any": {"gate": {"choice": list(GATES)}}}, name="x")
    before = copy.deepcopy(raw)
    plain = normalise(raw, extra_sections=("name",))
    assert raw == before
    assert plain["edges"] == {
        key: {"gate": {"choice": list(GATES)}} for key in ("n1 -> n0", "n0 -> n1")
    }


def test_an_edge_without_settings_has_the_usual_loss():
    graph = parse(changed(edges={"label->n0": None, "n1  ->  n0": {}}))
    assert [edge.loss for edge in graph.edges.values()] == ["ce", "kl"]


def test_names_of_edges():
    assert split_edge(edge_key("label", "n-0")) == ("label", "n-0")
    assert edge_path("n1", "n0") == "edges.n1.n0"


@pytest.mark.parametrize(
    ("edge", "at", "said"),
    [
        ({"label -> n0": {"gate": "agree"}}, "edges.label.n0.peer", "name it, for example"),
        ({"label -> n0": {"gate": "disagree", "peer": "n0"}}, "edges.label.n0.peer", "name it"),
        ({"label -> n0": {"peer": "n7"}}, "edges.label.n0.peer", "there is no node 'n7'"),
        ({"label -> n0": {}, "n1 -> n0": {"peer": "n1"}}, "edges.n1.n0.peer", "is the source, n1"),
        ({"label -> n0": {"loss": "kl"}}, "edges.label.n0.loss", "ce, gce, sce, bootstrap"),
        ({"label -> n0": {}, "n1 -> n0": {"loss": "gce"}}, "edges.n1.n0.loss", "between nodes"),
        ({"label -> n0": {"noise": 1.0}}, "edges.label.n0.noise", "1"),
        ({"label -> n0": {"loss": "gce", "exponent": 0}}, "edges.label.n0.exponent", "0"),
    ],
)
def test_what_doubtful_labels_need_is_checked(edge, at, said):
    nodes = {name: {"model": "resnet8"} for name in ("n0", "n1")}
    with pytest.raises(SpecError, match=said) as caught:
        parse({"data": {"name": "digits"}, "nodes": nodes, "edges": edge})
    assert caught.value.path == at


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"folds": 3, "fold": 3}, "data.fold: there is no fold 3; allowed: 0 to 2"),
        ({"fold": 1}, "data.fold: there is no fold 1; leave it out, or say data.folds"),
        ({"folds": 1}, "data.folds: must be at least 2, got 1"),
    ],
)
def test_a_fold_is_one_of_the_folds(data, message):
    graph = {"nodes": {"n0": {"model": "resnet8"}}, "edges": {"label -> n0": {}}}
    with pytest.raises(SpecError, match=re.escape(message)):
        parse({"data": {"name": "digits", **data}, **graph})
