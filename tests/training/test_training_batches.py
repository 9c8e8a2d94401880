"""What nodes train on: views of the data or of their own, mixed for all alike."""

import copy
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ktg.data import open_data
from ktg.data.augment import AUGMENTS, MIXTURES
from ktg.data.views import open_view
from ktg.errors import SpecError
from ktg.graph import LABEL, Graph, parse
from ktg.graph.canonical import canonical_key
from ktg.models.network import split_forward
from ktg.training import Training
from ktg.training.edge_losses import NodeOutputs, edge_losses
from ktg.training.randomness import derive_seed, endless_rows, epoch_rows
from ktg.training.training_batches import (
    TrainingBatches,
    count_unlabelled,
    find_unlabelled_nodes,
)

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


def make(tiny: Path, augment: str = "basic", **nodes: dict) -> Graph:
    return parse(
        {
            "data": {"path": str(tiny), "batch_size": 16, "augment": augment},
            "train": {"epochs": 2, "lr": 0.05, "seed": 5},
            "nodes": {
                name: {"model": "resnet8", **fields}
                for name, fields in (nodes or {"n0": {}}).items()
            },
            "edges": {"label -> any": {}, "any -> any": {"gate": "correct"}},
        }
    )


def batches_of(graph: Graph) -> TrainingBatches:
    return TrainingBatches(graph, open_data(graph.data).train, 4, CPU)


def pixels_and_labels(graph: Graph, epoch: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    images = open_data(graph.data).train
    rows = epoch_rows(len(images), 16, 5, epoch)
    labels = torch.from_numpy(images.labels)
    return [
        (torch.from_numpy(images.read(row.numpy())).permute(0, 3, 1, 2), labels[row])
        for row in rows
    ]


def drawn(*parts: str | int) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(5, *parts))


def test_every_epoch_has_its_own_order_and_views(tiny):
    graph = make(tiny)
    for epoch in (0, 1):
        generator = drawn("augment", epoch)
        for shown, (pixels, labels) in zip(
            batches_of(graph)(epoch, {}), pixels_and_labels(graph, epoch), strict=True
        ):
            assert torch.equal(shown.labels, labels)
            assert torch.equal(shown.images["n0"], AUGMENTS["basic"](pixels, generator))


def test_a_node_sees_views_of_its_own_without_changing_those_of_the_others(tiny):
    graph = make(
        tiny, n0={}, n1={"augment": "pspnet"}, n2={"augment": "pspnet"}, n3={"augment": "none"}
    )
    alone = list(batches_of(make(tiny))(0, {}))
    generator = drawn("augment", 0, "pspnet")
    for shown, before, (pixels, _) in zip(
        batches_of(graph)(0, {}), alone, pixels_and_labels(graph, 0), strict=True
    ):
        assert torch.equal(shown.images["n0"], before.images["n0"])
        assert torch.equal(shown.images["n1"], AUGMENTS["pspnet"](pixels, generator))
        assert shown.images["n1"] is shown.images["n2"]
        assert torch.equal(shown.images["n3"], pixels / 255)


def test_features_are_given_by_image_and_take_the_place_of_images(tiny):
    graph = make(tiny, n0={}, n1={})
    count = len(open_data(graph.data).train)
    rows = epoch_rows(count, 16, 5, 1)
    features = [step * count + torch.arange(count) for step in range(len(rows))]
    shown_in = enumerate(zip(batches_of(graph)(1, {"n1": features}), rows, strict=True))
    for step, (shown, row) in shown_in:
        assert set(shown.images) == {"n0"}
        assert torch.equal(shown.features["n1"], step * count + row)
    assert all(
        not shown.images for shown in batches_of(graph)(1, dict.fromkeys(graph.nodes, features))
    )


def test_one_mixture_is_for_all_nodes_and_for_the_labels(tiny):
    graph = make(tiny, "cutmix_or_mixup", n0={}, n1={"augment": "none"})
    mixing = drawn("mix", 0)
    for shown, (pixels, labels) in zip(
        batches_of(graph)(0, {}), pixels_and_labels(graph, 0), strict=True
    ):
        mixture = MIXTURES["cutmix_or_mixup"](mixing)
        assert torch.equal(shown.images["n1"], mixture.images(pixels / 255))
        assert torch.equal(shown.labels, mixture.labels(labels, 4, 8))
        assert shown.labels.shape == (16, 4)


