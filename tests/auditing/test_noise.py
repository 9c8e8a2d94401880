"""The share of wrong labels is estimated by networks that know photographs, once for all."""

import numpy as np
import pytest
import torch
from dirt import COLOURS, picture

from ktg.auditing.noise import MOST, estimate_set_noise
from ktg.auditing.pool import pool_training
from ktg.data.open import open_data
from ktg.graph import Data, Node, SourceFile
from ktg.models.build import build_network


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights: random ones tell colours apart, too."""
    network = build_network(
        Node(model="resnet8"), {}, classes=3, image_size=32, mean=(0.5,), std=(0.5,), seed=0
    )
    path = tmp_path_factory.mktemp("weights") / "resnet8.pth"
    torch.save(network.body.state_dict(), path)
    return {"own": SourceFile(path=str(path), mean=(0.5,), std=(0.5,))}


@pytest.fixture(scope="module", params=[0.0, 0.3])
def wrong(request):
    return request.param


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, wrong):
    """Pictures of three colours, a share of whose labels is another one."""
    random = np.random.default_rng(1)
    truth = np.arange(240) % 3
    colours = [*COLOURS.values()]
    images = [np.asarray(picture(row, colours[truth[row]], 32)) for row in range(240)]
    labels = np.where(random.random(240) < wrong, (truth + random.integers(1, 3, 240)) % 3, truth)
    path = tmp_path_factory.mktemp("set") / "set.npz"
    np.savez(path, x_train=np.stack(images), y_train=labels)
    return open_data(Data(path=str(path), test_fraction=0.1, val_fraction=0.1))


NODE = Node(model="resnet8", source="own")


def test_the_estimate_is_near_the_truth(dataset, weights, wrong):
    found = estimate_set_noise([NODE], dataset, sources=weights)
    assert found.noise == pytest.approx(wrong, abs=0.1)
    assert (found.images, found.seen_by) == (len(dataset.train), "resnet8@own at 32 px")
    assert found.noise == round(found.noise, 2) <= MOST


def test_the_network_looks_once(dataset, weights):
    told = []
    first = estimate_set_noise([NODE], dataset, sources=weights, most=100, status=told.append)
    looked = len(told)
    # A node of other settings, or a second of the same weights, sees the same.
    same = Node(model="resnet8", source="own", input_size=16, lr=0.1)
    again = estimate_set_noise([same, NODE], dataset, sources=weights, most=100, status=told.append)
    assert first == again
    assert looked == len(told) == 1
    assert first.images == 100


@pytest.mark.parametrize(
    "nodes", [[], [Node(model="resnet8")], [Node(model="resnet8", source="zoo/nowhere")]]
)
def test_without_a_network_that_knows_photographs_nothing_is_said(dataset, nodes):
    assert estimate_set_noise(nodes, dataset) is None


def test_a_sample_is_drawn_alike_in_every_run(dataset):
    one, other = pool_training(dataset, 50), pool_training(dataset, 50)
    assert np.array_equal(one.images.read(range(50)), other.images.read(range(50)))
    assert one.counts == {"train": 50, "val": 0, "test": 0}
