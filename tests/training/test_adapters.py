"""Adapters of edges: projected maps, distances between classes, and learned weights."""

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ktg.data import Dataset, open_data
from ktg.errors import SpecError
from ktg.graph import Graph, Node, parse
from ktg.graph.vocabulary import FEATURE_LOSSES
from ktg.training import Training, answers
from ktg.training.adapters import find_mapped_layers
from ktg.training.edge_losses import NodeOutputs, edge_losses
from ktg.training.training_batches import TrainingBatch

pytestmark = pytest.mark.usefixtures("one_thread")

LOSSES = {
    "attention": {"loss": "attention", "gate": "correct", "over": "kept"},
    "feature": {"loss": "feature", "gate": "linear", "weight": "learned"},
    "emd": {"loss": "emd", "temperature": 2.0},
    "embedding": {"loss": "embedding", "gate": "linear"},
    "dkd": {"loss": "dkd", "temperature": 4.0, "alpha": 0.5, "weight": "learned"},
}


@pytest.fixture
def dataset(tiny: Path) -> Dataset:
    return open_data(make(tiny, {}).data)


def make(
    tiny: Path, edge: dict, data: dict | None = None, n0: dict | None = None, **train
) -> Graph:
    """A small network student by the label and by a deeper, teaching one of other widths."""
    return parse(
        {
            "data": {"path": str(tiny), "batch_size": 32, "augment": "basic", **(data or {})},
            "train": {"epochs": 2, "lr": 0.05, **train},
            "nodes": {"n0": {"model": "resnet8", **(n0 or {})}, "n1": {"model": "wide_resnet16_2"}},
            "edges": {"label -> any": {}, "n1 -> n0": edge},
        }
    )


def started(graph: Graph, dataset: Dataset) -> Training:
    begun = Training(graph, dataset, device="cpu")
    for learner in begun.learners.values():
        learner.begin_epoch(0)
    return begun


def outputs_of(begun: Training) -> NodeOutputs:
    generator = torch.Generator().manual_seed(0)
    images = dict.fromkeys(begun.graph.nodes, torch.rand(32, 3, 8, 8, generator=generator))
    return begun.forward(TrainingBatch(images, {}, torch.arange(32) % 4))


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_reach_the_receiving_node_and_the_edge_alone(tiny, dataset, loss):
    begun = started(make(tiny, LOSSES[loss]), dataset)
    edge = edge_losses(begun.graph, outputs_of(begun), 0.5, begun.adapters)["n1", "n0"]
    edge.value.backward()
    assert all(parameter.grad is None for parameter in begun.learners["n1"].network.parameters())
    network = begun.learners["n0"].network
    assert network.body.conv1.weight.grad.abs().sum() > 0
    own = [
        parameter.grad for adapter in begun.adapters.values() for parameter in adapter.parameters()
    ]
    assert all(grad is not None and grad.abs().sum() > 0 for grad in own)
    in_head = [network.body.get_parameter(name).grad for name in network.head]
    assert all((grad is None) == (loss in FEATURE_LOSSES) for grad in in_head)


@pytest.mark.parametrize("loss", ["attention", "feature"])
def test_a_gate_closes_maps_for_samples_that_the_source_gets_wrong(tiny, dataset, loss):
    begun = started(make(tiny, LOSSES[loss] | {"gate": "correct", "over": "batch"}), dataset)
    batch = outputs_of(begun)
    edge = edge_losses(begun.graph, batch, 0.5, begun.adapters)["n1", "n0"]
    assert 0 < edge.gate_weight < 1
    (student,) = torch.autograd.grad(edge.value, batch.maps["n0"][0])
    assert torch.equal(student.abs().sum(dim=(1, 2, 3)) > 0, batch.right("n1"))


@pytest.mark.parametrize("loss", LOSSES)
def test_an_interrupted_and_resumed_run_equals_an_uninterrupted_one(tiny, dataset, loss):
    graph = make(tiny, LOSSES[loss], optimizer="adamw", clip_norm=1.0)
    whole = Training(graph, dataset, device="cpu")
    epochs = list(whole)
    half = Training(graph, dataset, device="cpu")
    next(half)
    state = copy.deepcopy(half.state_dict())
    resumed = Training(graph, dataset, device="cpu")
    resumed.load_state_dict(state)
    assert next(resumed).nodes == epochs[1].nodes
    for one, other in zip(whole.adapters.values(), resumed.adapters.values(), strict=True):
        assert one.state_dict().keys() == other.state_dict().keys()
        assert all(
            torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items()
        )
    assert torch.equal(whole.target.body.conv1.weight, resumed.target.body.conv1.weight)
    other = Training(make(tiny, {}, optimizer="adamw", clip_norm=1.0), dataset, device="cpu")
    list(other)
    assert not torch.equal(other.target.body.conv1.weight, whole.target.body.conv1.weight)