@pytest.mark.parametrize("augment", ["randaugment", "augmix", "pspnet", "cutmix_or_mixup"])
def test_a_graph_learns_under_each_augmentation_and_resumes(tiny, augment):
    graph = make(tiny, augment, n0={}, n1={"augment": "none"})
    training, resumed = (Training(graph, open_data(graph.data), device="cpu") for _ in range(2))
    first, second = training
    resumed.load_state_dict(fresh(graph))
    assert second.edges["label", "n0"].loss < first.edges["label", "n0"].loss
    assert next(resumed).edges == second.edges


def fresh(graph: Graph) -> dict:
    training = Training(graph, open_data(graph.data), device="cpu")
    next(training)
    return training.state_dict()


def test_views_that_are_mixed_anew_in_every_batch_cannot_be_fixed(tiny):
    with pytest.raises(
        SpecError,
        match=r"nodes.n0.frozen_views: data.augment: cutmix_or_mixup mixes each batch differently",
    ):
        make(tiny, "cutmix_or_mixup", n0={"frozen_epochs": 1, "frozen_views": 2})


def test_mixed_images_have_no_features_to_keep(tiny):
    graph = make(tiny, "cutmix_or_mixup", n0={"frozen_epochs": 2, "augment": "none"})
    training = Training(graph, open_data(graph.data), device="cpu")
    next(training)
    assert not training._features._train
    assert training._features._val


@pytest.fixture
def unlabelled_graph(tiny: Path, tmp_path: Path) -> Graph:
    """Of four nodes n0 and n1 teach each other, those of n2 and n3 ask for labels; 10 images."""
    pixels = np.random.default_rng(1).integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    plain = {
        "data": {"path": str(tiny), "batch_size": 16, "unlabelled": str(tmp_path)},
        "train": {"epochs": 2, "lr": 0.05, "seed": 5},
        "nodes": {f"n{i}": {"model": "resnet8"} for i in range(4)},
        "edges": {
            "label -> any": {},
            "n1 -> n0": {},
            "n2 -> n0": {"gate": "correct"},
            "n3 -> n0": {"loss": "dkd", "gate": "linear"},
        },
    }
    return parse(plain)


def test_images_without_labels_go_to_both_ends_of_edges_that_need_none(unlabelled_graph):
    dataset = open_data(unlabelled_graph.data)
    assert find_unlabelled_nodes(unlabelled_graph) == {"n0", "n1"}
    both = TrainingBatches(unlabelled_graph, dataset.train, 4, CPU, dataset.unlabelled)
    plain = TrainingBatches(unlabelled_graph, dataset.train, 4, CPU)
    more = torch.from_numpy(dataset.unlabelled.read(range(10))).permute(0, 3, 1, 2)
    generator = drawn("augment unlabelled", 1)
    rows = endless_rows(10, 16, len(both.rows(1)), 5, 1)
    for shown, before, others in zip(both(1, {}), plain(1, {}), rows, strict=True):
        assert torch.equal(shown.labels, before.labels)
        for name in ("n0", "n1"):
            assert torch.equal(shown.images[name][:16], before.images[name])
        assert torch.equal(shown.images["n0"][16:], AUGMENTS["basic"](more[others], generator))
        assert torch.equal(shown.images["n1"], shown.images["n0"])
        assert all(torch.equal(shown.images[name], before.images[name]) for name in ("n2", "n3"))


def test_images_without_labels_are_mixed_among_themselves(unlabelled_graph):
    graph = dataclasses.replace(
        unlabelled_graph, data=dataclasses.replace(unlabelled_graph.data, augment="cutmix_or_mixup")
    )
    dataset = open_data(graph.data)
    shown = next(iter(TrainingBatches(graph, dataset.train, 4, CPU, dataset.unlabelled)(0, {})))
    before = next(iter(TrainingBatches(graph, dataset.train, 4, CPU)(0, {})))
    assert torch.equal(shown.images["n0"][:16], before.images["n0"])
    assert torch.equal(shown.labels, before.labels)
    assert len(shown.images["n0"]) == 32


