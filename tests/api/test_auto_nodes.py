"""`model: auto` and `source: auto` become names before anything is trained."""

from types import SimpleNamespace

import pytest

from ktg.api.auto_nodes import settle_nodes, settle_space_nodes
from ktg.api.check import check
from ktg.api.delivery import Delivery
from ktg.api.inputs import read_space
from ktg.api.listener import Listener
from ktg.api.search import plan_search
from ktg.api.train import train
from ktg.data.open import open_data
from ktg.errors import SpecError
from ktg.graph import dump, parse, parse_space
from ktg.graph.yaml_files import dumps
from ktg.training import Training

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def plain(tiny):
    """A network that is taught by whatever suits the images: ktg comes with one, zoo/fractals."""
    return {
        "version": 2,
        "data": {"path": str(tiny), "batch_size": 16},
        "train": {"epochs": 1},
        "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "auto", "epochs": 1}},
        "edges": {"label -> n0": {}, "n1 -> n0": {}},
    }


@pytest.fixture(autouse=True)
def _no_published(monkeypatch):
    monkeypatch.setattr("ktg.proposing.weights_here._has_cache", lambda: False)


def with_hole(plain):
    return {**plain, "edges": {"label -> n0": {}, "n1 -> n0": {"loss": {"choice": ["kl", "js"]}}}}


def test_a_graph_gets_names_and_a_reason_and_trains(plain):
    told = []
    graph = settle_nodes(parse(plain), Listener(say=told.append))
    node = graph.nodes["n1"]
    assert (node.model, node.source, node.lr) == ("resnet20", "zoo/fractals", 0.003)
    (sentence,) = told
    assert sentence.startswith("nodes.n1: auto is resnet20@zoo/fractals: a linear probe has ")
    assert settle_nodes(graph) is graph
    assert parse(dump(graph)) == graph
    assert sum(1 for _ in Training(graph, open_data(graph.data), device="cpu")) == 1


def test_a_training_for_which_nobody_chose_is_refused(plain):
    graph = parse(plain)
    with pytest.raises(SpecError, match=r"nodes\.n1: auto is chosen by `ktg train` and `ktg sea"):
        Training(graph, open_data(graph.data), device="cpu")


def test_a_space_gets_names_in_its_template(plain):
    space = settle_space_nodes(read_space(with_hole(plain)))
    assert space.template["nodes"]["n1"] == {
        "model": "resnet20",
        "source": "zoo/fractals",
        "epochs": 1,
    }
    assert space.bind(space.default()).nodes["n1"].head == "probe"
    assert settle_space_nodes(space) is space


def test_a_search_that_goes_on_keeps_what_was_chosen_first(plain, in_other_words):
    past = in_other_words(plain)
    file_says = with_hole(plain)
    delivery = Delivery(file_says, "mine", {}, None)
    plan = plan_search(delivery, lambda _: SimpleNamespace(space=past))
    assert plan.space.template["nodes"]["n1"]["model"] == "resnet14"
    other = {
        **file_says,
        "nodes": {**plain["nodes"], "n1": {"model": "resnet20", "source": "auto"}},
    }
    settled = settle_space_nodes(read_space(other), past=past)  # the file has changed since
    assert settled.template["nodes"]["n1"]["model"] == "resnet20"


@pytest.fixture
def in_other_words():
    """Return the space of a search whose choice was another than today's would be."""

    def make(plain):
        nodes = {**plain["nodes"], "n1": {"model": "resnet14", "source": "mine", "epochs": 1}}
        return parse_space({**with_hole(plain), "nodes": nodes})

    return make


def test_check_says_what_was_chosen_of_graphs_and_spaces(plain, tmp_path):
    for name, given in (("graph", plain), ("space", with_hole(plain))):
        file = tmp_path / f"{name}.yaml"
        file.write_text(dumps(given))
        (sentence,) = check(file, quick=True)["auto"]
        assert "nodes.n1: auto is resnet20@zoo/fractals" in sentence


def test_a_file_for_a_model_that_may_be_chosen_is_needed(plain, tmp_path):
    import torch

    from ktg.models.cifar import CIFAR_MODELS

    torch.save(CIFAR_MODELS["resnet14"](num_classes=4).state_dict(), tmp_path / "own.pth")
    given = {"path": str(tmp_path / "own.pth"), "mean": [0.5], "std": [0.5]}
    for kind in (plain, with_hole(plain)):
        file = tmp_path / "given.yaml"
        file.write_text(dumps({**kind, "weights": {"resnet14": given}}))
        (sentence,) = check(file, quick=True)["auto"]
        assert "of 2 sets of weights on this machine" in sentence


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ({"n0": {"model": "auto"}}, r"nodes\.n0\.model: auto is for the other nodes"),
        ({"n0": {"model": "resnet8", "source": "auto"}}, r"nodes\.n0\.source: auto is for the"),
        ({"n1": {"model": "auto", "source": "none"}}, r"nodes\.n1\.source: model: auto chooses by"),
        (
            {"n1": {"model": {"choice": ["resnet8", "auto"]}}},
            r"nodes\.n1\.model\.choice\[1\]: auto is chosen once, before the search, so it is no",
        ),
        (
            {"n1": {"model": {"choice": ["resnet8", "resnet14"]}, "source": "auto"}},
            r"nodes\.n1\.model: auto is chosen once, before the search, so no hole goes with sour",
        ),
    ],
)
def test_where_nothing_can_be_chosen_one_sentence_says_so(plain, nodes, told):
    read = parse_space if "choice" in str(nodes) else parse
    with pytest.raises(SpecError, match=told):
        read({**plain, "nodes": {**plain["nodes"], **nodes}})


@pytest.mark.slow
def test_training_and_searching_keep_names(plain, tmp_path, monkeypatch):
    import ktg

    monkeypatch.chdir(tmp_path)
    told = []
    results = train(plain, tracking_uri=None, device="cpu", listener=Listener(say=told.append))
    assert len(results.runs) == 1
    space = {**with_hole(plain), "search": {"trials": 1, "baselines": False}}
    found = ktg.search(space, name="mine", tracking_uri=None, listener=Listener(say=told.append))
    assert found.best is not None
    assert found.best.nodes["n1"].source == "zoo/fractals"
    assert sum("nodes.n1: auto is resnet20@zoo/fractals" in one for one in told) == 2