def test_a_state_without_adapters_has_no_place_for_them(tiny, dataset):
    state = Training(make(tiny, {}), dataset, device="cpu").state_dict()
    assert all(learner.keys() == {"network", "optimizer"} for learner in state["learners"].values())


def test_maps_are_compared_from_the_last_on_as_many_as_both_have(tiny, dataset):
    begun = started(make(tiny, LOSSES["feature"]), dataset)
    shapes = {name: [layer.shape for layer in layers] for name, layers in begun.layers.items()}
    assert shapes == {
        "n0": [(64, 2, 2), (32, 4, 4), (16, 8, 8)],
        "n1": [(128, 2, 2), (64, 4, 4), (32, 8, 8)],
    }
    (adapter,) = begun.adapters.values()
    assert [tuple(each.weight.shape) for each in adapter.projections] == [
        (128, 64, 1, 1),
        (64, 32, 1, 1),
        (32, 16, 1, 1),
    ]
    two = make(tiny, LOSSES["feature"] | {"maps": 2})
    assert [len(layers) for layers in started(two, dataset).layers.values()] == [2, 2]
    names = {"n0": "mine", "n1": "other"}
    with pytest.raises(SpecError, match=r"nodes\.mine\.model: has no map of features"):
        networks = begun.networks
        flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4))
        networks["n0"] = type(networks["n0"])(
            flat, size=8, mean=(0,), std=(1,), head=frozenset({"1.weight", "1.bias"})
        )
        find_mapped_layers(two, networks, names)


def test_wide_maps_are_projected_through_a_waist_that_costs_a_fifth(tiny, dataset):
    graph = make(tiny, {"loss": "feature", "maps": 1}, {"size": 64}, {"input_size": 64})
    small, large = (
        Node(model=f"mobilenetv2_{width}", input_size=64, model_args={"pad_type": "same"})
        for width in ("035", "100")
    )
    graph = dataclasses.replace(graph, nodes={**graph.nodes, "n0": small, "n1": large})
    begun = started(graph, dataset)
    (adapter,) = begun.adapters.values()
    assert [tuple(each.shape) for each in adapter.parameters()] == [
        (128, 1280, 1, 1),
        (1280, 128, 1, 1),
        (1280,),
    ]
    assert 5 * sum(each.numel() for each in adapter.parameters()) < 1.05 * (1280 * 1280 + 1280)
    first, second = begun
    assert second.edges["n1", "n0"].loss < first.edges["n1", "n0"].loss


