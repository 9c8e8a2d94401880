"""`noise: auto` becomes a number before anything is trained, in graphs and in spaces."""

import numpy as np
import pytest
import torch
from dirt import COLOURS, picture

from ktg.api.check import check
from ktg.api.graphs import describe
from ktg.api.noise import settle_noise, settle_space_noise
from ktg.data.open import open_data
from ktg.errors import SpecError
from ktg.graph import Node, parse, parse_space
from ktg.graph.space import dump_space
from ktg.graph.yaml_files import dumps
from ktg.models.build import build_network
from ktg.training import Training


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A graph of two networks from a file, on pictures a third of whose labels is wrong."""
    folder = tmp_path_factory.mktemp("noisy")
    network = build_network(
        Node(model="resnet8"), {}, classes=3, image_size=32, mean=(0.5,), std=(0.5,), seed=0
    )
    torch.save(network.body.state_dict(), folder / "resnet8.pth")
    truth, random = np.arange(150) % 3, np.random.default_rng(0)
    colours = [*COLOURS.values()]
    images = np.stack([np.asarray(picture(row, colours[truth[row]], 32)) for row in range(150)])
    labels = np.where(random.random(150) < 0.3, (truth + 1) % 3, truth)
    np.savez(folder / "set.npz", x_train=images, y_train=labels)
    edge = {"gate": "small_loss", "noise": "auto"}
    return {
        "version": 2,
        "data": {"path": str(folder / "set.npz"), "batch_size": 16},
        "train": {"epochs": 1, "lr": 0.01},
        "sources": {"own": {"path": str(folder / "resnet8.pth"), "mean": [0.5], "std": [0.5]}},
        "nodes": {name: {"model": "resnet8", "source": "own"} for name in ("n0", "n1")},
        "edges": {
            "label -> n0": {**edge, "peer": "n1"},
            "label -> n1": {**edge, "peer": "n0"},
            "n1 -> n0": {"gate": "small_loss", "noise": 0.1},
        },
    }


def test_every_auto_of_a_graph_becomes_the_same_number(plain):
    told = []
    listener = type("Heard", (), {"say": told.append, "status": lambda _: None, "decoding": None})
    graph = settle_noise(parse(plain), listener)
    rates = [graph.edges[pair].noise for pair in (("label", "n0"), ("label", "n1"), ("n1", "n0"))]
    assert rates[0] == rates[1] == pytest.approx(0.3, abs=0.12)
    assert rates[2] == 0.1
    assert told[0].startswith(f"noise: auto is {rates[0]:g}: about so many")
    assert settle_noise(graph) == graph
    Training(graph, open_data(graph.data))


def test_who_asks_for_nothing_is_not_looked_at(plain):
    graph = parse({**plain, "edges": {"label -> n0": {"gate": "linear", "noise": "auto"}}})
    assert settle_noise(graph) is graph


def test_a_training_that_nobody_estimated_for_is_refused(plain):
    graph = parse(plain)
    with pytest.raises(SpecError, match=r"edges\.label\.n0\.noise: auto is estimated by"):
        Training(graph, open_data(graph.data))


def test_holes_and_whole_edges_get_the_number(plain):
    edges = {
        "label -> n0": {"gate": {"choice": ["small_loss", "through"]}, "noise": "auto"},
        "label -> n1": {"gate": "small_loss", "noise": {"choice": ["auto", 0.1]}},
        "n1 -> n0": {"choice": [{"gate": "small_loss", "noise": "auto"}, {"gate": "cutoff"}]},
    }
    space = settle_space_noise(parse_space({**plain, "edges": edges}))
    graph = space.bind(space.default())
    rates = {edge.noise for edge in graph.edges.values()}
    assert len(rates) == 1
    (rate,) = rates
    assert space.holes["edges.label.n1.noise"].options == (rate, 0.1)
    assert space.template["edges"]["label -> n1"]["noise"] == {"choice": [rate, 0.1]}
    assert settle_space_noise(space) is space


def test_what_is_tried_first_gets_the_number(plain):
    asking = {"gate": "small_loss", "noise": {"choice": [0.1, "auto"]}}
    opening = [{"edges.label.n1.noise": "auto"}, {"edges.label.n1.noise": 0.1}]
    given = {"edges": {**plain["edges"], "label -> n1": asking}, "search": {"opening": opening}}
    space = settle_space_noise(parse_space({**plain, **given}))
    tried = [space.bind(space.default() | dict(values)) for values in space.search.opening]
    rates = [graph.edges["label", "n1"].noise for graph in tried]
    assert rates == [pytest.approx(0.3, abs=0.12), 0.1]
    assert parse_space(dump_space(space)) == space


def test_check_and_the_full_description_show_the_number(plain, tmp_path):
    file = tmp_path / "graph.yaml"
    file.write_text(dumps(plain))
    rate = describe(file, full=True)["settings"]["edges.label.n0.noise"]
    assert rate == pytest.approx(0.3, abs=0.12)
    assert check(file)["noise"] == f"0.1, {rate}"
    assert check(file, quick=True)["noise"] == "0.1, auto"


def test_without_weights_a_number_is_asked_for(plain):
    bare = {name: {"model": "resnet8"} for name in ("n0", "n1")}
    graph = parse({**plain, "nodes": bare})
    problem = r"edges\.label\.n0\.noise: auto needs a network that knows photographs.*as a number"
    with pytest.raises(SpecError, match=problem):
        settle_noise(graph)
