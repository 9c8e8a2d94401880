"""The share of wrong labels is estimated by networks that know photographs, once for all."""

import numpy as np
import pytest
import torch
from dirt import COLOURS, picture
from safetensors.torch import save_file
from zoos import card

from ktg.auditing import networks
from ktg.auditing.noise import MOST, estimate_set_noise
from ktg.auditing.pool import pool_training
from ktg.data.open import open_data
from ktg.errors import SpecError, WeightsError
from ktg.graph import Data, Node, SourceFile
from ktg.models.build import build_network
from ktg.models.cifar import CIFAR_MODELS
from ktg.zoo import default_zoo


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


@pytest.fixture
def in_zoo(tmp_path, monkeypatch):
    """Add weights of a ResNet8 to a zoo, and return the node that begins with them and the file."""
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))

    def add(name, seed):
        torch.manual_seed(seed)
        file = tmp_path / f"{name}.safetensors"
        save_file(CIFAR_MODELS["resnet8"](num_classes=3).state_dict(), file)
        kept = default_zoo().add(card(name, "resnet8", classes=("a", "b", "c")), file)
        return Node(model="resnet8", source=f"zoo/{name}"), default_zoo().weights_file(kept.key)

    return add


@pytest.fixture(scope="module")
def striped(tmp_path_factory):
    """Stripes in which one of three colours is dark where the others are bright.

    Plain features, small pixels and edges of their grey, do not tell them apart.
    """
    random, labels = np.random.default_rng(0), np.arange(150) % 3
    places = np.arange(32) + random.integers(0, 4, (150, 1))
    waves = np.where(places // 2 % 2, 60, -60)
    signs = np.where(np.arange(3) == labels[:, None], -1, 1)
    pixels = 128 + waves[:, :, None, None] * signs[:, None, None, :]
    pixels = pixels + random.normal(0, 4, (150, 32, 32, 3))
    path = tmp_path_factory.mktemp("stripes") / "set.npz"
    np.savez(path, x_train=pixels.clip(0, 255).astype(np.uint8), y_train=labels)
    return open_data(Data(path=str(path), test_fraction=0.1, val_fraction=0.1))


def test_weights_that_could_not_be_loaded_once_are_asked_again(striped, in_zoo):
    node, file = in_zoo("mine", seed=1)
    away = file.rename(file.with_name("away"))
    with pytest.raises(WeightsError, match=r"mine/resnet8\.safetensors: is missing"):
        estimate_set_noise([node], striped)
    away.rename(file)
    assert estimate_set_noise([node], striped).seen_by == "resnet8@zoo/mine at 32 px"


def test_what_is_estimated_without_one_of_two_networks_is_not_kept(striped, in_zoo):
    (here, first), (there, second) = in_zoo("here", seed=2), in_zoo("there", seed=3)
    told = []

    def look():
        told.clear()
        return estimate_set_noise([here, there], striped, status=told.append)

    away = second.rename(second.with_name("away"))
    assert look().seen_by == "resnet8@zoo/here at 32 px"
    away.rename(second)
    found = look()
    assert told[:2] == ["trying resnet8@zoo/here", "trying resnet8@zoo/there"]
    assert (look(), told) == (found, [])  # now it is kept
    first.unlink()
    second.unlink()
    with pytest.raises(WeightsError, match="is missing"):
        estimate_set_noise([here, there], striped, most=100)


def test_a_network_that_never_fits_is_no_reason_to_look_again(striped, in_zoo, monkeypatch):
    nodes = [in_zoo(name, seed)[0] for name, seed in (("fits", 4), ("never", 5))]
    build, told = networks.build_viewer, []

    def refuse(node, *given):
        if node.source == "zoo/never":
            raise SpecError("nodes.n1", "resnet8 has no head of its own")
        return build(node, *given)

    monkeypatch.setattr(networks, "build_viewer", refuse)
    found = estimate_set_noise(nodes, striped, status=told.append)
    assert found.seen_by == "resnet8@zoo/fits at 32 px"
    assert told[:2] == ["trying resnet8@zoo/fits", "trying resnet8@zoo/never"]
    told.clear()
    assert (estimate_set_noise(nodes, striped, status=told.append), told) == (found, [])


def test_a_sample_is_drawn_alike_in_every_run(dataset):
    one, other = pool_training(dataset, 50), pool_training(dataset, 50)
    assert np.array_equal(one.images.read(range(50)), other.images.read(range(50)))
    assert one.counts == {"train": 50, "val": 0, "test": 0}