@pytest.mark.parametrize("loss", ["attention", "feature"])
def test_a_transformer_teaches_a_convolutional_network_what_it_sees_where(tiny, dataset, loss):
    """At 32 pixels one has 4 x 4 tokens of 24 channels, the other maps of 8 x 8 to 32 x 32."""
    small = {"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
    graph = make(tiny, {"loss": loss}, {"size": 32}, {"input_size": 32})
    tokens = Node(model="vit_tiny_patch16_224", input_size=32, model_args=small)
    graph = dataclasses.replace(graph, nodes={**graph.nodes, "n1": tokens})
    begun = Training(graph, open_data(graph.data), device="cpu")
    shapes = {name: [layer.shape for layer in layers] for name, layers in begun.layers.items()}
    assert shapes == {"n0": [(64, 8, 8)], "n1": [(24, 4, 4)]}
    first, second = begun
    assert second.edges["n1", "n0"].loss < first.edges["n1", "n0"].loss


def test_the_value_of_a_feature_edge_is_its_formula_by_hand(tiny, dataset):
    begun = started(make(tiny, {"loss": "feature", "weight": 3.0}), dataset)
    batch, (adapter,) = outputs_of(begun), begun.adapters.values()
    edge = edge_losses(begun.graph, batch, 0.5, begun.adapters)["n1", "n0"]
    each = []
    for place, known in enumerate(batch.maps["n1"]):
        convolution = adapter.projections[place]
        weight = convolution.weight.flatten(1)
        projected = (
            torch.einsum("oc,bchw->bohw", weight, batch.maps["n0"][place])
            + convolution.bias[:, None, None]
        )
        each.append(((projected - known) ** 2).mean())
    torch.testing.assert_close(edge.value, 3 * torch.stack(each).mean())


def test_projections_depend_on_the_seed_alone(tiny, dataset):
    def projection(graph: Graph) -> torch.Tensor:
        torch.rand(3)
        return started(graph, dataset).adapters["n1", "n0"].projections[0].weight

    graph = make(tiny, LOSSES["feature"])
    assert torch.equal(projection(graph), projection(graph))
    assert not torch.equal(projection(graph), projection(make(tiny, LOSSES["feature"], seed=1)))


def test_a_learned_weight_starts_at_1_and_is_reported(tiny, dataset):
    begun = Training(make(tiny, LOSSES["dkd"], epochs=4), dataset, device="cpu")
    epochs = list(begun)
    seen = [epoch.edges["n1", "n0"].learned_weight for epoch in epochs]
    assert seen[0] == pytest.approx(1, abs=0.3)
    assert len(set(seen)) == 4
    assert epochs[0].metrics()["edges.n1.n0.weight"] == seen[0]
    assert epochs[0].edges["label", "n0"].learned_weight is None


def test_a_learned_weight_has_no_decay_and_a_projection_has(tiny, dataset):
    begun = started(make(tiny, LOSSES["feature"], weight_decay=0.01), dataset)
    (adapter,) = begun.adapters.values()
    decays = {
        id(parameter): group["weight_decay"]
        for group in begun.learners["n0"].optimizer.param_groups
        for parameter in group["params"]
    }
    assert decays[id(adapter.log_variance)] == 0
    assert all(decays[id(each.weight)] == 0.01 for each in adapter.projections)
    others = [
        id(p) for group in begun.learners["n1"].optimizer.param_groups for p in group["params"]
    ]
    assert id(adapter.log_variance) not in others


def test_distances_of_features_are_those_of_class_means(tiny, dataset):
    begun = Training(make(tiny, LOSSES["emd"]), dataset, device="cpu")
    network = begun.learners["n1"].network.eval()
    images = (
        torch.from_numpy(dataset.train.read(range(len(dataset.train)))).permute(0, 3, 1, 2) / 255
    )
    labels = torch.from_numpy(dataset.train.labels)
    taken: list[torch.Tensor] = []
    hook = network.body.linear.register_forward_pre_hook(
        lambda _module, inputs: taken.append(inputs[0])
    )
    with torch.no_grad():
        network(images)
    hook.remove()
    means = torch.stack([taken[0][labels == label].mean(0) for label in range(4)])
    found = (means[:, None] - means).norm(dim=2)
    torch.testing.assert_close(
        begun.adapters["n1", "n0"].distance, found / found.max(), atol=1e-4, rtol=1e-4
    )


def test_distances_come_from_a_table_or_from_words(tiny, dataset, tmp_path):
    table = tmp_path / "distances.csv"
    table.write_text(",0,1,2,3\n0,0,1,2,4\n1,1,0,1,1\n2,2,1,0,1\n3,4,1,1,0\n")
    begun = Training(make(tiny, {"loss": "emd", "distance": str(table)}), dataset, device="cpu")
    distance = begun.adapters["n1", "n0"].distance
    assert distance[0].tolist() == [0, 0.25, 0.5, 1]
    words = tmp_path / "words.txt"
    words.write_text("0 1 0\n1 0 1\n2 -1 0\n3 1 0.1\n")
    begun = Training(make(tiny, {"loss": "emd", "distance": str(words)}), dataset, device="cpu")
    torch.testing.assert_close(
        begun.adapters["n1", "n0"].distance[0, :3], torch.tensor([0, 0.5, 1.0])
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (",0,1,2,3\n0,0,1,2,4\n1,1,0,1,1\n2,2,1,0,1\n3,5,1,1,0\n", "must be equal both ways"),
        (",0,1,2,3\n0,1,1,2,4\n1,1,0,1,1\n2,2,1,0,1\n3,4,1,1,0\n", "0 from a class to itself"),
        (",0,1\n0,0,1\n1,1,0\n", "has no distances for these classes: 2, 3"),
        (
            ",0,1,2,3\n" + "".join(f"{i},0,0,0,0\n" for i in range(4)),
            "all classes lie at the same place",
        ),
    ],
)
def test_distances_that_are_none_are_refused_at_the_edge(tiny, dataset, tmp_path, text, problem):
    table = tmp_path / "distances.csv"
    table.write_text(text)
    with pytest.raises(SpecError, match=rf"edges\.n1\.n0\.distance: .*{problem}"):
        Training(make(tiny, {"loss": "emd", "distance": str(table)}), dataset, device="cpu")


