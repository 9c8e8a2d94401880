"""Features of networks are what their heads are given; plain ones tell colours and shapes apart."""

import numpy as np
import pytest
import torch
from dirt import COLOURS, picture

from ktg.auditing.features import compute_features, compute_plain_features, describe_plainly
from ktg.data.open import open_data
from ktg.errors import UserError
from ktg.graph import Data, Node
from ktg.models.build import build_network
from ktg.models.network import Network, split_forward


@pytest.fixture(scope="module")
def train(tiny):
    return open_data(Data(path=str(tiny))).train


def network(model: str) -> Network:
    statistics = {"mean": [0.5], "std": [0.25]}
    return build_network(Node(model=model), {}, classes=4, image_size=8, seed=0, **statistics)


def test_features_are_what_the_head_is_given(train):
    made, seen = network("resnet8"), []
    found = compute_features(
        made, train, torch.device("cpu"), lambda done, total: seen.append((done, total))
    )
    pixels = torch.from_numpy(train.read([0, 1, 2])).permute(0, 3, 1, 2) / 255
    (expected,), _ = split_forward(made.eval(), pixels)
    np.testing.assert_allclose(found[:3], expected.numpy(), atol=1e-5)
    assert seen[-1] == (len(train), len(train))


def test_a_network_without_a_head_is_refused(train):
    made = network("resnet8")
    made.head = frozenset({"conv1.weight", "linear.weight"})
    with pytest.raises(UserError, match="has no head of its own"):
        compute_features(made, train, torch.device("cpu"))


def test_plain_features_tell_colours_apart(train):
    found = compute_plain_features(train)
    assert found.shape[0] == len(train)
    assert np.isfinite(found).all()
    bright = train.read(range(len(train)))[..., 0].mean(axis=(1, 2))
    assert np.abs(np.corrcoef(found.T, bright)[-1, :-1]).max() > 0.95


def test_plain_features_see_the_direction_of_edges_and_take_grey_images():
    across = np.zeros((32, 32, 1), np.uint8)
    across[16:] = 255
    one, other = describe_plainly(across), describe_plainly(across.swapaxes(0, 1))
    edges = slice(192, 192 + 128)
    assert one[edges] @ other[edges] == 0 < one[edges] @ one[edges]
    colours = np.asarray(picture(0, COLOURS["red"]))
    assert describe_plainly(colours).shape == one.shape