def test_edges_that_need_labels_skip_images_without_and_the_others_do_not(unlabelled_graph):
    generator = torch.Generator().manual_seed(0)
    sizes = {"n0": 32, "n1": 32, "n2": 16, "n3": 16}
    logits = {
        name: torch.randn(size, 4, generator=generator, requires_grad=True)
        for name, size in sizes.items()
    }
    labels = torch.arange(16) % 4
    losses = edge_losses(unlabelled_graph, NodeOutputs(logits, labels), 0.25)
    known = {name: values[:16] for name, values in logits.items()}
    expected = edge_losses(unlabelled_graph, NodeOutputs(known, labels), 0.25)
    for pair in ((LABEL, "n0"), ("n2", "n0"), ("n3", "n0")):
        assert losses[pair].value == expected[pair].value
        assert losses[pair].gate_weight == expected[pair].gate_weight
    kl = losses["n1", "n0"]
    p, q = (logits[name].detach().log_softmax(1) for name in ("n1", "n0"))
    torch.testing.assert_close(kl.value, (p.exp() * (p - q)).sum(1).mean())
    assert kl.gate_weight == 1
    for pair, reached in (
        ((LABEL, "n0"), 16),
        (("n1", "n0"), 32),
        (("n2", "n0"), 16),
        (("n3", "n0"), 16),
    ):
        (grad,) = torch.autograd.grad(losses[pair].value, logits["n0"], retain_graph=True)
        assert (grad[16:].abs().sum() > 0) == (reached == 32), pair


def test_training_with_images_without_labels_differs_resumes_and_keeps_its_figures(
    unlabelled_graph,
):
    dataset = open_data(unlabelled_graph.data)
    training = Training(unlabelled_graph, dataset, device="cpu")
    epochs = list(training)
    plain = Training(unlabelled_graph, dataclasses.replace(dataset, unlabelled=None), device="cpu")
    assert list(plain)[1].nodes["n0"] != epochs[1].nodes["n0"]
    half = Training(unlabelled_graph, dataset, device="cpu")
    next(half)
    resumed = Training(unlabelled_graph, dataset, device="cpu")
    resumed.load_state_dict(copy.deepcopy(half.state_dict()))
    assert next(resumed).nodes == epochs[1].nodes
    assert torch.equal(resumed.target.body.conv1.weight, training.target.body.conv1.weight)


def test_maps_and_distances_see_images_without_labels_too(unlabelled_graph):
    edges = {
        pair: dataclasses.replace(edge, loss="attention" if pair == ("n1", "n0") else edge.loss)
        for pair, edge in unlabelled_graph.edges.items()
    }
    edges["n2", "n0"] = dataclasses.replace(
        edges["n2", "n0"], loss="feature"
    )  # with gate correct: labelled ones alone
    graph = dataclasses.replace(unlabelled_graph, edges=edges)
    epoch = next(Training(graph, open_data(graph.data), device="cpu"))
    assert all(math.isfinite(value) for value in epoch.metrics().values())


def test_where_no_edge_can_use_them_images_without_labels_are_no_part_of_the_graph(
    unlabelled_graph,
):
    edges = {pair: edge for pair, edge in unlabelled_graph.edges.items() if pair != ("n1", "n0")}
    graph = dataclasses.replace(unlabelled_graph, edges=edges)
    without = dataclasses.replace(graph, data=dataclasses.replace(graph.data, unlabelled=None))
    assert canonical_key(graph) == canonical_key(without)
    assert canonical_key(unlabelled_graph) != canonical_key(
        dataclasses.replace(unlabelled_graph, data=without.data)
    )
    assert find_unlabelled_nodes(graph) == frozenset()


def test_a_frozen_node_that_sees_images_without_labels_has_no_features(unlabelled_graph):
    frozen = dataclasses.replace(unlabelled_graph.nodes["n0"], frozen_epochs=2)
    data = dataclasses.replace(unlabelled_graph.data, augment="none")
    nodes = {**unlabelled_graph.nodes, "n0": frozen, "n2": frozen}
    graph = dataclasses.replace(unlabelled_graph, data=data, nodes=nodes)
    training = Training(graph, open_data(graph.data), device="cpu")
    assert {training.names[name] for name in training._features.train(0, [0])} == {"n2"}
    assert math.isfinite(next(training).metrics()["val_loss"])