def test_a_frozen_backbone_stays_frozen_though_its_maps_are_compared(tiny, dataset):
    graph = make(tiny, {"loss": "feature"}, data={"augment": "none"}, n0={"frozen_epochs": 2})
    begun = Training(graph, dataset, device="cpu")
    assert begun._features.train(0, [0]) == {}  # features stand for images where no map is needed
    before = copy.deepcopy(begun.target.body.state_dict())
    projection = begun.adapters["n1", "n0"].projections[0].weight.clone()
    list(begun)
    after = begun.target.body.state_dict()
    assert {
        name for name in before if not torch.equal(before[name], after[name])
    } == begun.target.head
    assert not torch.equal(projection, begun.adapters["n1", "n0"].projections[0].weight)
    plain = make(tiny, {"loss": "kl"}, data={"augment": "none"}, n0={"frozen_epochs": 2})
    assert set(Training(plain, dataset, device="cpu")._features.train(0, [0])) == {"n0"}


def test_graphs_that_compare_no_maps_take_none(tiny, dataset, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("maps were taken")

    monkeypatch.setattr(answers, "forward_with_maps", refuse)
    begun = started(make(tiny, {"loss": "dkd"}), dataset)
    outputs_of(begun)
    assert not begun.layers
    assert not begun.adapters
    with pytest.raises(AssertionError, match="maps were taken"):
        outputs_of(started(make(tiny, {"loss": "attention"}), dataset))


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_gives_finite_losses_close_to_those_of_full(tiny, dataset, loss):
    full, half = (
        next(Training(make(tiny, LOSSES[loss], precision=precision), dataset, device="cpu"))
        for precision in ("float32", "bfloat16")
    )
    assert half.edges["n1", "n0"].loss == pytest.approx(
        full.edges["n1", "n0"].loss, rel=0.3, abs=0.05
    )
    assert np.isfinite(list(half.metrics().values())).all()


def test_embedding_compares_what_the_heads_are_given_through_one_linear_layer(tiny, dataset):
    begun = started(make(tiny, {"loss": "embedding"}), dataset)
    (project,) = begun.adapters["n1", "n0"].projections
    assert (project.in_features, project.out_features) == (64, 128)
    outputs = outputs_of(begun)
    assert {name: tuple(x.shape) for name, x in outputs.features.items()} == {
        "n0": (32, 64),
        "n1": (32, 128),
    }
    for name in ("n0", "n1"):
        head = begun.learners[name].network.body.linear
        torch.testing.assert_close(head(outputs.features[name]), outputs.logits[name])
    found = edge_losses(begun.graph, outputs, 1.0, begun.adapters)["n1", "n0"].value
    wanted = torch.nn.functional.cosine_similarity(
        project(outputs.features["n0"]), outputs.features["n1"].detach()
    )
    torch.testing.assert_close(found, 1 - wanted.mean())
    found.backward()
    assert project.weight.grad.abs().sum() > 0
    assert begun.learners["n0"].network.body.conv1.weight.grad.abs().sum() > 0
    assert begun.learners["n1"].network.body.conv1.weight.grad is None


def test_features_of_a_frozen_backbone_are_compared_as_they_are_stored(tiny, dataset):
    graph = make(tiny, {"loss": "embedding"}, data={"augment": "none"}, n0={"frozen_epochs": 2})
    begun = Training(graph, dataset, device="cpu")
    assert set(begun._features.train(0, [0])) == {"n0"}
    epochs = list(begun)
    assert epochs[1].edges["n1", "n0"].loss < epochs[0].edges["n1", "n0"].loss
