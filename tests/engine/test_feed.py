"""What nodes are shown: views of the data or of their own, mixed for all alike."""

from pathlib import Path

import pytest
import torch

from ktg.data import open_data
from ktg.data.augment import AUGMENTS, MIXTURES
from ktg.engine import Training
from ktg.engine.feed import Feed
from ktg.engine.seeds import derive_seed, epoch_rows
from ktg.errors import SpecError
from ktg.spec import Graph, parse

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


def make(tiny: Path, augment: str = "basic", **nodes: dict) -> Graph:
    return parse(
        {
            "data": {"path": str(tiny), "batch_size": 16, "augment": augment},
            "train": {"epochs": 2, "lr": 0.05, "seed": 5},
            "nodes": {name: {"model": "resnet8", **fields} for name, fields in (nodes or {"n0": {}}).items()},
            "edges": {"label -> any": {}, "any -> any": {"gate": "correct"}},
        }
    )


def feed(graph: Graph) -> Feed:
    return Feed(graph, open_data(graph.data).train, 4, CPU)


def pixels_and_labels(graph: Graph, epoch: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    images = open_data(graph.data).train
    rows = epoch_rows(len(images), 16, 5, epoch)
    labels = torch.from_numpy(images.labels)
    return [(torch.from_numpy(images.read(row.numpy())).permute(0, 3, 1, 2), labels[row]) for row in rows]


def drawn(*parts: str | int) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(5, *parts))


def test_every_epoch_has_its_own_order_and_views(tiny):
    graph = make(tiny)
    for epoch in (0, 1):
        generator = drawn("augment", epoch)
        for shown, (pixels, labels) in zip(feed(graph)(epoch, {}), pixels_and_labels(graph, epoch), strict=True):
            assert torch.equal(shown.labels, labels)
            assert torch.equal(shown.images["n0"], AUGMENTS["basic"](pixels, generator))


def test_a_node_sees_views_of_its_own_without_changing_those_of_the_others(tiny):
    graph = make(tiny, n0={}, n1={"augment": "pspnet"}, n2={"augment": "pspnet"}, n3={"augment": "none"})
    alone = list(feed(make(tiny))(0, {}))
    generator = drawn("augment", 0, "pspnet")
    for shown, before, (pixels, _) in zip(feed(graph)(0, {}), alone, pixels_and_labels(graph, 0), strict=True):
        assert torch.equal(shown.images["n0"], before.images["n0"])
        assert torch.equal(shown.images["n1"], AUGMENTS["pspnet"](pixels, generator))
        assert shown.images["n1"] is shown.images["n2"]
        assert torch.equal(shown.images["n3"], pixels / 255)


def test_features_are_given_by_image_and_take_the_place_of_images(tiny):
    graph = make(tiny, n0={}, n1={})
    count = len(open_data(graph.data).train)
    for shown, row in zip(feed(graph)(1, {"n1": torch.arange(count)}), epoch_rows(count, 16, 5, 1), strict=True):
        assert set(shown.images) == {"n0"}
        assert torch.equal(shown.features["n1"], row)
    assert all(not shown.images for shown in feed(graph)(1, dict.fromkeys(graph.nodes, torch.arange(count))))


def test_one_mixture_is_for_all_nodes_and_for_the_labels(tiny):
    graph = make(tiny, "cutmix_or_mixup", n0={}, n1={"augment": "none"})
    mixing = drawn("mix", 0)
    for shown, (pixels, labels) in zip(feed(graph)(0, {}), pixels_and_labels(graph, 0), strict=True):
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
    with pytest.raises(SpecError, match=r"nodes.n0.frozen_views: data.augment: cutmix_or_mixup mixes each batch anew"):
        make(tiny, "cutmix_or_mixup", n0={"frozen_epochs": 1, "frozen_views": 2})


def test_mixed_images_have_no_features_to_keep(tiny):
    graph = make(tiny, "cutmix_or_mixup", n0={"frozen_epochs": 2, "augment": "none"})
    training = Training(graph, open_data(graph.data), device="cpu")
    next(training)
    assert not training._features._train
    assert training._features._val