@pytest.mark.parametrize(("share", "count"), [(0.5, 16), (0.8, 64), (0.01, 1)])
def test_the_share_says_how_many_images_without_labels_a_step_has(unlabelled_graph, share, count):
    data = dataclasses.replace(unlabelled_graph.data, unlabelled_share=share)
    graph = dataclasses.replace(unlabelled_graph, data=data)
    assert count_unlabelled(graph) == count
    dataset = open_data(graph.data)
    shown = next(iter(TrainingBatches(graph, dataset.train, 4, CPU, dataset.unlabelled)(0, {})))
    assert {name: len(images) for name, images in shown.images.items()} == {
        "n0": 16 + count,
        "n1": 16 + count,
        "n2": 16,
        "n3": 16,
    }


def test_fixed_views_are_the_same_for_all_nodes_and_come_in_turn(tiny):
    graph = make(tiny, n0={}, n1={}, n2={"augment": "crop"}, n3={"augment": "none"})
    graph = dataclasses.replace(graph, data=dataclasses.replace(graph.data, views=2))
    images = open_data(graph.data).train
    batches = TrainingBatches(graph, images, 4, CPU)
    for epoch in range(3):
        kept = {name: open_view(images, name, 5, epoch % 2) for name in ("basic", "crop")}
        for rows, shown in zip(batches.rows(epoch), batches(epoch, {}), strict=True):
            for node, view in (("n0", kept["basic"]), ("n2", kept["crop"]), ("n3", images)):
                pixels = torch.from_numpy(view.read(rows.numpy())).permute(0, 3, 1, 2)
                assert torch.equal(shown.images[node], pixels / 255)
            assert shown.images["n0"] is shown.images["n1"]
            assert torch.equal(shown.labels, torch.from_numpy(images.labels)[rows])


def test_images_without_labels_take_another_view_in_each_pass(unlabelled_graph):
    data = dataclasses.replace(unlabelled_graph.data, views=3)
    graph = dataclasses.replace(unlabelled_graph, data=data)
    dataset = open_data(graph.data)
    batches = TrainingBatches(graph, dataset.train, 4, CPU, dataset.unlabelled)
    views = [open_view(dataset.unlabelled, "basic", 5, view) for view in range(3)]
    steps = len(batches.rows(0))
    for epoch in (0, 1):
        rows = endless_rows(10, 16, steps, 5, epoch)
        for step, shown in enumerate(batches(epoch, {})):
            first = (epoch * steps + step) * 16
            expected = [
                views[(first + place) // 10 % 3].read([int(row)])[0]
                for place, row in enumerate(rows[step])
            ]
            pixels = torch.from_numpy(np.stack(expected)).permute(0, 3, 1, 2) / 255
            assert torch.equal(shown.images["n0"][16:], pixels)


@pytest.mark.parametrize("steps", [None, 10, 22])
def test_a_frozen_backbone_has_the_features_of_what_all_others_are_shown(tiny, steps):
    """An epoch is one pass, a part of one, or more than one, and each pass has another view."""
    graph = make(tiny, n0={"frozen_epochs": 2}, n1={})
    data = dataclasses.replace(graph.data, views=3)
    graph = dataclasses.replace(
        graph, data=data, train=dataclasses.replace(graph.train, steps=steps)
    )
    training = Training(graph, open_data(graph.data), device="cpu")
    network, batches = training.trained_networks["n0"], training._batches
    for learner in training.learners.values():
        learner.begin_epoch(0)
    for epoch in range(2):
        features = training._features.train(epoch, batches.views(epoch))
        assert set(features) == {"n0"}
        shown_as = zip(batches(epoch, features), batches(epoch, {}), strict=True)
        for stored, shown in shown_as:
            (expected,), _ = split_forward(network, shown.images["n1"])
            torch.testing.assert_close(stored.features["n0"], expected)


def test_fixed_views_resume_and_a_frozen_backbone_sees_them_too(tiny):
    graph = make(tiny, n0={"frozen_epochs": 2, "source": "none"}, n1={})
    graph = dataclasses.replace(graph, data=dataclasses.replace(graph.data, views=2))
    dataset = open_data(graph.data)
    whole = Training(graph, dataset, device="cpu")
    assert [whole.names[name] for name in whole._features.train(0, [0])] == ["n0"]
    epochs = list(whole)
    half, resumed = (Training(graph, dataset, device="cpu") for _ in range(2))
    next(half)
    resumed.load_state_dict(copy.deepcopy(half.state_dict()))
    assert next(resumed).nodes == epochs[1].nodes
