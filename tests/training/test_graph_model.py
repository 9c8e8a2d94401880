"""The networks of a graph: what they start from, what is scored, and whose state they take."""

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from zoos import card

from ktg.data import Dataset, open_data
from ktg.errors import SpecError, WeightsError
from ktg.graph import Graph, Node, SourceFile, parse
from ktg.models.architectures import build_body
from ktg.training import Training
from ktg.zoo import default_zoo

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def dataset(tiny: Path) -> Dataset:
    return open_data(make(tiny).data)


def make(
    tiny: Path, nodes: int | dict = 2, edges: dict | None = None, batch_size: int = 32, **train
) -> Graph:
    if isinstance(nodes, int):
        nodes = {f"n{i}": {"model": "resnet8"} for i in range(nodes)}
    return parse(
        {
            "data": {"path": str(tiny), "batch_size": batch_size, "augment": "basic"},
            "train": {"epochs": 3, "lr": 0.05, **train},
            "nodes": nodes,
            "edges": edges or {"label -> any": {}, "any -> any": {"gate": "linear"}},
        }
    )


def trained(graph: Graph, dataset: Dataset) -> tuple[Training, list]:
    training = Training(graph, dataset, device="cpu")
    return training, list(training)


def test_a_node_starts_from_the_file_that_stands_for_imagenet(tiny, dataset, tmp_path):
    given = make(tiny, {"n0": {"model": "resnet8", "source": "imagenet"}}, {"label -> n0": {}})
    body = Training(make(tiny, 1, {"label -> n0": {}}, seed=7), dataset, device="cpu").target.body
    torch.save(body.state_dict(), tmp_path / "r.pth")
    graph = dataclasses.replace(
        given, weights={"resnet8": SourceFile(path=str(tmp_path / "r.pth"))}
    )
    state = Training(graph, dataset, device="cpu").target.body.state_dict()
    assert state.keys() == body.state_dict().keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in body.state_dict().items())


def test_features_need_a_head_of_its_own(tiny, dataset, monkeypatch):
    training = Training(make(tiny, {"mine": {"model": "resnet8"}}, {"label -> mine": {}}), dataset)
    assert training.features(dataset.val).shape == (len(dataset.val), 64)
    monkeypatch.setattr("ktg.training.graph_model.find_head", lambda network: None)
    with pytest.raises(SpecError, match=r"nodes\.mine\.model: resnet8 has no head of its own"):
        training.features(dataset.val)


def test_a_state_of_another_graph_is_refused(tiny, dataset):
    state = Training(make(tiny), dataset, device="cpu").state_dict()
    with pytest.raises(WeightsError, match="another graph"):
        Training(make(tiny, nodes=1), dataset, device="cpu").load_state_dict(state)


def test_a_batch_larger_than_the_split_is_refused(tiny, dataset):
    with pytest.raises(SpecError, match=r"data.batch_size: 1000 is more than the \d+ images"):
        Training(make(tiny, batch_size=1000), dataset, device="cpu")


def test_an_untaught_target_is_refused(tiny, dataset):
    with pytest.raises(SpecError, match="nothing teaches the target 'n0'"):
        Training(make(tiny, edges={"label -> n1": {}}), dataset, device="cpu")


def test_averaged_weights_are_the_ones_evaluated(tiny, dataset):
    training, _ = trained(make(tiny, nodes=1, edges={"label -> n0": {}}, ema_decay=0.5), dataset)
    (learner,) = training.learners.values()
    assert training.target is learner.average.network
    assert not torch.equal(
        learner.network.body.conv1.weight, learner.average.network.body.conv1.weight
    )


def test_an_ensemble_is_scored_by_the_mean_whichever_node_comes_first(tiny: Path, dataset: Dataset):
    nodes = {"a": {"model": "resnet14"}, "b": {"model": "resnet8"}}
    graph = dataclasses.replace(make(tiny, nodes, epochs=2), ensemble=True)
    training, epochs = trained(graph, dataset)
    probabilities = [
        evaluate_probabilities(network, training, dataset) for network in training.networks.values()
    ]
    mean = (probabilities[0] + probabilities[1]) / 2
    labels = torch.from_numpy(dataset.val.labels)
    torch.testing.assert_close(training.predict(dataset.val), mean)
    assert epochs[-1].val_accuracy == (mean.argmax(1) == labels).double().mean().item()
    assert epochs[-1].metrics()["val_loss"] == pytest.approx(
        -mean.log()[range(len(labels)), labels].mean().item()
    )
    assert training.test(dataset.val).accuracy == epochs[-1].val_accuracy
    assert (
        epochs[-1].metrics()["nodes.a.val_accuracy"]
        == epochs[-1].nodes[epochs[-1].target].val_accuracy
    )
    turned = dataclasses.replace(graph, nodes=dict(reversed(graph.nodes.items())))
    again, others = trained(turned, dataset)
    assert [epoch.val_accuracy for epoch in others] == [epoch.val_accuracy for epoch in epochs]
    assert {epoch.target for epoch in epochs} == {"a"}
    assert {epoch.target for epoch in others} == {"b"}
    assert len(again.target.state_dict()) < len(training.target.state_dict())
    _, figures = trained(dataclasses.replace(graph, ensemble=False), dataset)
    assert figures[-1].ensemble is not None
    assert figures[-1].val_accuracy == figures[-1].nodes["a"].val_accuracy


def evaluate_probabilities(
    network: torch.nn.Module, training: Training, dataset: Dataset
) -> torch.Tensor:
    images = torch.from_numpy(dataset.val.read(range(len(dataset.val)))).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        return network.eval()(images).softmax(1)


def test_a_node_trains_with_the_arguments_that_it_inherits_from_the_zoo(
    tiny: Path, dataset: Dataset, tmp_path: Path, monkeypatch
):
    made = Node(model="wide_resnet16_1", model_args={"drop_rate": 0.3})
    file = tmp_path / "wide.safetensors"
    save_file(build_body(made, classes=4, size=8).state_dict(), file)
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))
    default_zoo().add(card("wide", made.model, model_args=made.model_args), file)

    def train(args: dict[str, float]) -> tuple[Training, list]:
        node = {"model": made.model, "source": "zoo/wide", "model_args": args}
        return trained(make(tiny, {"own": node}, {"label -> own": {}}, epochs=1), dataset)

    inherited, explicit = train({}), train({"drop_rate": 0.3})
    assert inherited[0].graph == explicit[0].graph
    assert inherited[0].key == explicit[0].key
    assert dict(inherited[0].graph.nodes["n0"].model_args) == {"drop_rate": 0.3}
    assert inherited[1][0].metrics()["val_loss"] == explicit[1][0].metrics()["val_loss"]
    with pytest.raises(SpecError, match=r"^nodes\.own\.model_args: zoo/wide was made for"):
        train({"drop_rate": 0.5})
