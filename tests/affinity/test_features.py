"""One pass gives what the network itself computes, in the order of the rows."""

import tempfile
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from ktg.affinity.features import extract
from ktg.data import open_data
from ktg.graph import Data, Node
from ktg.models.build import build_network

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tiny: Path):
    return open_data(Data(path=str(tiny)))


def network(model: str = "resnet8", **fields):
    return build_network(
        Node(model=model, **fields), {}, classes=4, image_size=8, mean=[0.4], std=[0.2], seed=0
    )


def pixels(data, rows):
    return torch.from_numpy(data.train.read(rows)).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize("batch_bytes", [1, 2**25])
def test_maps_and_probabilities_are_those_of_the_network(data, batch_bytes, monkeypatch):
    monkeypatch.setattr("ktg.affinity.features._BATCH_BYTES", batch_bytes)
    net, rows, told = network(), torch.tensor([5, 0, 17, 3, 9]), []
    found = extract(net, data.train, rows, CPU, lambda done, total: told.append((done, total)))
    with torch.inference_mode():
        body, images = net.eval().body, net.prepare(pixels(data, rows.numpy()))
        maps = body.layer3(body.layer2(body.layer1(functional.relu(body.bn1(body.conv1(images))))))
        probs = body.linear(maps.mean((2, 3))).softmax(1)
    torch.testing.assert_close(found.maps, maps)
    torch.testing.assert_close(found.probs, probs)
    assert found.layer.name == "layer3"
    assert found.seconds > 0
    assert told[-1] == (5, 5)


def test_what_the_next_layer_does_in_place_is_not_seen(data):
    """The ReLU after the last batch norm of a wide ResNet works in place on the norm's output."""
    assert extract(network("wide_resnet16_1"), data.train, torch.arange(4), CPU).maps.min() < 0


def test_large_maps_lie_in_a_file_and_are_the_same(data, monkeypatch):
    rows = torch.arange(20)
    held = extract(network(), data.train, rows, CPU).maps
    files, make = [], tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: files.append(make()) or files[-1])
    monkeypatch.setattr("ktg.affinity.features.MEMORY_BYTES", 1000)
    stored = extract(network(), data.train, rows, CPU).maps
    assert torch.equal(stored, held)
    assert [file.closed for file in files] == [True]  # the map of it lives on


def test_the_network_is_left_as_it_was(data):
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    extract(net, data.train, torch.arange(3), CPU)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
